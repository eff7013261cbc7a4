/* What an HTTP server is to listen on: its options, its files, its socket; see listen.h. */
#include "web/listen.h"

#include "base/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG 511
#define LARGEST_PEM (256 * 1024)

/* Replaces the path on top of the stack by the file's text. */
static const char *load_pem(lua_State *L) {
    const char *path = luaL_checkstring(L, -1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        error_raise(L, "http.listen", "cannot read %s: %s", path, strerror(errno));
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    ssize_t count;
    size_t total = 0;
    while ((count = read(fd, luaL_prepbuffer(&text), LUAL_BUFFERSIZE)) > 0 && total < LARGEST_PEM) {
        luaL_addsize(&text, (size_t)count);
        total += (size_t)count;
    }
    close(fd);
    luaL_pushresult(&text);
    return lua_tostring(L, -1);
}

static lua_Integer integer_field(lua_State *L, int index, const char *name, lua_Integer least,
                                 lua_Integer most) {
    lua_getfield(L, index, name);
    lua_Number value = luaL_checknumber(L, -1);
    lua_pop(L, 1);
    if (!(value >= (lua_Number)least && value <= (lua_Number)most))
        error_raise(L, "usage", "http.serve: %s must be a number from %d to %d", name, (int)least, (int)most);
    return (lua_Integer)value;
}

listen_options listen_check(lua_State *L, int index) {
    listen_options options = {0};
    luaL_checktype(L, index, LUA_TTABLE);
    options.port = (int)integer_field(L, index, "port", 0, 65535);
    options.limit = (size_t)integer_field(L, index, "limit", 0, 1 << 30);
    options.timeout = (unsigned)integer_field(L, index, "timeout", 1, 86400);
    lua_getfield(L, index, "address");
    options.address = luaL_checkstring(L, -1);
    lua_getfield(L, index, "certificate");
    if (!lua_isnil(L, -1)) {
        options.certificate = load_pem(L);
        lua_getfield(L, index, "key");
        options.key = load_pem(L);
    }
    return options;
}

/* The socket address of a numeric IPv4 or IPv6 address. */
static socklen_t parse_address(const listen_options *options, struct sockaddr_storage *out) {
    struct sockaddr_in *four = (struct sockaddr_in *)out;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, options->address, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)options->port);
        return sizeof *four;
    }
    if (inet_pton(AF_INET6, options->address, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons((uint16_t)options->port);
        return sizeof *six;
    }
    return 0;
}

static int port_of(int fd) {
    struct sockaddr_storage bound;
    socklen_t length = sizeof bound;
    getsockname(fd, (struct sockaddr *)&bound, &length);
    return ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                             : ((struct sockaddr_in *)&bound)->sin_port);
}

int listen_open(lua_State *L, const listen_options *options, int *number) {
    struct sockaddr_storage address;
    socklen_t length = parse_address(options, &address);
    if (length == 0)
        error_raise(L, "usage", "http.serve: '%s' is not an IP address", options->address);
    int on = 1, fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) || listen(fd, BACKLOG)) {
        int problem = errno;
        if (fd >= 0)
            close(fd);
        error_push(L, "http.listen", "cannot listen on %s port %d: %s", options->address, options->port,
                   strerror(problem));
        error_set(L, "hint",
                  problem == EADDRINUSE ? "another program has it; port = 0 takes any free one" : NULL);
        lua_error(L);
    }
    *number = port_of(fd);
    return fd;
}
