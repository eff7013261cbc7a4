/* See process.h. */
#include "base/process.h"

#include "base/outcome.h"

#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <sys/resource.h>
#include <uv.h>

void process_raise_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* signal(pid, number) -> true, or nil, reason */
static int signal_lua(lua_State *L) {
    int failed = kill((pid_t)luaL_checkinteger(L, 1), (int)luaL_checkinteger(L, 2));
    return outcome_push(L, failed ? errno : 0);
}

/* change_directory(path) -> true, or nil, reason */
static int change_directory_lua(lua_State *L) {
    int problem = uv_chdir(luaL_checkstring(L, 1));
    return problem ? outcome_push_refusal(L, uv_strerror(problem)) : outcome_push(L, 0);
}

void process_add(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"signal", signal_lua}, {"change_directory", change_directory_lua}, {NULL, NULL}};
    luaL_register(L, NULL, functions);
}
