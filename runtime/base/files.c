/* Opens files, and writes them whole; see files.h. The new text goes into a file beside the one that is
 * meant, which takes its place when all of it is on the disk. */
#define _GNU_SOURCE /* mkostemp, renameat2 */
#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* ---- opening ---- */

const char *files_reason(int problem) {
    switch (problem) {
    case FILES_IS_FIFO:
        return "it is a FIFO; an ordinary file is needed";
    case FILES_IS_SOCKET:
        return "it is a socket; an ordinary file is needed";
    case FILES_IS_DEVICE:
        return "it is a device; an ordinary file is needed";
    case FILES_WAITS:
        return "it has nothing to read yet; an ordinary file is needed";
    default:
        return strerror(problem);
    }
}

int files_judge(const struct stat *status) {
    bool is_null = S_ISCHR(status->st_mode) && status->st_rdev == makedev(1, 3);
    return S_ISREG(status->st_mode) || is_null ? 0
           : S_ISDIR(status->st_mode)          ? EISDIR
           : S_ISFIFO(status->st_mode)         ? FILES_IS_FIFO
           : S_ISSOCK(status->st_mode)         ? FILES_IS_SOCKET
                                               : FILES_IS_DEVICE;
}

static int check(int fd) {
    struct stat status;
    return fstat(fd, &status) ? errno : files_judge(&status);
}

/* What is no file is looked at first: to open some devices does something. */
int files_open(const char *path, int flags, int *fd) {
    struct stat status;
    int problem = stat(path, &status) == 0 ? files_judge(&status) : 0;
    if (problem)
        return problem;
    *fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, FILES_PRIVATE);
    if (*fd < 0)
        return errno;
    problem = check(*fd);
    if (problem) {
        close(*fd);
        *fd = -1;
    }
    return problem;
}

int files_check_readable(const char *path) {
    int fd, problem = files_open(path, O_RDONLY, &fd);
    if (!problem)
        close(fd);
    return problem;
}

/* ---- reading and writing ---- */

int files_read(int fd, char *bytes, size_t room, size_t *length) {
    for (*length = 0; *length < room;) {
        ssize_t count = read(fd, bytes + *length, room - *length);
        if (count < 0 && errno != EINTR)
            return errno == EAGAIN ? FILES_WAITS : errno;
        if (count == 0)
            break;
        *length += count > 0 ? (size_t)count : 0;
    }
    return 0;
}

int files_write_all(int fd, const char *text, size_t length) {
    while (length > 0) {
        ssize_t count = write(fd, text, length);
        if (count < 0 && errno != EINTR)
            return errno;
        text += count > 0 ? count : 0;
        length -= count > 0 ? (size_t)count : 0;
    }
    return 0;
}

