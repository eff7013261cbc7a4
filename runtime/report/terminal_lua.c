/* See terminal_lua.h. What is written is scrubbed. */
#include "report/terminal_lua.h"

#include "base/scrub.h"
#include "report/terminal.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int write_scrubbed(lua_State *L, FILE *out) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    char *clean = scrub(text, length, &length);
    terminal_print(out, clean, length);
    free(clean);
    return 0;
}

static int write_lua(lua_State *L) {
    return write_scrubbed(L, stdout);
}

static int write_error_lua(lua_State *L) {
    return write_scrubbed(L, stderr);
}

/* write_page(text, to_error): to standard output, or to standard error; on a terminal fitted to its width */
static int write_page_lua(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    char *clean = scrub(text, length, &length);
    terminal_page(lua_toboolean(L, 2) ? stderr : stdout, clean);
    free(clean);
    return 0;
}

static int isatty_lua(lua_State *L) {
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

/* width() -> columns of the terminal on standard output, or 80 */
static int width_lua(lua_State *L) {
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    lua_pushinteger(L, known ? size.ws_col : 80);
    return 1;
}

void terminal_lua_add(lua_State *L) {
    static const luaL_Reg functions[] = {{"write", write_lua},           {"write_error", write_error_lua},
                                         {"write_page", write_page_lua}, {"isatty", isatty_lua},
                                         {"width", width_lua},           {NULL, NULL}};
    luaL_register(L, NULL, functions);
}
