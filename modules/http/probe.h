/* A look at a server's certificate. Internal to the http module. */
#ifndef HOSTLER_HTTP_PROBE_H
#define HOSTLER_HTTP_PROBE_H

#include <lua.h>

/* probe{host, url, timeout, ca_file, connect_to} -> {subject, issuer, not_before, not_after, names, verified,
 * problem}. Waits. */
int http_probe_lua(lua_State *L);

#endif
