/* How a transfer is to connect. Internal to the http module. */
#ifndef HOSTLER_HTTP_CONNECTION_H
#define HOSTLER_HTTP_CONNECTION_H

#include "http/curl_pool.h"

/* Sets CA file, verification, addresses to connect to and timeout from the options at `index`: ca_file,
 * insecure, connect_to, timeout. */
void http_connection_set(lua_State *L, int index, curl_pool_transfer *t);

#endif
