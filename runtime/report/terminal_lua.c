/* See terminal_lua.h. */
#include "report/terminal_lua.h"

#include "base/scrub.h"
#include "base/text.h"
#include "report/terminal.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Prints the text at index 1, scrubbed, as far as `show` lets it be shown; all of it without one. */
static int print(lua_State *L, FILE *out, void (*show)(text_buffer *, const char *, size_t)) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    char *clean = scrub(text, length, &length);
    text_buffer shown = {0};
    if (show)
        show(&shown, clean, length);
    else
        text_add(&shown, clean, length);
    terminal_print(out, shown.text, shown.length);
    text_free(&shown);
    free(clean);
    return 0;
}

/* write(text): for people, on standard output. */
static int write_lua(lua_State *L) {
    return print(L, stdout, text_lines);
}

/* write_painted(text): the same, with the codes of styles in it. */
static int write_painted_lua(lua_State *L) {
    return print(L, stdout, text_painted_lines);
}

/* write_data(text): for a program, byte for byte; for people where there is a terminal. */
static int write_data_lua(lua_State *L) {
    return print(L, stdout, isatty(STDOUT_FILENO) ? text_lines : NULL);
}

/* write_error(text): for people, on standard error, also where that is a log. */
static int write_error_lua(lua_State *L) {
    return print(L, stderr, text_lines);
}

/* write_page(text, to_error): for people, on standard output, or on standard error; on a terminal fitted to
 * its width */
static int write_page_lua(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    char *clean = scrub(text, length, &length);
    text_buffer shown = {0};
    text_lines(&shown, clean, length);
    terminal_page(lua_toboolean(L, 2) ? stderr : stdout, shown.text ? shown.text : "");
    text_free(&shown);
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
    static const luaL_Reg functions[] = {{"write", write_lua},
                                         {"write_painted", write_painted_lua},
                                         {"write_page", write_page_lua},
                                         {"write_data", write_data_lua},
                                         {"write_error", write_error_lua},
                                         {"isatty", isatty_lua},
                                         {"width", width_lua},
                                         {NULL, NULL}};
    luaL_register(L, NULL, functions);
}
