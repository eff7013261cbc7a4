/* What the parts of the module `http` give each other. */
#ifndef HOSTLER_HTTP_H
#define HOSTLER_HTTP_H

#include "http/curl_pool.h"

/* Raises the error of a transfer that failed: "http.dns", "http.connect", "http.tls", "timeout", "http.body"
 * or "http". Its field `sent` says whether the request may have reached the server. */
int http_raise_failure(lua_State *L, transfer *t);

/* Milliseconds of the number of seconds in field `name` of the options at `index`; raises for what is no
 * duration. */
long http_option_milliseconds(lua_State *L, int index, const char *name);

/* Sets the CA file and the addresses to connect to from the options at `index`, and the timeout. */
void http_set_connection(lua_State *L, int index, transfer *t);

/* probe(options), a waiting function: probe.c. */
int http_probe_lua(lua_State *L);

#endif
