/* The HTTP server for Lua: of the runtime, and of the module http, whose server.lua has handlers and answers.
 */
#ifndef HOSTLER_WEB_WEB_H
#define HOSTLER_WEB_WEB_H

#include <lua.h>

/* Pushes a table of functions; lua.c says of each what it takes and returns:
 *   serve(options) -> server, port          port: 0 for a unix socket. Of options all but those in brackets
 * are given: address, port | path | fd           an IP address; a unix socket's file (mode 0660); an
 * inherited descriptor on which somebody listens already [certificate, key]                  PEM files limit
 * bytes of a request's body timeout, deadline                   seconds a client may be silent, and take for
 * a whole request connections, per_address            most at once, and from one address [large]
 * true: a request whose body is too large is one all the same, to be answered next(server) ->
 * request ...             as request_lua.h has it answer(server, id, answer)              a whole answer
 *   begin(server, id, status, headers), write(server, id, text), finish(server, id)    one in parts
 *   drop(server, id)
 *   close, drain, stop, stopped, status     (server) */
int web_open(lua_State *L);

#endif
