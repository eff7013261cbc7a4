/* Processes of this machine: this one's directory and limits, and signals to others. */
#ifndef HOSTLER_BASE_PROCESS_H
#define HOSTLER_BASE_PROCESS_H

#include <lua.h>

/* Lets this process have as many files and connections open as the system allows it: what it is given at
 * first is far less, and meant for programs that use select(2). What it starts inherits that. */
void process_raise_descriptors(void);

/* Adds to the table on top of the stack: signal(pid, number) change_directory(path). */
void process_add(lua_State *L);

#endif
