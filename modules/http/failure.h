/* A transfer that failed, as an error. Internal to the http module. */
#ifndef HOSTLER_HTTP_FAILURE_H
#define HOSTLER_HTTP_FAILURE_H

#include "http/curl_pool.h"

/* Raises the error of a transfer that failed: "http.dns", "http.connect", "http.tls", "timeout", "http.body"
 * or "http". Its field `unclear` says whether the request may have reached the server; `temporary` is true
 * for a TLS session that failed without a word about trust, so that it may be another time. */
int http_raise_failure(lua_State *L, curl_pool_transfer *t);

/* Raises for an answer that libcurl takes for one and that is none: its headers broke off, or it switches
 * protocols. */
void http_check_answer(lua_State *L, curl_pool_transfer *t, bool has_whole_head);

#endif
