/* What happens in a run, as a stream of events. One report shows them; any number of listeners in Lua are
 * told.
 *
 * Scopes nest: a run holds groups (an `each`), a group holds items, both hold steps, a step holds effects.
 * Each scope has a number that is unique in the run; an event names its scope and its parent. All text is
 * scrubbed before a report sees it. */
#ifndef HOSTLER_EVENT_EVENT_H
#define HOSTLER_EVENT_EVENT_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum {
    EVENT_RUN_BEGIN,    /* name: the playbook; text: the command as typed; kind: the gate's mode */
    EVENT_RUN_END,      /* name, kind, status, seconds; count: how many writes; text: the error's message */
    EVENT_GROUP_BEGIN,  /* name: what is iterated; count: how many items */
    EVENT_GROUP_END,    /* status, seconds */
    EVENT_ITEM_BEGIN,   /* name: the item's key */
    EVENT_ITEM_END,     /* status, seconds; text: the error's message */
    EVENT_STEP_BEGIN,   /* name */
    EVENT_STEP_END,     /* status, seconds; text: the error's message, or what the step returned in short */
    EVENT_EFFECT_BEGIN, /* name: "ssh.run"; kind; target; text: the summary */
    EVENT_EFFECT_END,   /* the same, and status, seconds */
    EVENT_PLAN,         /* a write that a dry run leaves out: name, kind, target, text; detail: a diff */
    EVENT_SAY,          /* text for the person; data: the same for programs, where it is a table */
    EVENT_WARN,         /* likewise */
    EVENT_WAIT, /* text: what a wait_until waits for; count: how often it has looked; its last has a status */
    EVENT_TYPES
} event_type;

typedef struct {
    event_type type;
    uint64_t scope, parent;
    double at;        /* seconds since the epoch */
    double seconds;   /* how long the scope took; on ..._END */
    long count;       /* -1 where it has no meaning */
    const char *name; /* texts are NULL where they have no meaning */
    const char *kind; /* "read" or "write"; of a step "prompt" when it only holds what was typed at one */
    const char *target;
    const char *text;
    const char *status; /* "done" "failed" "cancelled" "unchanged" "skipped" */
    const char *detail;
    const char *data; /* JSON text */
} event;

/* The stable names that --json prints: "step.begin" ... */
const char *event_name(event_type type);

/* A report shows events. `suspend` gives the terminal to a prompt and `resume` takes it back. `tick` is
 * called about ten times a second while a run is on, for spinners and clocks. */
typedef struct report report;
struct report {
    void (*event)(report *, const event *);
    void (*tick)(report *);
    void (*suspend)(report *);
    void (*resume)(report *);
    void (*close)(report *);
};

/* The report that event_emit hands to; NULL for none. event.c owns it and closes the one before. */
void event_set_report(report *r);
void event_emit(const event *e);
void event_suspend(void);
void event_resume(void);

/* Pushes a table: emit(type, fields) -> scope; subscribe(listener) -> leave; show(type, fields) to the report
 * alone, for what is past; suspend and resume the report. */
int event_open(lua_State *L);

#endif
