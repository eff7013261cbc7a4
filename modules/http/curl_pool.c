/* Drives libcurl's multi interface from libuv: sockets become uv_poll handles, its one timer a uv_timer.
 * See curl_pool.h.
 *
 * Whether a transfer needs a name's address only libcurl knows: it may have a connection, or the address from
 * before. So a transfer that needs one is stopped there, the address is found, and it starts again. */
#include "http/curl_pool.h"

#include "base/scrub.h"
#include "task/handle.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRANSFER_TYPE "hostler.curl_pool.transfer"
#define POOL_TYPE "hostler.curl_pool"
#define IDLE_CONNECTIONS 64

/* The pool lives from the first transfer of a world to its end. */
static struct {
    CURLM *multi;
    uv_timer_t *timer;
    size_t users; /* transfers not yet freed, and the world itself */
} pool;

typedef struct {
    uv_poll_t poll;
    curl_socket_t socket;
} socket_watch;

static void end(curl_pool_transfer *t, CURLcode result) {
    t->result = result;
    wait_done(&t->wait);
}

/* ---- names ---- */

/* libcurl is about to look for an address. */
static int on_question(void *unused_state, void *unused, void *data) {
    (void)unused_state, (void)unused;
    curl_pool_transfer *t = data;
    t->asks = !t->may_ask;
    t->may_ask = false;
    return t->asks;
}

static CURLMcode start(curl_pool_transfer *t) {
    t->asks = false;
    CURLMcode code = curl_multi_add_handle(pool.multi, t->easy);
    t->running = code == CURLM_OK;
    return code;
}

static void start_again(curl_pool_transfer *t) {
    if (start(t) != CURLM_OK)
        end(t, CURLE_OUT_OF_MEMORY);
}

static void on_name(void *data) {
    curl_pool_transfer *t = data;
    if (!t->names.problem) {
        start_again(t);
        return;
    }
    scrub_format(t->problem, sizeof t->problem, "%s", t->names.problem);
    end(t, t->names.too_late ? CURLE_OPERATION_TIMEDOUT : t->result);
}

/* Where the transfer that stopped with this result wanted to go. */
static curl_place wanted_place(curl_pool_transfer *t, CURLcode result) {
    char *url = NULL;
    curl_easy_getinfo(t->easy, CURLINFO_EFFECTIVE_URL, &url);
    return result == CURLE_COULDNT_RESOLVE_PROXY ? curl_place_of_proxy(url)
                                                 : curl_place_of_url(url, t->detours);
}

/* libcurl may go on by itself with what is no name, and with what it was given the address of. */
static void find_address(curl_pool_transfer *t, CURLcode result) {
    curl_place place = wanted_place(t, result);
    const curl_place *last = &t->names.place;
    bool known = last->host && place.host && strcmp(last->host, place.host) == 0 && last->port == place.port;
    t->result =
        result == CURLE_COULDNT_RESOLVE_PROXY ? CURLE_COULDNT_RESOLVE_PROXY : CURLE_COULDNT_RESOLVE_HOST;
    if (place.host && !known && curl_place_is_name(&place)) {
        curl_names_find(&t->names, place, on_name, t);
        return;
    }
    curl_place_free(&place);
    t->may_ask = true;
    start_again(t);
}

/* Takes ended transfers out and wakes their tasks. */
static void collect_ended(void) {
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(pool.multi, &left));) {
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_pool_transfer *t = NULL;
        CURLcode result = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        curl_multi_remove_handle(pool.multi, t->easy);
        t->running = false;
        if (t->asks && result != CURLE_OK)
            find_address(t, result);
        else
            end(t, result);
    }
}

