/* The Lua files baked into the binary: runtime/lua/, modules/ and luacheck's parser. The table is made by the
 * Makefile. */
#ifndef HOSTLER_EMBED_H
#define HOSTLER_EMBED_H

#include <stddef.h>

typedef struct {
    const char *name; /* "modules/ssh.lua" */
    const char *text;
    const char *end;
} embedded_file;

/* Ends with a NULL name. */
extern const embedded_file embedded_files[];

/* The file of this name, or NULL. */
const embedded_file *embedded_find(const char *name);

#endif
