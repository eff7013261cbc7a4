/* Bells: how a task wakes those that wait for something to become so within this process. A listener looks,
 * and listens again when it is not so yet; no ring is lost, for between looking and listening no other task
 * runs. */
#ifndef HOSTLER_TASK_BELL_H
#define HOSTLER_TASK_BELL_H

#include <lua.h>

/* bell() -> a bell */
int bell_new_lua(lua_State *L);

/* listen(bell): waits until it rings. */
int bell_listen_lua(lua_State *L);

/* ring(bell): wakes all who listen now. */
int bell_ring_lua(lua_State *L);

#endif
