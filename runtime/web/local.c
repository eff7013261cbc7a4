/* A unix socket that a server listens on; see local.h. */
#define _GNU_SOURCE /* ucred */
#include "web/local.h"

#include "net/local_address.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int new_socket(void) {
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* Who listens there, which a connection tells: EADDRINUSE, or 0 when nobody does. */
static int look_for_owner(const struct sockaddr_un *address, pid_t *owner) {
    int fd = new_socket();
    if (fd < 0)
        return errno;
    int problem = connect(fd, (const struct sockaddr *)address, sizeof *address) ? errno : 0;
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    if (problem == 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
        *owner = peer.pid;
    close(fd);
    if (problem == ECONNREFUSED || problem == ENOENT)
        return 0;
    return problem == 0 || problem == EAGAIN || problem == EPROTOTYPE ? EADDRINUSE : problem;
}

static int remove_stale(int directory, const char *name, const struct sockaddr_un *address, pid_t *owner) {
    struct stat file;
    if (fstatat(directory, name, &file, AT_SYMLINK_NOFOLLOW))
        return errno == ENOENT ? 0 : errno;
    if (!S_ISSOCK(file.st_mode))
        return ENOTSOCK;
    int problem = look_for_owner(address, owner);
    if (problem)
        return problem;
    return unlinkat(directory, name, 0) && errno != ENOENT ? errno : 0;
}

static int set_up_file(int directory, const char *name, gid_t group, local_listener *out) {
    struct stat file;
    if (group != LOCAL_OWN_GROUP && fchownat(directory, name, (uid_t)-1, group, AT_SYMLINK_NOFOLLOW)) {
        out->group_denied = true;
        return errno;
    }
    if (fchmodat(directory, name, LOCAL_MODE, 0) || fstatat(directory, name, &file, AT_SYMLINK_NOFOLLOW))
        return errno;
    out->device = file.st_dev;
    out->inode = file.st_ino;
    return 0;
}

/* Between bind and listen nobody can connect: group and mode are right before anybody may. */
static int bind_and_listen(int directory, const char *name, const struct sockaddr_un *address,
                           const local_options *options, local_listener *out) {
    out->fd = new_socket();
    if (out->fd < 0)
        return errno;
    bool bound = bind(out->fd, (const struct sockaddr *)address, sizeof *address) == 0;
    int problem = bound ? set_up_file(directory, name, options->group, out) : errno;
    if (!problem && listen(out->fd, options->backlog))
        problem = errno;
    if (problem && bound)
        unlinkat(directory, name, 0);
    if (problem)
        close(out->fd);
    return problem;
}

/* Two processes that both found the file stale would otherwise remove each other's. The lock ends with its
 * descriptor; -1 with errno. */
static int lock_directory(int directory) {
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX) == 0)
        return fd;
    int problem = errno;
    close(fd);
    errno = problem;
    return -1;
}

static int listen_in(const char *directory, const char *name, const local_options *options,
                     local_listener *out) {
    struct sockaddr_un address;
    int fd = local_address(directory, name, &address), lock = fd < 0 ? -1 : lock_directory(fd);
    int problem = lock < 0 ? errno : remove_stale(fd, name, &address, &out->owner);
    if (!problem)
        problem = bind_and_listen(fd, name, &address, options, out);
    if (lock >= 0)
        close(lock);
    if (fd >= 0)
        close(fd);
    return problem;
}

int local_listen(const char *path, const local_options *options, local_listener *out) {
    *out = (local_listener){.fd = -1};
    char *copy = strdup(path);
    if (!copy)
        return ENOMEM;
    char *slash = strrchr(copy, '/');
    const char *name = slash ? slash + 1 : copy;
    if (slash)
        *slash = '\0';
    const char *directory = slash == copy ? "/" : slash ? copy : ".";
    int problem = *name ? listen_in(directory, name, options, out) : EISDIR;
    free(copy);
    return problem;
}
