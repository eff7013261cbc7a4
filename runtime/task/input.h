/* Standard input, a line at a time, without stopping the loop. */
#ifndef HOSTLER_TASK_INPUT_H
#define HOSTLER_TASK_INPUT_H

#include <lua.h>

/* Adds to the table on top of the stack: read_line(), which waits. */
void input_add(lua_State *L);

#endif
