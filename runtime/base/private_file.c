/* Writes files for their owner alone; see private_file.h. */
#include "base/private_file.h"

#include "base/system.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int private_file_make_directory(const char *path) {
    char *copy = strdup(path);
    if (!copy)
        return ENOMEM;
    int failed = 0;
    char *last = strrchr(copy, '/');
    for (char *slash = strchr(copy + 1, '/'); slash && !failed; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, slash == last ? 0700 : 0755) && errno != EEXIST)
            failed = errno;
        struct stat status;
        if (!failed && slash == last && stat(copy, &status) == 0 && (status.st_mode & 077) &&
            chmod(copy, 0700))
            failed = errno;
        *slash = '/';
    }
    free(copy);
    return failed;
}

static int write_to(const char *path, int flags, const char *text, size_t length) {
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
    int problem = fd < 0 || fchmod(fd, 0600) ? errno : system_write_all(fd, text, length);
    if (fd >= 0 && close(fd) && !problem)
        problem = errno;
    return problem;
}

int private_file_write(const char *path, const char *text, size_t length) {
    return write_to(path, O_TRUNC, text, length);
}

int private_file_append(const char *path, const char *text, size_t length) {
    return write_to(path, O_APPEND, text, length);
}
