/* Looks up the Lua files of the binary; see embed.h. */
#include "base/embed.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *name, const void *file) {
    return strcmp(name, ((const embedded_file *)file)->name);
}

const embedded_file *embedded_find(const char *name) {
    static size_t count;
    while (embedded_files[count].name)
        count++;
    return bsearch(name, embedded_files, count, sizeof *embedded_files, compare);
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

/* embedded(name) -> the text of a Lua file in the binary, or nil */
static int embedded_lua(lua_State *L) {
    const embedded_file *file = embedded_find(luaL_checkstring(L, 1));
    if (!file)
        return 0;
    lua_pushlstring(L, file->text, (size_t)(file->text_end - file->text));
    return 1;
}

/* load_embedded(name) -> a Lua file in the binary as a function, or nil when there is none */
static int load_embedded_lua(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    if (!embedded_find(name))
        return 0;
    embedded_load(L, name);
    return 1;
}

/* embedded_names() -> the names of the Lua files in the binary */
static int embedded_names_lua(lua_State *L) {
    lua_newtable(L);
    int count = 0;
    for (const embedded_file *file = embedded_files; file->name; file++) {
        lua_pushstring(L, file->name);
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

void embed_add(lua_State *L) {
    static const luaL_Reg functions[] = {{"embedded", embedded_lua},
                                         {"load_embedded", load_embedded_lua},
                                         {"embedded_names", embedded_names_lua},
                                         {NULL, NULL}};
    luaL_register(L, NULL, functions);
}
