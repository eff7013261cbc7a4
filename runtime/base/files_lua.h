/* Files of this machine for the prelude: to read, and those that hostler itself writes. */
#ifndef HOSTLER_BASE_FILES_LUA_H
#define HOSTLER_BASE_FILES_LUA_H

#include <lua.h>
#include <stddef.h>

#define FILES_LARGEST (16 * 1024 * 1024) /* unless its reader expects more */

/* Pushes an ordinary file's content; returns 0, or a problem of base/files.h with nothing pushed. */
int files_push_text(lua_State *L, const char *path, size_t most);

/* The same of an open one, from where it stands. */
int files_push_open(lua_State *L, int fd, size_t most);

/* Raises "usage" where `path` is no ordinary file, for which a library that opens it by name would wait.
 * NULL, and what else is wrong with it, is for the library. `what` is the option that has it. */
void files_check_given(lua_State *L, const char *what, const char *path);

/* Adds to the table on top of the stack what is for hostler's own files:
 *   read_file(path, most bytes or nil)   -> text, or nil, reason
 *   write_private(path, text)            whole or not at all, its owner's alone        -> true, or nil,
 * reason append_private(path, text)           the directory is made where it is missing     -> true, or nil,
 * reason make_private_parent(path)            the directories above it                      -> true, or nil,
 * reason list_files(directory)                -> names in it, sorted; nil when it cannot be read kind(path)
 * -> "file", "directory", "other", or nil real_path(path)                      -> absolute path without
 * links, or nil */
void files_lua_add(lua_State *L);

/* Adds what commands write for the person, playbooks and definition files:
 *   make_directory(path)   with those above it                  -> true, or nil, reason
 *   write(path, text)      whole or not at all, through links   -> true, or nil, reason
 *   create(path, text)     only where there is no such file     -> true, or nil, reason
 *   remove(path)                                                -> true, or nil, reason */
void files_lua_add_for_users(lua_State *L);

#endif
