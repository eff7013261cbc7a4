/* A connection's life on the loop; see connection.h. */
#include "postgres/connection.h"

#include "base/error.h"
#include "postgres/error.h"
#include "task/handle.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HANDLE_TYPE "hostler.postgres"

/* ---- the limit ---- */

void pg_start_timer(pg_connection *c, double seconds, uv_timer_cb over) {
    if (!c->timer) {
        c->timer = calloc(1, sizeof *c->timer);
        if (!c->timer)
            abort();
        uv_timer_init(task_loop(), c->timer);
        c->timer->data = c;
    }
    uv_update_time(task_loop());
    uv_timer_start(c->timer, over, (uint64_t)(seconds * 1000), 0);
}

void pg_stop_timer(pg_connection *c) {
    handle_discard(c->timer);
    c->timer = NULL;
}

/* ---- the handle ---- */

void pg_lose(pg_connection *c, const char *reason) {
    if (!c->lost) {
        c->lost = strdup(reason);
        size_t length = c->lost ? strlen(c->lost) : 0;
        while (length > 0 && c->lost[length - 1] == '\n')
            c->lost[--length] = '\0';
    }
    postgres_dial_unwatch(&c->poll);
    pg_stop_timer(c);
    if (c->cancelling)
        pg_cancel_forget(c->cancelling);
    c->cancelling = NULL;
    if (c->attempt)
        postgres_dial_give_up(c->attempt);
    c->attempt = NULL;
    PQfinish(c->link);
    c->link = NULL;
}

static void free_connection(pg_connection *c) {
    pg_lose(c, "closed");
    pg_notices_free(c->notices);
    free(c->lost);
    free(c);
}

pg_connection *pg_push_handle(lua_State *L, const char *name) {
    pg_connection **handle = lua_newuserdata(L, sizeof *handle);
    *handle = NULL;
    luaL_getmetatable(L, HANDLE_TYPE);
    lua_setmetatable(L, -2);
    *handle = calloc(1, sizeof **handle);
    if (!*handle)
        luaL_error(L, "out of memory");
    snprintf((*handle)->name, sizeof(*handle)->name, "%s", name);
    return *handle;
}

pg_connection *pg_check(lua_State *L, int index) {
    pg_connection **handle = luaL_checkudata(L, index, HANDLE_TYPE);
    return *handle;
}

pg_connection *pg_check_not_busy(lua_State *L, int index) {
    pg_connection *c = pg_check(L, index);
    if (!c->operation)
        return c;
    error_push(L, "pg.busy", "the connection to %s is busy with: %s", c->name, c->doing);
    error_set(L, "hint", "two tasks cannot use one connection at the same time: open one for each");
    lua_error(L);
    return NULL;
}

pg_connection *pg_check_idle(lua_State *L, int index) {
    pg_connection *c = pg_check_not_busy(L, index);
    if (!c->link)
        pg_raise_lost(L, c->name, c->lost, false);
    return c;
}

static int handle_gc(lua_State *L) {
    pg_connection **handle = lua_touserdata(L, 1);
    if (*handle)
        free_connection(*handle);
    *handle = NULL;
    return 0;
}

void pg_connection_open(lua_State *L) {
    luaL_newmetatable(L, HANDLE_TYPE);
    lua_pushcfunction(L, handle_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}
