/* An SSH connection on the loop: how it comes up, carries many operations at once, and ends. Internal to the
 * ssh module.
 *
 * libssh2 is used non-blocking. Whatever happens (the socket is ready, a task begins something, the agent
 * answers) calls session_wake, which lets the connection and then each of its operations go as far as they
 * can, until no more bytes arrive. What libssh2 sends goes to a buffer of ours and is flushed at the end, so
 * libssh2 never stops in the middle of sending and operations need not wait for each other's packets.
 *
 *   session.c    the list of sessions, operations, waking, failing, closing
 *   transport.c  the socket (or the jump host's channel) below libssh2
 *   connect.c    resolve, dial, handshake, host key
 *   auth.c       log in
 *   tunnel.c     a channel of a jump host as another session's transport
 *   exec.c       run a command
 *   overhear.c   what libssh2 does not tell of its packets
 *   sftp.c       SFTP's requests and replies
 *   copy.c       a file on its way, up (upload.c) or down (download.c)
 *   forward.c    connections carried to where the host can reach */
#ifndef HOSTLER_SSH_SESSION_H
#define HOSTLER_SSH_SESSION_H

#include "net/resolve.h"
#include "ssh/failure.h"
#include "ssh/wire.h"
#include "task/task.h"

#include <libssh2.h>
#include <sys/types.h>

#define GREETING_SIZE 80
#define HIGH_WATER (256 * 1024) /* with so much still to be sent, no more is made */

typedef struct ssh_session ssh_session;
typedef struct ssh_operation ssh_operation;
typedef struct ssh_login ssh_login; /* the state of auth.c */

/* What the connection is to be. Texts are owned; lists end with NULL. */
typedef struct {
    char *key;   /* sessions with equal keys are the same connection */
    char *label; /* "root@web1", for messages */
    char *user;
    char *address;       /* what is dialled: a name or a number */
    char *host_key_name; /* the name in known_hosts, with its port */
    char **known_hosts;  /* files */
    char **identities;   /* private key files */
    char *agent;         /* its socket; NULL for none */
    int port;
    bool accept_new;                   /* the key of a host that known_hosts does not know may be taken */
    bool remember;                     /* and is then written down */
    bool only_identities;              /* an agent's other keys are not offered */
    bool identities_given;             /* by the caller, so that a missing file is an error */
    uint64_t phase_timeout, keepalive; /* milliseconds */
} ssh_target;

typedef enum {
    SESSION_RESOLVING,
    SESSION_DIALING,
    SESSION_HANDSHAKE,
    SESSION_LOGIN,
    SESSION_READY,
    SESSION_CLOSED
} session_state;

struct ssh_session {
    ssh_session *next; /* in the list of open sessions */
    int references;
    session_state state;
    ssh_target target;
    LIBSSH2_SESSION *ssh2;

    int fd; /* -1 while there is none */
    uv_poll_t *poll;
    int watched; /* the events it waits for */
    uv_timer_t *timer;
    resolution *resolution; /* of the name; NULL before and after */
    resolve_answer addresses;
    int next_address;                      /* the index of the one to dial next */
    int dial_error;                        /* errno of the last address tried */
    char dialled[RESOLVE_LONGEST_ADDRESS]; /* the numeric address in use */

    ssh_session *via;             /* the jump host */
    ssh_operation *via_tunnel;    /* its operation that carries us */
    LIBSSH2_CHANNEL *via_channel; /* once it is open */

    ssh_buffer out;    /* encrypted, to be sent */
    uint64_t received; /* bytes so far */
    size_t turn;       /* bytes received since the socket was last found ready */
    bool drained;      /* somebody reads, and there was no more when last asked */
    int unread;        /* bytes that lay unread in the socket at the last tick */
    bool pumping, again;
    bool hung_up;                 /* nothing more can be read */
    int unanswered;               /* signs of life asked for since it was last heard */
    char greeting[GREETING_SIZE]; /* the first bytes the peer sent */
    size_t greeting_length;
    char goodbye[160]; /* the reason in the peer's disconnect message */

    ssh_login *login;
    ssh_operation *operations;
    ssh_operation *opener;      /* whose channel is being opened: libssh2 opens one at a time */
    uint32_t confirmed_channel; /* the number of the last one that the server opened */
    int channels;               /* open ones */
    int refusals;               /* of the server to open one more, in a row */
    bool has_opened, held;      /* a channel before; channels wait for the timer below */
    uv_timer_t *hold_timer;     /* made when first needed */
    ssh_failure failure;        /* why it is broken or closed */
};

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

/* ---- session.c ---- */

/* The session for this target: an open one with the same key, or a new one that begins to connect. Takes over
 * the target's memory. The caller owns a reference. `via` may be NULL. */
ssh_session *session_for(ssh_target *target, ssh_session *via);
ssh_session *session_ref(ssh_session *s);
void session_unref(ssh_session *s);

/* Lets the session and its operations go as far as they can. */
void session_wake(ssh_session *s);

/* The same for one session, without its jump hosts: only from a tunnel's step. */
void session_pump(ssh_session *s);

/* Makes the session fail: at the end of the turn every operation fails with s->failure, which the caller sets
 * up with failure_set(&s->failure, ...) before. */
bool session_is_broken(const ssh_session *s);

/* Takes note of a libssh2 error that concerns the whole connection, while `doing` this. False for other
 * errors. */
bool session_note_error(ssh_session *s, int rc, const char *doing);

/* The text of libssh2's last error. */
const char *session_last_error(ssh_session *s);

/* Says goodbye and closes. */
void session_close(ssh_session *s, const char *code, const char *reason);
void sessions_close_all(void);

/* Restarts the clock that ends a phase of connecting which does not move. */
void session_begin_phase(ssh_session *s, session_state state);

void operation_begin(ssh_operation *op, ssh_session *s);
void operation_settle(ssh_operation *op); /* tells the waiter; the operation may go on tidying up */
void operation_abandon(ssh_operation *op);
void operation_unref(ssh_operation *op);

/* Opens a channel: returns it, or NULL with *rc EAGAIN or what went wrong. One operation at a time is let
 * through. */
LIBSSH2_CHANNEL *operation_open_channel(ssh_operation *op, const char *type, const ssh_buffer *message,
                                        int *rc);
/* Closes and frees it; false means: call again. */
bool operation_close_channel(ssh_operation *op, LIBSSH2_CHANNEL **channel);

/* ---- transport.c ---- */
bool transport_attach(ssh_session *s);        /* makes s->ssh2 */
bool transport_watch(ssh_session *s, int fd); /* replaces the socket */
void transport_flush(ssh_session *s);
void transport_update(ssh_session *s); /* what the poll handle watches for */
bool transport_has_news(
    ssh_session *s); /* the peer sent something that nobody has read since the last call */
void transport_close(ssh_session *s);

/* ---- overhear.c ---- */
/* A libssh2 session that keeps s->confirmed_channel and the operations' has_status. */
LIBSSH2_SESSION *overheard_session(ssh_session *s);

/* ---- connect.c ---- */
void connect_begin(ssh_session *s);
void connect_step(ssh_session *s);
void connect_on_writable(ssh_session *s);
void connect_timed_out(ssh_session *s);
void connect_cleanup(ssh_session *s);

/* ---- auth.c ---- */
/* Logs in: EAGAIN, 0 when done, or an error with s->failure set. */
int login_step(ssh_session *s);
void login_free(ssh_session *s);
void login_close(void);

/* ---- tunnel.c ---- */
void tunnel_begin(ssh_session *inner);

#endif
