/* A request as Lua sees it. */
#ifndef HOSTLER_WEB_REQUEST_LUA_H
#define HOSTLER_WEB_REQUEST_LUA_H

#include "web/connection.h"

#include <lua.h>

/* Pushes the connection's complete request:
 *   id        this number
 *   method
 *   target    as it was sent
 *   path      of the target, without percent-encoding
 *   query     name -> value, without percent-encoding; of a repeated name the last value
 *   headers   name in lower case -> value; of a repeated name all values, joined by ", " (Cookie: "; ")
 *   fields    the header fields as they were sent: a list of {name, value}
 *   body      the bytes
 *   too_large true: the body is larger than the server takes, and not there
 *   remote    the client's IP address, or
 *   peer      { uid, gid, pid } of a client on a unix socket */
void request_push(lua_State *L, lua_Integer id, const connection *c);

#endif
