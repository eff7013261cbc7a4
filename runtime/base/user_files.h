/* Files that commands write for the person: playbooks, definition files. Not those of runs, which pass the
 * gate. */
#ifndef HOSTLER_USER_FILES_H
#define HOSTLER_USER_FILES_H

#include <lua.h>

/* Pushes a table of functions:
 *   make_directory(path)   with those above it                  -> true, or nil, reason
 *   write(path, text)      whole or not at all, through links   -> true, or nil, reason
 *   create(path, text)     only where there is no such file     -> true, or nil, reason
 *   remove(path)                                                -> true, or nil, reason */
int user_files_open(lua_State *L);

#endif
