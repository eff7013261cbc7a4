/* One Lua world: its state, its strict globals, its modules. A process has one at a time. */
#ifndef HOSTLER_HOST_H
#define HOSTLER_HOST_H

#include <lua.h>

typedef struct {
    const char *name;
    lua_CFunction open; /* pushes the table of C functions that modules/NAME.lua receives */
} native_module;

/* The C halves of modules, ends with a NULL name: modules.c, the only place where the runtime names them. */
extern const native_module native_modules[];

/* Makes the world: libraries, natives, and the Lua files of runtime/.
 * Exits the process with a message when memory or a library fails, for nothing can be reported better then.
 */
lua_State *host_open(void);

/* Calls function `name` of the embedded file runtime/FILE.lua as the root task, with the `arguments` values
 * on top of the stack. Returns an exit status: the integer the function returned, or 1 (130 when interrupted)
 * after printing the error it raised. */
int host_call(lua_State *L, const char *file, const char *name, int arguments);

/* Leaves nothing of it: another one may follow. */
void host_close(lua_State *L);

#endif
