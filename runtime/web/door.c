/* Where connections come in; see door.h. */
#define _GNU_SOURCE /* accept4 */
#include "web/door.h"

#include "task/task.h"

#include <errno.h>
#include <unistd.h>

#define MOST_AT_ONCE 64 /* in one turn of the loop: those who are in are to have theirs */
#define WAIT_MS 50

static void on_knock(uv_poll_t *poll, int status, int events);

static void on_timer(uv_timer_t *timer) {
    door_room(timer->data);
}

void door_room(door *d) {
    if (!d->waits || d->fd < 0)
        return;
    d->waits = false;
    uv_timer_stop(&d->timer);
    uv_poll_start(&d->poll, UV_READABLE, on_knock);
}

/* Who knocks meanwhile waits in the kernel's queue. */
static void wait_for_room(door *d) {
    d->waits = true;
    uv_poll_stop(&d->poll);
    uv_timer_start(&d->timer, on_timer, WAIT_MS, 0);
}

/* Whether to go on after a failed accept: what ails one connection is no matter of the next. */
static bool goes_on(door *d, int problem) {
    switch (problem) {
    case EAGAIN:
        return false;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        if (d->free_descriptor(d))
            return true;
        wait_for_room(d);
        return false;
    default:
        return true;
    }
}

static void on_knock(uv_poll_t *poll, int status, int events) {
    (void)status, (void)events;
    door *d = poll->data;
    for (int i = 0; i < MOST_AT_ONCE && d->fd >= 0; i++) {
        if (!d->make_room(d)) {
            wait_for_room(d);
            return;
        }
        struct sockaddr_storage address = {0};
        socklen_t length = sizeof address;
        int fd = accept4(d->fd, (struct sockaddr *)&address, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            d->admit(d, fd, &address);
        else if (!goes_on(d, errno))
            return;
    }
}

int door_open(door *d) {
    int problem = uv_poll_init(task_loop(), &d->poll, d->fd);
    if (problem)
        return problem;
    uv_timer_init(task_loop(), &d->timer);
    d->poll.data = d->timer.data = d;
    d->open_handles = 2;
    return uv_poll_start(&d->poll, UV_READABLE, on_knock);
}

static void on_closed(uv_handle_t *handle) {
    door *d = handle->data;
    if (--d->open_handles == 0)
        d->closed(d);
}

void door_close(door *d) {
    if (d->fd < 0)
        return;
    uv_close((uv_handle_t *)&d->poll, on_closed);
    uv_close((uv_handle_t *)&d->timer, on_closed);
    close(d->fd);
    d->fd = -1;
}
