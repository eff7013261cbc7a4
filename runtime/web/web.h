/* The HTTP server for Lua: of the runtime, and of the module http, whose server.lua has handlers and answers.
 */
#ifndef HOSTLER_WEB_WEB_H
#define HOSTLER_WEB_WEB_H

#include <lua.h>

/* Pushes a table: serve(options) -> server, port; next, answer, drop, close, stop, stopped; see lua.c. */
int web_open(lua_State *L);

#endif
