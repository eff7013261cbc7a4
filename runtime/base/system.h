/* What the prelude needs from this machine: clock, environment, local files to read, the terminal. */
#ifndef HOSTLER_SYSTEM_H
#define HOSTLER_SYSTEM_H

#include <lua.h>

int system_open(lua_State *L);

/* Pushes true, or nil and the text of an errno. Returns how many values. */
int system_push_outcome(lua_State *L, int problem);

/* Writes all of it; returns 0 or an errno. */
int system_write_all(int fd, const char *text, size_t length);

#endif