mode_t files_usual_mode(void) {
    mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

/* ---- directories ---- */

static int make_one(const char *path) {
    struct stat status;
    if (mkdir(path, 0777) == 0)
        return 0;
    int problem = errno;
    if (problem == EEXIST && stat(path, &status) == 0)
        return S_ISDIR(status.st_mode) ? 0 : ENOTDIR;
    return problem;
}

int files_make_directory(const char *path) {
    char part[PATH_MAX];
    if (strlen(path) >= sizeof part)
        return ENAMETOOLONG;
    strcpy(part, path);
    int problem = 0;
    for (char *slash = strchr(part + 1, '/'); slash && !problem; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        problem = make_one(part);
        *slash = '/';
    }
    return problem ? problem : make_one(part);
}

static int make_private(const char *path) {
    struct stat status;
    if (mkdir(path, 0700) && errno != EEXIST)
        return errno;
    bool open_to_others = stat(path, &status) == 0 && (status.st_mode & 077);
    return open_to_others && chmod(path, 0700) ? errno : 0;
}

int files_make_private_parent(const char *path) {
    char part[PATH_MAX];
    if (strlen(path) >= sizeof part)
        return ENAMETOOLONG;
    strcpy(part, path);
    int problem = 0;
    char *last = strrchr(part, '/');
    for (char *slash = strchr(part + 1, '/'); slash && !problem; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (slash == last)
            problem = make_private(part);
        else if (mkdir(part, 0755) && errno != EEXIST)
            problem = errno;
        *slash = '/';
    }
    return problem;
}

int files_sync_directory(const char *path) {
    char copy[PATH_MAX];
    strcpy(copy, path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? 0 : errno; /* one may write in a directory without reading it */
    int problem = fsync(fd) && errno != EINVAL ? errno : 0; /* not every file system can */
    close(fd);
    return problem;
}

/* ---- whole files ---- */

/* Root keeps a person's file theirs; for others it is their own already, or cannot be given away. */
static int fill(int fd, const struct stat *old, mode_t mode, const char *text, size_t length) {
    int problem = old && geteuid() == 0 && fchown(fd, old->st_uid, old->st_gid) ? errno : 0;
    if (!problem && fchmod(fd, mode))
        problem = errno;
    if (!problem)
        problem = files_write_all(fd, text, length);
    if (!problem && fsync(fd))
        problem = errno;
    if (close(fd) && !problem)
        problem = errno;
    return problem;
}

/* When somebody else was faster, their file stays. Not every file system has hard links. */
static int place_new(const char *temporary, const char *path) {
    if (link(temporary, path) == 0)
        return unlink(temporary) ? errno : 0;
    if (errno != EPERM && errno != EOPNOTSUPP)
        return errno;
    return renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE) ? errno : 0;
}

static int place_over(const char *temporary, const char *path) {
    return rename(temporary, path) ? errno : 0;
}

/* Makes the file beside `path` and brings it there; `old` is what it replaces, or NULL. */
static int put(const char *path, const struct stat *old, mode_t mode, const char *text, size_t length,
               int (*place)(const char *, const char *)) {
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary)
        return ENAMETOOLONG;
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return errno;
    int problem = fill(fd, old, mode, text, length);
    if (!problem)
        problem = place(temporary, path);
    if (problem)
        unlink(temporary);
    return problem ? problem : files_sync_directory(path);
}

static int write_into(const char *path, int flags, const char *text, size_t length) {
    int fd, problem = files_open(path, O_WRONLY | flags, &fd);
    if (problem)
        return problem;
    struct stat status;
    bool is_ours =
        (flags & O_CREAT) && fstat(fd, &status) == 0 && S_ISREG(status.st_mode); /* not /dev/null */
    if (is_ours && fchmod(fd, FILES_PRIVATE))
        problem = errno;
    if (!problem)
        problem = files_write_all(fd, text, length);
    if (close(fd) && !problem)
        problem = errno;
    return problem;
}

/* `keeps`: a file that is there keeps its mode. */
static int replace(const char *path, const char *text, size_t length, mode_t mode, bool keeps) {
    char behind_links[PATH_MAX];
    const char *target = realpath(path, behind_links) ? behind_links : path;
    struct stat old;
    bool exists = stat(target, &old) == 0;
    if (exists && !S_ISREG(old.st_mode))
        return write_into(target, 0, text, length);
    if (exists && keeps)
        mode = old.st_mode & 07777;
    return put(target, exists ? &old : NULL, mode, text, length, place_over);
}

int files_replace(const char *path, const char *text, size_t length, mode_t mode_of_new) {
    return replace(path, text, length, mode_of_new, true);
}

int files_replace_private(const char *path, const char *text, size_t length) {
    return replace(path, text, length, FILES_PRIVATE, false);
}

int files_create(const char *path, const char *text, size_t length, mode_t mode) {
    return put(path, NULL, mode, text, length, place_new);
}

int files_append_private(const char *path, const char *text, size_t length) {
    return write_into(path, O_CREAT | O_APPEND, text, length);
}
