/* Looks up the Lua files of the binary; the table itself is generated. */
#include "base/embed.h"

#include <lauxlib.h>
#include <string.h>

const embedded_file *embedded_find(const char *name) {
    for (const embedded_file *file = embedded_files; file->name; file++)
        if (strcmp(file->name, name) == 0)
            return file;
    return NULL;
}

/* A library of another version than at the build may not take the bytecode: then the text is compiled here.
 */
void embedded_load(lua_State *L, const char *name) {
    const embedded_file *file = embedded_find(name);
    if (!file)
        luaL_error(L, "no embedded file %s", name);
    if (luaL_loadbufferx(L, file->code, (size_t)(file->code_end - file->code), name, "b") == 0)
        return;
    lua_pop(L, 1);
    const char *chunk = lua_pushfstring(L, "=hostler:%s", name);
    if (luaL_loadbufferx(L, file->text, (size_t)(file->text_end - file->text), chunk, "t"))
        lua_error(L);
    lua_remove(L, -2);
}
