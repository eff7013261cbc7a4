/* A unix socket that a server listens on. */
#ifndef HOSTLER_WEB_LOCAL_H
#define HOSTLER_WEB_LOCAL_H

#include <sys/types.h>

#define LOCAL_MODE 0660 /* of the socket's file: its owner and group may connect */

typedef struct {
    int fd;
    dev_t device; /* of the socket's file */
    ino_t inode;
    pid_t owner; /* of EADDRINUSE: who listens there, or 0 when the kernel does not say */
} local_listener;

/* Opens it in place of a file that nobody listens on any more. Returns 0 or an errno: EADDRINUSE when
 * somebody does, ENOTSOCK when the file is another one. Of several processes that open one path one gets it.
 */
int local_listen(const char *path, int backlog, local_listener *out);

#endif
