/* Where connections come in: accepts them as long as there is room, and waits, without turning round, while
 * there is none or the process has no descriptor left. */
#ifndef HOSTLER_WEB_DOOR_H
#define HOSTLER_WEB_DOOR_H

#include <stdbool.h>
#include <sys/socket.h>
#include <uv.h>

typedef struct door door;

struct door {
    uv_poll_t poll;
    uv_timer_t timer;
    int fd, open_handles; /* fd: -1 once closed */
    bool waits;
    /* Whether one more may come in now; whoever can be sent away for it has been. */
    bool (*make_room)(door *);
    /* Somebody may be sent away, for descriptors are scarce; true when it was done. */
    bool (*free_descriptor)(door *);
    /* Takes an accepted socket, which does not block. */
    void (*admit)(door *, int fd, const struct sockaddr_storage *address);
    /* Its handles are closed. */
    void (*closed)(door *);
};

/* Begins to accept on d->fd, a listening socket that does not block, which it owns from then on. The
 * functions are set. Returns 0 or libuv's error; it then owns nothing. */
int door_open(door *d);

/* Someone has left. */
void door_room(door *d);

/* Closes the socket. */
void door_close(door *d);

#endif
