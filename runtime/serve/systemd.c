/* See systemd.h. */
#define _GNU_SOURCE /* strchrnul */
#include "serve/systemd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST 3 /* SD_LISTEN_FDS_START */
#define MOST 256
#define NOTIFY_SECONDS \
    5 /* that a manager with much to read is waited for, as a lost word would end the service */

/* A variable as a number, when it is one and has nothing else; else -1. */
static long number_in(const char *name) {
    const char *text = getenv(name);
    char *end;
    if (!text || *text < '0' || *text > '9')
        return -1;
    errno = 0;
    long value = strtol(text, &end, 10);
    return errno || *end ? -1 : value;
}

/* ---- sockets ---- */

static void add_text(lua_State *L, const char *name, const char *text) {
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static void add_ip(lua_State *L, int family, const void *address, uint16_t port) {
    char text[INET6_ADDRSTRLEN] = "";
    inet_ntop(family, address, text, sizeof text);
    add_text(L, "family", "ip");
    add_text(L, "address", text);
    lua_pushinteger(L, ntohs(port));
    lua_setfield(L, -2, "port");
}

/* An abstract socket has no path, and its name begins with NUL. */
static void add_path(lua_State *L, const struct sockaddr_un *address, socklen_t length) {
    size_t room = length - offsetof(struct sockaddr_un, sun_path);
    const char *path = address->sun_path;
    add_text(L, "family", "unix");
    if (room > 1 && !*path)
        lua_pushfstring(L, "@%s", path + 1);
    else
        lua_pushlstring(L, path, strnlen(path, room));
    lua_setfield(L, -2, "path");
}

static void add_place(lua_State *L, int fd) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    } bound;
    socklen_t length = sizeof bound;
    memset(&bound, 0, sizeof bound);
    if (getsockname(fd, &bound.any, &length))
        add_text(L, "family", "other");
    else if (bound.any.sa_family == AF_INET)
        add_ip(L, AF_INET, &bound.v4.sin_addr, bound.v4.sin_port);
    else if (bound.any.sa_family == AF_INET6)
        add_ip(L, AF_INET6, &bound.v6.sin6_addr, bound.v6.sin6_port);
    else if (bound.any.sa_family == AF_UNIX)
        add_path(L, &bound.local, length);
    else
        add_text(L, "family", "other");
}

/* LISTEN_FDNAMES has a name for each, with colons between them. */
static void add_name(lua_State *L, const char **names) {
    const char *end = *names ? strchrnul(*names, ':') : NULL;
    if (!end)
        return;
    lua_pushlstring(L, *names, (size_t)(end - *names));
    lua_setfield(L, -2, "name");
    *names = *end ? end + 1 : NULL;
}

static int inherited_lua(lua_State *L) {
    long count = number_in("LISTEN_PID") == (long)getpid() ? number_in("LISTEN_FDS") : 0;
    const char *names = getenv("LISTEN_FDNAMES");
    lua_newtable(L);
    for (int i = 0; i < count && i < MOST; i++) {
        int fd = FIRST + i;
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        lua_createtable(L, 0, 5);
        lua_pushinteger(L, fd);
        lua_setfield(L, -2, "fd");
        add_place(L, fd);
        add_name(L, &names);
        lua_rawseti(L, -2, i + 1);
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return 1;
}

/* ---- telling ---- */

/* The socket of the service manager; 0 when there is none. Its name begins with "/", or "@" where it is
 * abstract. */
static socklen_t manager_address(struct sockaddr_un *out) {
    const char *path = getenv("NOTIFY_SOCKET");
    size_t length = path ? strlen(path) : 0;
    if (length < 2 || length >= sizeof out->sun_path || (*path != '/' && *path != '@'))
        return 0;
    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    memcpy(out->sun_path, path, length);
    if (*path == '@')
        out->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

static int notify_lua(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    struct sockaddr_un address;
    socklen_t size = manager_address(&address);
    int fd = size ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
    struct timeval patience = {.tv_sec = NOTIFY_SECONDS};
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    lua_pushboolean(L, fd >= 0 && sendto(fd, text, length, MSG_NOSIGNAL, (const struct sockaddr *)&address,
                                         size) == (ssize_t)length);
    if (fd >= 0)
        close(fd);
    return 1;
}

/* Of a process that systemd did not start, the variables are those of another one. */
static int watchdog_lua(lua_State *L) {
    long microseconds = number_in("WATCHDOG_USEC"), process = number_in("WATCHDOG_PID");
    if (microseconds <= 0 || (getenv("WATCHDOG_PID") && process != (long)getpid()))
        return 0;
    lua_pushnumber(L, (lua_Number)microseconds / 1e6);
    return 1;
}

void systemd_add(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"inherited", inherited_lua}, {"notify", notify_lua}, {"watchdog", watchdog_lua}, {NULL, NULL}};
    luaL_register(L, NULL, functions);
}
