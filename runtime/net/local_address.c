/* See local_address.h. */
#define _GNU_SOURCE /* O_PATH */
#include "net/local_address.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int local_address(const char *directory, const char *name, struct sockaddr_un *address) {
    int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    size_t room = sizeof address->sun_path;
    int length = snprintf(address->sun_path, room, "%s/%s", directory, name);
    if ((size_t)length >= room)
        length = snprintf(address->sun_path, room, "/proc/self/fd/%d/%s", fd, name);
    if ((size_t)length < room)
        return fd;
    close(fd);
    errno = ENAMETOOLONG;
    return -1;
}
