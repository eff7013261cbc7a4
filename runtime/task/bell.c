/* See bell.h. */
#include "task/bell.h"

#include "task/task.h"

#define BELL_TYPE "hostler.bell"

typedef struct listener listener;

struct bell {
    listener *first;
    lua_Integer rings;
};

struct listener {
    wait wait;
    bell *bell; /* NULL once it has been rung */
    listener *next;
};

bell *bell_check(lua_State *L, int index) {
    return luaL_checkudata(L, index, BELL_TYPE);
}

static void stop_listening(wait *w) {
    listener *l = (listener *)w;
    for (listener **link = l->bell ? &l->bell->first : NULL; link && *link; link = &(*link)->next) {
        if (*link == l) {
            *link = l->next;
            break;
        }
    }
    l->bell = NULL;
    wait_done(w);
}

static int finish_listening(lua_State *L, wait *w) {
    (void)L, (void)w;
    return 0;
}

int bell_new_lua(lua_State *L) {
    bell *b = lua_newuserdata(L, sizeof *b);
    *b = (bell){0};
    luaL_newmetatable(L, BELL_TYPE);
    lua_setmetatable(L, -2);
    return 1;
}

int bell_listen_lua(lua_State *L) {
    bell *b = bell_check(L, 1);
    listener *l = wait_new(L, sizeof *l, stop_listening, finish_listening);
    l->wait.what = "another task";
    l->bell = b;
    l->next = b->first;
    b->first = l;
    lua_createtable(L, 1, 0); /* the wait keeps the bell alive */
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    lua_setfenv(L, -2);
    return wait_park(L, &l->wait);
}

void bell_ring(bell *b) {
    b->rings++;
    while (b->first) {
        listener *l = b->first;
        b->first = l->next;
        l->bell = NULL;
        wait_done(&l->wait);
    }
}

int bell_ring_lua(lua_State *L) {
    bell_ring(bell_check(L, 1));
    return 0;
}

int bell_rings_lua(lua_State *L) {
    lua_pushinteger(L, bell_check(L, 1)->rings);
    return 1;
}
