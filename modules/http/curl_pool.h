/* libcurl's transfers on the loop.
 *
 * Any number run at once and share one pool of connections; each is the wait of one task. Used so:
 *   1. t = curl_pool_new(L, sizeof *t, finish, release)   pushes the transfer's userdata
 *   2. set options on t->easy; keep what they point to in the transfer, and free it in `release`
 *   3. return curl_pool_park(L, t)
 *   4. finish(L, wait) finds t->result and t->problem, and the answers of curl_easy_getinfo */
#ifndef HOSTLER_HTTP_CURL_POOL_H
#define HOSTLER_HTTP_CURL_POOL_H

#include "task/task.h"

#include <curl/curl.h>

typedef struct curl_pool_transfer curl_pool_transfer;

struct curl_pool_transfer {
    wait wait;
    CURL *easy;
    CURLcode result;
    char problem[CURL_ERROR_SIZE]; /* libcurl's words for the result; may be empty */
    void (*release)(curl_pool_transfer
                        *); /* frees what the options pointed to; called once, maybe before it was parked */
    bool running;
};

/* Pushes a zeroed userdata of `size` bytes whose first member is a transfer. */
void *curl_pool_new(lua_State *L, size_t size, int (*finish)(lua_State *, wait *),
                    void (*release)(curl_pool_transfer *));

/* Starts the transfer whose userdata is on top of the stack and parks the task until it ends. A cancellation
 * breaks the transfer off at once. */
int curl_pool_park(lua_State *L, curl_pool_transfer *t);

/* Frees the handle and what `release` frees, earlier than the collector would. */
void curl_pool_free(curl_pool_transfer *t);

#endif
