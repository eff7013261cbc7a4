/* Running one command on a session: what it is fed, what it says, how it ended. Internal to the ssh module.
 */
#ifndef HOSTLER_SSH_EXEC_H
#define HOSTLER_SSH_EXEC_H

#include "ssh/operation.h"

typedef struct {
    ssh_operation operation;
    ssh_buffer command, input; /* input is cleared as it is sent, for it may hold secrets */
    ssh_buffer begun;          /* what is printed when the command begins */
    size_t limit;              /* bytes kept of each stream; more is an error */
    uint64_t timeout;          /* milliseconds, 0 is none */
    /* the outcome */
    ssh_buffer streams[2]; /* output, from where the command began; errors */
    bool has_begun;
    ssh_buffer before; /* what was printed until then */
    int status;
    char *signal; /* its name without "SIG"; NULL when it exited */
    bool ended;   /* status and signal are known */
    /* on the way */
    int phase;
    LIBSSH2_CHANNEL *channel;
    uv_timer_t *timer, *begin_timer;
    size_t sent;
} ssh_exec;

/* Makes the operation; the caller fills the first part and begins it. */
ssh_exec *exec_new(void);
void exec_begin(ssh_exec *exec, ssh_session *s);

#endif
