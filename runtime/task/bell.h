/* Bells: how a task wakes those that wait for something to become so within this process. A listener looks,
 * and listens again when it is not so yet; no ring is lost, for between looking and listening no other task
 * runs. */
#ifndef HOSTLER_TASK_BELL_H
#define HOSTLER_TASK_BELL_H

#include <lua.h>

typedef struct bell bell;

/* The bell at this index of the stack; raises for another value. */
bell *bell_check(lua_State *L, int index);

/* Wakes all who listen now. For a callback of libuv; the bell has to be kept from the collector. */
void bell_ring(bell *b);

/* bell() -> a bell */
int bell_new_lua(lua_State *L);

/* listen(bell): waits until it rings. */
int bell_listen_lua(lua_State *L);

/* ring(bell): wakes all who listen now. */
int bell_ring_lua(lua_State *L);

/* rings(bell) -> how often it has rung: for those who do something else between looking and listening. */
int bell_rings_lua(lua_State *L);

#endif