static void on_readiness(uv_poll_t *poll, int status, int events) {
    socket_watch *watch = (socket_watch *)poll;
    int flags = status < 0 ? CURL_CSELECT_ERR : events & UV_READABLE ? CURL_CSELECT_IN : 0;
    if (status >= 0 && events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    int running;
    curl_multi_socket_action(pool.multi, watch->socket, flags, &running);
    collect_ended();
}

static void on_timer(uv_timer_t *timer) {
    (void)timer;
    int running;
    curl_multi_socket_action(pool.multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect_ended();
}

static int on_timer_change(CURLM *multi, long milliseconds, void *unused) {
    (void)multi, (void)unused;
    if (milliseconds < 0) {
        uv_timer_stop(pool.timer);
        return 0;
    }
    uv_update_time(task_loop());
    uv_timer_start(pool.timer, on_timer, (uint64_t)milliseconds, 0);
    return 0;
}

static socket_watch *watch_new(curl_socket_t socket) {
    socket_watch *watch = malloc(sizeof *watch);
    if (!watch)
        return NULL;
    watch->socket = socket;
    if (uv_poll_init_socket(task_loop(), &watch->poll, socket)) {
        free(watch);
        return NULL;
    }
    curl_multi_assign(pool.multi, socket, watch);
    return watch;
}

static int on_socket_change(CURL *easy, curl_socket_t socket, int what, void *unused, void *assigned) {
    (void)easy, (void)unused;
    socket_watch *watch = assigned;
    if (what == CURL_POLL_REMOVE) {
        if (watch)
            handle_discard(&watch->poll);
        curl_multi_assign(pool.multi, socket, NULL);
        return 0;
    }
    if (!watch && !(watch = watch_new(socket)))
        return -1;
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&watch->poll, events, on_readiness) ? -1 : 0;
}

/* ---- the pool ---- */

static void leave_pool(void) {
    if (--pool.users > 0)
        return;
    curl_multi_cleanup(pool.multi);
    handle_discard(pool.timer);
    memset(&pool, 0, sizeof pool);
}

static int pool_gc(lua_State *L) {
    (void)L;
    leave_pool();
    return 0;
}

/* libcurl's and OpenSSL's start-up costs milliseconds, so it waits for the first transfer. */
static void join_pool(lua_State *L) {
    if (pool.users > 0) {
        pool.users++;
        return;
    }
    uv_timer_t *timer = malloc(sizeof *timer);
    CURLM *multi = timer && curl_global_init(CURL_GLOBAL_DEFAULT) == 0 ? curl_multi_init() : NULL;
    if (!multi) {
        free(timer);
        luaL_error(L, "libcurl cannot start");
    }
    uv_timer_init(task_loop(), timer);
    pool.multi = multi;
    pool.timer = timer;
    pool.users = 1;
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket_change);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer_change);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS);
    lua_newuserdata(L, 1);
    if (luaL_newmetatable(L, POOL_TYPE)) {
        lua_pushcfunction(L, pool_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    pool.users++;
    luaL_ref(L, LUA_REGISTRYINDEX); /* collected when the world ends */
}

/* ---- transfers ---- */

static void stop(curl_pool_transfer *t) {
    if (t->running)
        curl_multi_remove_handle(pool.multi, t->easy);
    t->running = false;
    curl_names_give_up(&t->names);
}

static void cancel_transfer(wait *w) {
    stop((curl_pool_transfer *)w);
    wait_done(w);
}

void curl_pool_free(curl_pool_transfer *t) {
    if (!t->easy)
        return;
    stop(t);
    curl_easy_cleanup(t->easy);
    t->easy = NULL;
    curl_names_free(&t->names);
    curl_slist_free_all(t->detours);
    t->release(t);
    leave_pool();
}

static int transfer_gc(lua_State *L) {
    curl_pool_free(lua_touserdata(L, 1));
    return 0;
}

void *curl_pool_new(lua_State *L, size_t size, int (*finish)(lua_State *, wait *),
                    void (*release)(curl_pool_transfer *)) {
    curl_pool_transfer *t = wait_new(L, size, cancel_transfer, finish);
    t->release = release;
    if (luaL_newmetatable(L, TRANSFER_TYPE)) {
        lua_pushcfunction(L, transfer_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    join_pool(L);
    t->easy = curl_easy_init();
    if (!t->easy) {
        leave_pool();
        luaL_error(L, "out of memory");
    }
    curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
    curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->problem);
    curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->easy, CURLOPT_RESOLVER_START_FUNCTION, on_question);
    curl_easy_setopt(t->easy, CURLOPT_RESOLVER_START_DATA, t);
    return t;
}

void curl_pool_set_time(curl_pool_transfer *t, long connect_time, long whole_time) {
    curl_names_begin(&t->names, t->easy, connect_time, whole_time);
}

void curl_pool_set_detours(curl_pool_transfer *t, struct curl_slist *detours) {
    t->detours = detours;
    curl_easy_setopt(t->easy, CURLOPT_CONNECT_TO, detours);
}

int curl_pool_park(lua_State *L, curl_pool_transfer *t) {
    CURLMcode code = start(t);
    if (code)
        return luaL_error(L, "libcurl: %s", curl_multi_strerror(code));
    return wait_park(L, &t->wait);
}
