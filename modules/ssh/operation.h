/* What a session carries, many at once, and the channels they open. Internal to the ssh module. */
#ifndef HOSTLER_SSH_OPERATION_H
#define HOSTLER_SSH_OPERATION_H

#include "ssh/session.h"

/* Something that takes several turns: connecting, a command, a tunnel. Referenced by its session until it has
 * ended, and by the task's wait. */
struct ssh_operation {
    ssh_session *session;
    ssh_operation *next;
    int references;
    wait *waiter;            /* NULL once nobody waits */
    bool settled;            /* the waiter has been told */
    bool abandoned;          /* nobody wants the result: end soon and cleanly */
    ssh_failure failure;     /* why it failed */
    bool unclear;            /* what it asks for is on its way: without its end, it may have happened */
    uint32_t channel_number; /* of the channel it opened last */
    bool has_status;         /* the server told how the channel's command ended */
    /* Goes as far as it can; true when it has ended. Called again whenever something arrived. */
    bool (*step)(ssh_operation *);
    /* Frees what the operation holds, after its end or the session's. libssh2's channels are freed with the
     * session. */
    void (*free)(ssh_operation *);
};

void operation_begin(ssh_operation *op, ssh_session *s);
void operation_settle(ssh_operation *op); /* tells the waiter; the operation may go on tidying up */
void operation_abandon(ssh_operation *op);
void operation_unref(ssh_operation *op);

/* Opens a channel: returns it, or NULL with *rc EAGAIN or what went wrong. One operation at a time is let
 * through. */
LIBSSH2_CHANNEL *operation_open_channel(ssh_operation *op, const char *type, const ssh_buffer *message,
                                        int *rc);
/* Why the server opens no channel, as far as we know better than it says: sets the operation's failure. False
 * when we do not. */
bool operation_explain_refusal(ssh_operation *op, const char *code, const char *problem);
/* Closes and frees it; false means: call again. */
bool operation_close_channel(ssh_operation *op, LIBSSH2_CHANNEL **channel);

/* Lets each of the session's operations go as far as it can. */
void operations_step(ssh_session *s);

/* True while somebody wants one of them. (A tunnel or a forwarded connection is wanted until it ends.) */
bool operations_are_wanted(const ssh_session *s);

/* Ends them all: the session is closed. */
void operations_end(ssh_session *s);

#endif
