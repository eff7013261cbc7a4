/* The reports that show a run on a terminal, in a pipe, or to a program. */
#ifndef HOSTLER_REPORTS_H
#define HOSTLER_REPORTS_H

#include "event/event.h"

#include <stdio.h>

/* One plain line an event: plain.c. Verbosity 0 leaves effects out, 1 shows them; -1 is for scripts:
 * only what say and warn say, as it is. */
report *report_plain_new(FILE *out, int verbosity);
/* One JSON object a line: json.c. */
report *report_json_new(FILE *out);
/* What a person at a prompt wants to see: prompt.c. */
report *report_prompt_new(FILE *out, int verbosity);
/* A live tree that redraws itself: tree.c. Only for a terminal. */
report *report_tree_new(FILE *out, int verbosity);

/* Pushes the function report(kind, verbosity): shows events from now on as "tree", "plain", "json" or
 * "prompt"; "none" shows nothing. */
int reports_open(lua_State *L);

#endif
