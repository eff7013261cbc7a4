/* What an HTTP server is to listen on: its options, its certificate, its socket; see listen.h. */
#include "web/listen.h"

#include "base/error.h"
#include "base/files.h"
#include "web/local.h"
#include "web/wire.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 4096 /* the kernel takes as many of these as it allows */
#define LEAST_MEMORY (1024 * 1024)
#define USUAL_MEMORY (64 * 1024 * 1024)

/* ---- the options ---- */

static lua_Integer integer_field(lua_State *L, int index, const char *name, lua_Integer least,
                                 lua_Integer most) {
    lua_getfield(L, index, name);
    lua_Number value = luaL_checknumber(L, -1);
    lua_pop(L, 1);
    if (!(value >= (lua_Number)least && value <= (lua_Number)most))
        error_raise(L, "usage", "http.serve: %s must be a number from %.0f to %.0f", name, (double)least,
                    (double)most);
    return (lua_Integer)value;
}

static bool is_given(lua_State *L, int index, const char *name) {
    lua_getfield(L, index, name);
    bool given = !lua_isnil(L, -1);
    lua_pop(L, 1);
    return given;
}

static const char *text_field(lua_State *L, int index, const char *name) {
    lua_getfield(L, index, name);
    if (!lua_isnil(L, -1))
        luaL_checktype(L, -1, LUA_TSTRING); /* the text of a number would be nobody's */
    const char *text = lua_tostring(L, -1);
    lua_pop(L, 1);
    return text;
}

static void check_place(lua_State *L, int index, listen_options *options) {
    bool by_fd = is_given(L, index, "fd");
    options->address = text_field(L, index, "address");
    options->path = text_field(L, index, "path");
    options->fd = by_fd ? (int)integer_field(L, index, "fd", 0, 1 << 20) : -1;
    if ((options->address != NULL) + (options->path != NULL) + by_fd != 1)
        error_raise(L, "usage", "http.serve: one of address, path and fd says where to listen");
    if (options->address)
        options->port = (int)integer_field(L, index, "port", 0, 65535);
    options->group = text_field(L, index, "group");
    if (options->group && !options->path)
        error_raise(L, "usage", "http.serve: a group is for the file of a unix socket, and goes with path");
}

/* Of requests and answers all together, and one request must find room. */
static size_t check_memory(lua_State *L, int index, size_t limit) {
    lua_Integer least = limit > LEAST_MEMORY ? (lua_Integer)limit : LEAST_MEMORY;
    if (!is_given(L, index, "memory"))
        return least > USUAL_MEMORY ? (size_t)least : USUAL_MEMORY;
    return (size_t)integer_field(L, index, "memory", least, (lua_Integer)1 << 40);
}

listen_options listen_check(lua_State *L, int index) {
    listen_options options = {0};
    luaL_checktype(L, index, LUA_TTABLE);
    check_place(L, index, &options);
    options.limit = (size_t)integer_field(L, index, "limit", 0, 1 << 30);
    options.memory = check_memory(L, index, options.limit);
    options.timeout = (unsigned)integer_field(L, index, "timeout", 1, 86400);
    options.deadline = (unsigned)integer_field(L, index, "deadline", 1, 86400);
    options.connections = (size_t)integer_field(L, index, "connections", 1, 1 << 20);
    options.per_address = (size_t)integer_field(L, index, "per_address", 1, 1 << 20);
    lua_getfield(L, index, "large");
    options.large = lua_toboolean(L, -1);
    lua_pop(L, 1);
    options.certificate = text_field(L, index, "certificate");
    options.key = text_field(L, index, "key");
    if (!options.certificate != !options.key)
        error_raise(L, "usage", "http.serve: a certificate and its key are given together");
    return options;
}

/* ---- the certificate ---- */

static void check_readable(lua_State *L, const char *path) {
    int problem = files_check_readable(path);
    if (problem)
        error_raise(L, "http.listen", "cannot read %s: %s", path, files_reason(problem));
}

SSL_CTX *listen_context(lua_State *L, const char *certificate, const char *key) {
    check_readable(L, certificate);
    check_readable(L, key);
    const char *problem;
    SSL_CTX *context = wire_context(certificate, key, &problem);
    if (context)
        return context;
    error_push(L, "http.listen", "the certificate %s with the key %s does not do: %s", certificate, key,
               problem);
    error_set(L, "hint", "both must be PEM without a passphrase, and belong together");
    lua_error(L);
    return NULL;
}

/* ---- an address and port ---- */

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

/* 0 for a unix socket. */
static int port_of(int fd) {
    struct sockaddr_storage bound = {0};
    socklen_t length = sizeof bound;
    getsockname(fd, (struct sockaddr *)&bound, &length);
    return bound.ss_family == AF_INET6  ? ntohs(((struct sockaddr_in6 *)&bound)->sin6_port)
           : bound.ss_family == AF_INET ? ntohs(((struct sockaddr_in *)&bound)->sin_port)
                                        : 0;
}

