/* The HTTP server for Lua: of the runtime, and of the module http, whose server.lua has handlers and answers.
 */
#ifndef HOSTLER_WEB_WEB_H
#define HOSTLER_WEB_WEB_H

#include <lua.h>

/* Pushes a table of functions; lua.c says of each what it takes and returns:
 *
 *   serve(options) -> server, port    port: 0 for a unix socket
 *   next(server) -> request ...       as request_lua.h has it
 *   answer(server, id, answer)        a whole answer
 *   begin(server, id, status, headers), write(server, id, text), finish(server, id)    one in parts
 *   drop(server, id)
 *   renew(server, certificate, key)   for the connections that come from now on
 *   close, drain, stop, stopped, status     (server)
 *
 * All options of serve but those in brackets are given:
 *
 *   address, port              an IP address,
 *   or path, [group]           or a unix socket's file (mode 0660), and whose: a name, or a number's text
 *   or fd                      or an inherited descriptor that listens already
 *   [certificate, key]         PEM files
 *   limit                      bytes of a request's body
 *   [large]                    true: a request whose body is larger is one all the same, to be answered
 *   [memory]                   bytes held for all clients together (budget.h): a MiB or more, and `limit` or
 *                              more (64 MiB, or `limit`); who holds much the longest gives way
 *   timeout, deadline          seconds a client may be silent, and take for a whole request
 *   connections, per_address   most at once, and from one address */
int web_open(lua_State *L);

#endif
