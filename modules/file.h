/* Files of this machine, read and replaced whole. */
#ifndef HOSTLER_LOCAL_FILE_H
#define HOSTLER_LOCAL_FILE_H

#include <lua.h>

/* read(path, [most bytes]) -> text, or nil and why not. At most 256 MiB. */
int local_file_read(lua_State *L);

/* write(path, text, mode) -> nothing, or why not. Whole or not at all: others see the old file or the new
 * one. A file that exists keeps its mode and owner, a link stays one. */
int local_file_write(lua_State *L);

/* stat(path) -> { kind, size, mode, modified }, or nil and why not; nil alone when there is none. */
int local_file_stat(lua_State *L);

#endif