static listener open_address(lua_State *L, const listen_options *options) {
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
                  problem == EADDRINUSE
                      ? "another program has it (`ss -ltnp` shows which); port 0 is any free one"
                      : NULL);
        lua_error(L);
    }
    return (listener){.fd = fd, .port = port_of(fd)};
}

/* ---- a unix socket ---- */

/* The name of a process, for a person who looks for it. */
static void describe_process(pid_t process, char *text, size_t room) {
    char path[64], name[32] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", (int)process);
    FILE *file = fopen(path, "re");
    if (file && fgets(name, sizeof name, file))
        name[strcspn(name, "\n")] = '\0';
    if (file)
        fclose(file);
    if (process)
        snprintf(text, room, "process %d%s%s%s", (int)process, *name ? " (" : "", name, *name ? ")" : "");
    else
        snprintf(text, room, "a process");
}

/* A name counts before a number, as for chown. False when there is neither. */
static bool find_group(const char *name, gid_t *group) {
    const struct group *entry = getgrnam(name);
    char *end = NULL;
    errno = 0;
    unsigned long number = isdigit((unsigned char)*name) ? strtoul(name, &end, 10) : 0;
    bool is_number = end && !*end && errno == 0 && number < LOCAL_OWN_GROUP;
    *group = entry ? entry->gr_gid : (gid_t)number;
    return entry || is_number;
}

static gid_t group_of(lua_State *L, const listen_options *options) {
    gid_t group = LOCAL_OWN_GROUP;
    if (!options->group || find_group(options->group, &group))
        return group;
    error_push(L, "http.listen", "cannot listen on %s: there is no group '%s'", options->path,
               options->group);
    error_set(L, "hint", "`getent group` lists those there are, `groupadd --system NAME` makes one");
    return (gid_t)lua_error(L);
}

static void check_group(lua_State *L, const listen_options *options, const local_listener *opened,
                        int problem) {
    if (!opened->group_denied)
        return;
    error_push(L, "http.listen", "cannot listen on %s: its file cannot be given to the group '%s': %s",
               options->path, options->group, strerror(problem));
    error_set(L, "hint",
              "whoever is not root may only give it to a group that he is in: add the user to it, in a "
              "systemd unit by SupplementaryGroups=");
    lua_error(L);
}

static listener open_path(lua_State *L, const listen_options *options) {
    const char *path = options->path;
    local_options wanted = {.backlog = BACKLOG, .group = group_of(L, options)};
    local_listener opened;
    char owner[80];
    int problem = local_listen(path, &wanted, &opened);
    check_group(L, options, &opened, problem);
    if (problem == EADDRINUSE) {
        describe_process(opened.owner, owner, sizeof owner);
        error_push(L, "http.listen", "cannot listen on %s: %s listens there already", path, owner);
        error_set(L, "hint", "end that one first, or give this one another path");
        lua_error(L);
    }
    if (problem) {
        error_push(L, "http.listen", "cannot listen on %s: %s", path,
                   problem == ENOTSOCK ? "the file there is no socket" : strerror(problem));
        error_set(L, "hint",
                  problem == ENOTSOCK ? "another path, or remove the file if nobody needs it" : NULL);
        lua_error(L);
    }
    char *copy = strdup(path); /* without it the file stays when the server ends */
    return (listener){.fd = opened.fd, .path = copy, .device = opened.device, .inode = opened.inode};
}

void listen_forget(listener *l) {
    struct stat file;
    if (l->path && lstat(l->path, &file) == 0 && file.st_dev == l->device && file.st_ino == l->inode)
        unlink(l->path);
    free(l->path);
    l->path = NULL;
}

/* ---- a descriptor ---- */

static int socket_option(int fd, int option) {
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &size) ? -1 : value;
}

static const char *why_not(int fd) {
    int domain = socket_option(fd, SO_DOMAIN);
    if (fcntl(fd, F_GETFD) < 0)
        return "it is not open";
    if (domain < 0)
        return "it is no socket";
    if (socket_option(fd, SO_TYPE) != SOCK_STREAM ||
        (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX))
        return "it is no stream socket";
    return socket_option(fd, SO_ACCEPTCONN) == 1 ? NULL : "nobody listens on it";
}

static listener take_descriptor(lua_State *L, int fd) {
    const char *problem = why_not(fd);
    int flags = fcntl(fd, F_GETFL);
    if (!problem && (fcntl(fd, F_SETFD, FD_CLOEXEC) || fcntl(fd, F_SETFL, flags | O_NONBLOCK)))
        problem = strerror(errno);
    if (problem) {
        error_push(L, "http.listen", "cannot serve on descriptor %d: %s", fd, problem);
        error_set(L, "hint", "of systemd's the first is 3: a .socket unit with ListenStream= and Accept=no");
        lua_error(L);
    }
    return (listener){.fd = fd, .port = port_of(fd)};
}

listener listen_open(lua_State *L, const listen_options *options) {
    if (options->path)
        return open_path(L, options);
    return options->address ? open_address(L, options) : take_descriptor(L, options->fd);
}
