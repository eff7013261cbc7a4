/* Processes of this machine: this one's directory, and signals to others. */
#ifndef HOSTLER_BASE_PROCESS_H
#define HOSTLER_BASE_PROCESS_H

#include <lua.h>

/* Adds to the table on top of the stack: signal(pid, number) change_directory(path). */
void process_add(lua_State *L);

#endif
