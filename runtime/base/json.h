/* Lua values to JSON and back, over cJSON. An empty table is an object unless json.array marked it;
 * null is json.null; a table whose keys are 1..n is an array,
 * and so is one that json.array marked, whatever fields it has besides. */
#ifndef HOSTLER_BASE_JSON_H
#define HOSTLER_BASE_JSON_H

#include <cjson/cJSON.h>
#include <lua.h>
#include <stdbool.h>

typedef enum {
    JSON_REFUSE_SECRETS, /* a secret or unknown inside raises */
    JSON_SHOW,           /* they become what may be shown of them */
    JSON_REVEAL          /* secrets become their text: only inside an effect */
} json_mode;

/* Converts the value at this index; raises (and frees) on what JSON cannot hold: functions, cycles, NaN,
 * mixed keys, more than 64 MiB; and when it is to end (long_work.h). The caller owns the result. */
cJSON *json_from_lua(lua_State *L, int index, json_mode mode);

/* Pushes the JSON text of the value at this index, on one line or indented, and returns it. Raises as
 * json_from_lua does. */
const char *json_push_text(lua_State *L, int index, json_mode mode, bool indented);

/* Parses text and pushes its value. On bad input pushes nothing, returns 0 and sets *offset to where it
 * broke. Raises where it is longer than 64 MiB, needs too much memory, or is to end (long_work.h). */
int json_parse(lua_State *L, const char *text, size_t length, size_t *offset);

/* Pushes { face = the global `json` (encode decode null array), show = JSON text with secrets masked }. */
int json_open(lua_State *L);

#endif
