/* The answer to a request. */
#ifndef HOSTLER_WEB_REPLY_H
#define HOSTLER_WEB_REPLY_H

#include <lua.h>
#include <microhttpd.h>

/* Makes *response, in the place of one that may be there, and *status of the table at `index`: {status,
 * headers, body | json, cut}. Raises "usage" for a header that cannot be sent. */
void reply_build(lua_State *L, int index, struct MHD_Response **response, unsigned *status);

#endif
