/* Makes the Lua world and runs root tasks in it; see host.h. */
#include "host.h"

#include "base/clock.h"
#include "base/code.h"
#include "base/core_dump.h"
#include "base/embed.h"
#include "base/environment.h"
#include "base/error.h"
#include "base/files_lua.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/pattern_lua.h"
#include "base/process.h"
#include "base/scrub.h"
#include "base/seal.h"
#include "base/secret.h"
#include "base/table_lua.h"
#include "base/text.h"
#include "base/text_lua.h"
#include "base/unique.h"
#include "base/unknown.h"
#include "event/event.h"
#include "inbox/inbox.h"
#include "journal/journal.h"
#include "net/local_socket.h"
#include "prompt/line_editor.h"
#include "report/reports.h"
#include "report/terminal_lua.h"
#include "serve/systemd.h"
#include "task/child.h"
#include "task/foreground.h"
#include "task/input.h"
#include "task/interrupt.h"
#include "task/program.h"
#include "task/task.h"
#include "web/web.h"

#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_FAILED 1
#define EXIT_INTERRUPTED 130
#define EXIT_USAGE 2

static const char import_key = 0; /* registry: the `import` function that world.lua returns */

static void add(lua_State *L, const char *name, lua_CFunction open) {
    lua_pushcfunction(L, open);
    lua_call(L, 0, 1);
    lua_setfield(L, -2, name);
}

/* Adds functions to the table on top of the stack. */
typedef void (*part)(lua_State *L);

static const part secret_parts[] = {secret_add, unknown_add, NULL};
static const part system_parts[] = {clock_add,  environment_add,  files_lua_add, process_add,
                                    unique_add, code_add,         embed_add,     text_lua_add,
                                    input_add,  terminal_lua_add, NULL};
static const part table_parts[] = {table_lua_add, NULL};
static const part inbox_parts[] = {proof_add, json_body_add, xml_body_add, NULL};
static const part serve_parts[] = {systemd_add, NULL};
static const part user_file_parts[] = {files_lua_add_for_users, NULL};

static void add_parts(lua_State *L, const char *name, const part *parts) {
    lua_newtable(L);
    for (; *parts; parts++)
        (*parts)(L);
    lua_setfield(L, -2, name);
}

/* module_natives(name) -> the table of C functions of a module with a C half, or nil */
static int module_natives(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    for (const native_module *module = native_modules; module->name; module++) {
        if (strcmp(module->name, name) != 0)
            continue;
        lua_pushcfunction(L, module->open);
        lua_call(L, 0, 1);
        return 1;
    }
    return 0;
}

static int build_world(lua_State *L) {
    luaL_openlibs(L);
    pattern_lua_replace(L);
    /* Compiled traces ignore hooks, and opening the jit library turns the compiler on: this comes after. */
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    lua_newtable(L);
    add(L, "task", task_open);
    add(L, "error", error_open);
    add_parts(L, "secret", secret_parts);
    add(L, "json", json_open);
    add(L, "event", event_open);
    add(L, "report", reports_open);
    add_parts(L, "system", system_parts);
    add(L, "line_editor", line_editor_lua_open);
    add(L, "journal", journal_open);
    add(L, "child", child_open);
    add(L, "program", program_open);
    add(L, "local_socket", local_socket_open);
    add(L, "web", web_open);
    add(L, "seal", seal_open);
    add_parts(L, "tables", table_parts);
    add_parts(L, "inbox", inbox_parts);
    add_parts(L, "serve", serve_parts);
    add_parts(L, "user_files", user_file_parts);
    lua_pushcfunction(L, foreground_run);
    lua_setfield(L, -2, "run_in_foreground");
    lua_pushcfunction(L, module_natives);
    lua_setfield(L, -2, "module_natives");
    embedded_load(L, "runtime/world.lua");
    lua_insert(L, -2);
    lua_call(L, 1, 1);
    lua_pushlightuserdata(L, (void *)&import_key);
    lua_insert(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
    return 0;
}

/* Lua's last word, where nobody can catch an error: this machine's memory is at its end. */
static int on_panic(lua_State *L) {
    const char *message = lua_tostring(L, -1);
    fprintf(stderr, "hostler: %s; what this run did is on record: hostler log last\n",
            message ? message : "an error that nothing could catch");
    return 0;
}

lua_State *host_open(void) {
    core_dump_forbid(); /* from the beginning: there may be secrets in the environment */
    lua_State *L = luaL_newstate();
    if (!L) {
        fputs("hostler: out of memory\n", stderr);
        exit(EXIT_FAILED);
    }
    lua_atpanic(L, on_panic);
    if (!memory_limit(L, interrupt_soon)) {
        fputs("hostler: HOSTLER_MEMORY is a number of MiB from 64 to 65536\n", stderr);
        exit(EXIT_USAGE);
    }
    lua_gc(L, LUA_GCSTOP, 0); /* hardly anything of the world is garbage */
    if (lua_cpcall(L, build_world, NULL) != 0) {
        lua_getglobal(L, "tostring");
        lua_insert(L, -2);
        lua_pcall(L, 1, 1, 0);
        fprintf(stderr, "hostler: cannot start: %s\n", lua_tostring(L, -1));
        exit(EXIT_FAILED);
    }
    lua_gc(L, LUA_GCRESTART, 0);
    return L;
}

/* import(file)[name](...): runs as the root task's function. */
static int call_function(lua_State *L) {
    const char *file = lua_tostring(L, lua_upvalueindex(1)), *name = lua_tostring(L, lua_upvalueindex(2));
    lua_pushlightuserdata(L, (void *)&import_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_pushstring(L, file);
    lua_call(L, 1, 1);
    lua_getfield(L, -1, name);
    return 1;
}

/* Prints an error that no Lua code reported: only what failed before the command took over gets here. */
static void print_error(lua_State *L) {
    lua_getfield(L, -1, "message");
    lua_getfield(L, -2, "traceback");
    const char *parts[] = {lua_tostring(L, -2), lua_tostring(L, -1)};
    for (int i = 0; i < 2; i++) {
        char *clean = scrub(parts[i] ? parts[i] : "", parts[i] ? strlen(parts[i]) : 0, NULL);
        text_buffer shown = {0};
        text_puts(&shown, i == 0 ? "hostler: " : "");
        text_lines(&shown, clean, strlen(clean));
        fprintf(stderr, "%s\n", shown.text);
        text_free(&shown);
        free(clean);
    }
    lua_pop(L, 2);
}

int host_call(lua_State *L, const char *file, const char *name, int arguments) {
    lua_pushstring(L, file);
    lua_pushstring(L, name);
    lua_pushcclosure(L, call_function, 2);
    if (lua_pcall(L, 0, 1, 0) != 0) {
        error_complete(L);
        print_error(L);
        return EXIT_FAILED;
    }
    lua_insert(L, -arguments - 1);
    if (!task_run_root(L, arguments, 1)) {
        print_error(L);
        return task_interrupted() ? EXIT_INTERRUPTED : EXIT_FAILED;
    }
    int status = lua_isnumber(L, -1) ? (int)lua_tointeger(L, -1) : 0;
    return status;
}

void host_close(lua_State *L) {
    event_set_report(NULL);
    memory_release(L);
    lua_close(L);
    task_close();
    scrub_forget();
}
