/* Values that may be used but not seen: secrets and unknowns.
 *
 * A secret holds text that only an effect may unwrap. tostring shows [secret]; text concatenated with one is
 * a secret too, and shows what is not secret of it. An unknown stands, in a dry run, for what only the real
 * run will know; it shows as <create droplet.id>. Both are userdata. */
#ifndef HOSTLER_SECRET_H
#define HOSTLER_SECRET_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* Pushes a secret of this text and remembers the text, so that scrub() hides it from now on. */
void secret_push(lua_State *L, const char *text, size_t length);

/* The plain text of a string, number or secret at this index; raises for other types. Unwrapping a secret
 * outside an effect raises. The text lives as long as the value does. */
const char *secret_tolstring(lua_State *L, int index, size_t *length);

/* The same at any time, for what neither shows nor keeps the text: joining it to another, sealing it. */
const char *secret_plain(lua_State *L, int index, size_t *length);

/* What may be shown of a string, number, secret or unknown; NULL for other types. */
const char *secret_shown(lua_State *L, int index, size_t *length);

bool secret_is(lua_State *L, int index);
bool unknown_is(lua_State *L, int index);
void unknown_push(lua_State *L, const char *shown, size_t length);

/* A copy of the text with every secret seen so far replaced by [secret]: plain, base64, URL-encoded,
 * shell-quoted and JSON-escaped. Secrets shorter than six bytes are not searched for: they would hit words
 * that mean nothing. Free with free(). */
char *scrub(const char *text, size_t length, size_t *scrubbed_length);

/* Pushes a table: new random is reveal derive scrub; and unknown functions: unknown is_unknown. */
int secret_open(lua_State *L);

#endif
