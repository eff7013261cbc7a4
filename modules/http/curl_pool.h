/* libcurl's transfers on the loop.
 *
 * Any number run at once and share one pool of connections; each is the wait of one task. Used so:
 *   1. t = curl_pool_new(L, sizeof *t, finish, release)   pushes the transfer's userdata
 *   2. set options on t->easy; keep what they point to in the transfer, and free it in `release`.
 *      curl_pool_set_time and curl_pool_set_detours are for those that the pool has to know
 *   3. return curl_pool_park(L, t)
 *   4. finish(L, wait) finds t->result and t->problem, and the answers of curl_easy_getinfo */
#ifndef HOSTLER_HTTP_CURL_POOL_H
#define HOSTLER_HTTP_CURL_POOL_H

#include "curl_names.h"
#include "task/task.h"

typedef struct curl_pool_transfer curl_pool_transfer;

struct curl_pool_transfer {
    wait wait;
    CURL *easy;
    CURLcode result;
    char problem[CURL_ERROR_SIZE]; /* libcurl's words for the result; may be empty */
    void (*release)(curl_pool_transfer
                        *); /* frees what the options pointed to; called once, maybe before it was parked */
    curl_names names;
    struct curl_slist *detours;
    bool running;
    bool asks; /* it stopped, since libcurl would have looked for an address */
    bool may_ask;
};

/* Pushes a zeroed userdata of `size` bytes whose first member is a transfer. */
void *curl_pool_new(lua_State *L, size_t size, int (*finish)(lua_State *, wait *),
                    void (*release)(curl_pool_transfer *));

/* How long it may take, in milliseconds, to connect and as a whole. */
void curl_pool_set_time(curl_pool_transfer *t, long connect_time, long whole_time);

/* Places to connect to instead of others: CURLOPT_CONNECT_TO, whose list becomes the transfer's. */
void curl_pool_set_detours(curl_pool_transfer *t, struct curl_slist *detours);

/* Starts the transfer whose userdata is on top of the stack and parks the task until it ends. A cancellation
 * breaks the transfer off at once. */
int curl_pool_park(lua_State *L, curl_pool_transfer *t);

/* Frees the handle and what `release` frees, earlier than the collector would. */
void curl_pool_free(curl_pool_transfer *t);

#endif
