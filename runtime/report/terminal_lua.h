/* Standard output and the screen, for the prelude. */
#ifndef HOSTLER_REPORT_TERMINAL_LUA_H
#define HOSTLER_REPORT_TERMINAL_LUA_H

#include <lua.h>

/* Adds to the table on top of the stack: write(text) write_painted(text) write_page(text, to_error)
 * write_data(text) write_error(text) isatty(descriptor) width(). What is written is scrubbed, and shown as
 * base/text.h says. */
void terminal_lua_add(lua_State *L);

#endif
