/* A unix socket that a server listens on. */
#ifndef HOSTLER_WEB_LOCAL_H
#define HOSTLER_WEB_LOCAL_H

#include <stdbool.h>
#include <sys/types.h>

#define LOCAL_MODE 0660 /* of the socket's file: its owner and group may connect */

#define LOCAL_OWN_GROUP ((gid_t)-1)

typedef struct {
    int backlog;
    gid_t group; /* of the socket's file; LOCAL_OWN_GROUP: as this process makes files */
} local_options;

typedef struct {
    int fd;
    dev_t device; /* of the socket's file */
    ino_t inode;
    pid_t owner;       /* of EADDRINUSE: who listens there, or 0 when the kernel does not say */
    bool group_denied; /* what failed is that the file be the group's */
} local_listener;

/* Opens it in place of a file that nobody listens on any more. Returns 0 or an errno: EADDRINUSE when
 * somebody does, ENOTSOCK when the file is another one. Of several processes that open one path one gets it.
 */
int local_listen(const char *path, const local_options *options, local_listener *out);

#endif
