/* How a transfer is to connect. Internal to the http module. */
#ifndef HOSTLER_HTTP_CONNECTION_H
#define HOSTLER_HTTP_CONNECTION_H

#include <curl/curl.h>
#include <lua.h>

/* Sets CA file, verification, addresses to connect to and timeout from the options at `index`: ca_file,
 * insecure, connect_to, timeout. The list of addresses is for the caller to free after the transfer. */
struct curl_slist *http_connection_set(lua_State *L, int index, CURL *easy);

#endif
