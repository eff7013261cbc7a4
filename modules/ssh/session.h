/* An SSH connection on the loop: its state, and what everybody who works on it may ask for. Internal to the
 * ssh module.
 *
 * libssh2 is used non-blocking. Whatever happens (the socket is ready, a task begins something, the agent
 * answers) calls session_wake, which lets the connection and then each of its operations go as far as they
 * can, until no more bytes arrive. What libssh2 sends goes to a buffer of ours and is flushed at the end, so
 * libssh2 never stops in the middle of sending and operations need not wait for each other's packets.
 *
 * Each file knows those above it in this list, and none below:
 *
 *   target.c     what a connection is to be
 *   session.c    its state, its clock, why it fails
 *   operation.c  what it carries, many at once, and their channels
 *   overhear.c   what libssh2 does not tell of its packets
 *   transport.c  the socket (or the jump host's channel) below libssh2
 *   publickey.c  offer a key
 *   password.c   give a password
 *   identities.c which keys there are
 *   login.c      log in
 *   tunnel.c     a channel of a jump host as another session's transport
 *   algorithms.c which ones the peer is offered
 *   host_key.c   the host's key: its types, its trust
 *   connect.c    resolve, dial, handshake
 *   sessions.c   those that are open: their turns and their end
 *
 * Over operations: exec.c runs a command, sftp.c has SFTP's requests and replies, copy.c a file on its way,
 * up (upload.c) or down (download.c), forward.c connections carried to where the host can reach. lua.c,
 * transfer.c and ssh.c face Lua. */
#ifndef HOSTLER_SSH_SESSION_H
#define HOSTLER_SSH_SESSION_H

#include "net/resolve.h"
#include "ssh/failure.h"
#include "ssh/target.h"
#include "ssh/wire.h"
#include "task/task.h"

#include <libssh2.h>
#include <sys/types.h>

#define GREETING_SIZE 80
#define HIGH_WATER (256 * 1024) /* with so much still to be sent, no more is made */

typedef struct ssh_session ssh_session;
typedef struct ssh_operation ssh_operation;
typedef struct ssh_login ssh_login;         /* the state of login.c */
typedef struct password_talk password_talk; /* the state of password.c */

/* Told of the memory that libssh2 takes and gives back, while somebody watches. */
typedef struct {
    void (*allocated)(ssh_session *, void *block, size_t size);
    bool (*watches)(ssh_session *, const void *block); /* asked before it moves */
    void (*moved)(ssh_session *, void *to);
    void (*releasing)(ssh_session *, const void *block);
} memory_watch;

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
    bool rang;              /* the timer did, since the last turn */
    resolution *resolution; /* of the name; NULL before and after */
    resolve_answer addresses;
    int next_address;                      /* the index of the one to dial next */
    bool dial_ended;                       /* well or not: the socket knows */
    int dial_error;                        /* errno of the last address tried */
    char dialled[RESOLVE_LONGEST_ADDRESS]; /* the numeric address in use */

    ssh_session *via;             /* the jump host */
    ssh_operation *via_tunnel;    /* its operation that carries us */
    LIBSSH2_CHANNEL *via_channel; /* once it is open */

    ssh_buffer out;                   /* encrypted, to be sent */
    uint64_t received;                /* bytes so far */
    size_t turn;                      /* bytes received since the socket was last found ready */
    bool drained;                     /* somebody reads, and there was no more when last asked */
    int unread;                       /* bytes that lay unread in the socket at the last tick */
    void (*take_turn)(ssh_session *); /* of sessions.c: it and its operations go as far as they can */
    bool in_turn, again;
    bool (*make_room)(void);      /* of sessions.c: closes a session that is idle; false when none is */
    uint64_t last_used;           /* counts up: when an operation began or ended */
    bool released;                /* nobody uses it: it closes when nobody waits for what it carries */
    int forwards;                 /* ports that lead into it */
    int expected;                 /* tasks that are about to get it */
    bool hung_up;                 /* nothing more can be read */
    int unanswered;               /* signs of life asked for since it was last heard */
    char greeting[GREETING_SIZE]; /* the first bytes the peer sent */
    size_t greeting_length;
    char goodbye[160]; /* the reason in the peer's disconnect message */

    ssh_login *login;
    password_talk *talk;
    const memory_watch *watch; /* NULL: nobody does */
    void *watch_context;
    char methods[200]; /* by which the server lets the user in, "publickey,password"; "" until it said so */
    bool partly;       /* its last answer: that was right, and more is wanted */
    ssh_operation *operations;
    ssh_operation *opener;      /* whose channel is being opened: libssh2 opens one at a time */
    uint32_t confirmed_channel; /* the number of the last one that the server opened */
    int channels;               /* open ones */
    int most_channels;          /* that have been open at once */
    bool given_up;              /* a command whose end nobody has seen */
    int refusals;               /* of the server to open one more, in a row */
    bool has_opened, held;      /* a channel before; channels wait for the timer below */
    uv_timer_t *hold_timer;     /* made when first needed */
    ssh_failure failure;        /* why it is broken or closed */
};

/* A new one, of which nothing has begun; takes over the target's memory. The caller owns a reference. `via`
 * may be NULL. */
ssh_session *session_new(ssh_target *target, ssh_session *via, void (*take_turn)(ssh_session *));
ssh_session *session_ref(ssh_session *s);
void session_unref(ssh_session *s);

/* Lets the session and its operations go as far as they can. */
void session_wake(ssh_session *s);

/* Begins a phase, and restarts the clock that ends one which does not move. */
void session_begin_phase(ssh_session *s, session_state state);

/* Makes the session fail: at the end of the turn every operation fails with s->failure, which the caller sets
 * up with failure_set(&s->failure, ...) before. */
bool session_is_broken(const ssh_session *s);

/* Takes note of a libssh2 error that concerns the whole connection, while `doing` this. False for other
 * errors. */
bool session_note_error(ssh_session *s, int rc, const char *doing);

/* The text of libssh2's last error. */
const char *session_last_error(ssh_session *s);

#endif
