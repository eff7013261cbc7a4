/* Files of this machine, read and replaced whole. */
#ifndef HOSTLER_FILE_H
#define HOSTLER_FILE_H

#include <lua.h>

/* read(path, [most bytes]) -> text, or nil and why not. An ordinary file, of at most 256 MiB. */
int file_read(lua_State *L);

/* write(path, text, mode) -> nothing, or why not. Whole or not at all: others see the old file or the new
 * one. A file that exists keeps its mode and owner, a link stays one. */
int file_write(lua_State *L);

/* stat(path) -> { kind, size, mode, modified }, or nil and why not; nil alone when there is none. */
int file_stat(lua_State *L);

#endif
