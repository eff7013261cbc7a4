/* Runs a program in the foreground; see foreground.h. */
#include "task/foreground.h"

#include "base/environment.h"

#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_SIGNALLED 128

/* Ctrl-C is the program's while it runs: it reaches both, and only the program may take it. */
static const int keyboard_signals[] = {SIGINT, SIGQUIT};
#define KEYBOARD_SIGNALS (sizeof keyboard_signals / sizeof *keyboard_signals)

static int spawn(pid_t *pid, char **argv) {
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    sigemptyset(&none);
    sigfillset(&defaults);
    int problem = posix_spawnattr_init(&attributes);
    if (problem)
        return problem;
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    char **environment = environment_for_programs();
    problem = posix_spawnp(pid, argv[0], NULL, &attributes, argv, environment);
    free(environment);
    posix_spawnattr_destroy(&attributes);
    return problem;
}

static int wait_for(pid_t pid) {
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return EXIT_SIGNALLED;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_SIGNALLED + WTERMSIG(status);
}

/* The list at index 1 as a vector that lives as long as the userdata it pushes. */
static char **push_vector(lua_State *L) {
    size_t count = lua_objlen(L, 1);
    char **argv = lua_newuserdata(L, (count + 1) * sizeof *argv);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 1, (int)i + 1);
        argv[i] = (char *)luaL_checkstring(L, -1);
        lua_pop(L, 1); /* the list keeps it */
    }
    argv[count] = NULL;
    return argv;
}

int foreground_run(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argcheck(L, lua_objlen(L, 1) > 0, 1, "a program is needed");
    char **argv = push_vector(L);
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before[KEYBOARD_SIGNALS];
    for (size_t i = 0; i < KEYBOARD_SIGNALS; i++)
        sigaction(keyboard_signals[i], &ignore, &before[i]);
    pid_t pid = -1;
    int problem = spawn(&pid, argv), status = problem ? 0 : wait_for(pid);
    for (size_t i = 0; i < KEYBOARD_SIGNALS; i++)
        sigaction(keyboard_signals[i], &before[i], NULL);
    if (problem) {
        lua_pushnil(L);
        lua_pushstring(L, strerror(problem));
        return 2;
    }
    lua_pushinteger(L, status);
    return 1;
}
