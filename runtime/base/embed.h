/* The Lua files baked into the binary: runtime/, modules/ and luacheck's parser, each as its text and
 * compiled. The table is made by the Makefile. */
#ifndef HOSTLER_BASE_EMBED_H
#define HOSTLER_BASE_EMBED_H

#include <lua.h>
#include <stddef.h>

typedef struct {
    const char *name; /* "modules/ssh.lua" */
    const char *text, *text_end;
    const char *code, *code_end; /* bytecode; empty where the file is not Lua */
} embedded_file;

/* In the order of their names; ends with a NULL name. */
extern const embedded_file embedded_files[];

/* The file of this name, or NULL. */
const embedded_file *embedded_find(const char *name);

/* Pushes the file as a function, in the chunk "=hostler:NAME"; raises when there is no such file. */
void embedded_load(lua_State *L, const char *name);

/* Adds to the table on top of the stack: embedded(name) load_embedded(name) embedded_names(). */
void embed_add(lua_State *L);

#endif
