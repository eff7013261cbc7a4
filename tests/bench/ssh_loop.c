/*
 * The yardstick for hostler's SSH fan-out: the least a C program can do with libssh2 to run the same
 * commands on the same hosts. One thread, one epoll, non-blocking sessions with TCP_NODELAY, one connection
 * a host, the host key checked strictly against a known_hosts file, a key file or the agent to log in with.
 *
 * A connection walks through `stages` below. A stage returns 0 when it is done, LIBSSH2_ERROR_EAGAIN when it
 * waits for the socket and wants to be called again, and another negative number when it failed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libssh2.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
    const char *address;
    int fd;
    size_t stage;
    uint32_t events; /* what epoll watches for */
    int commands_left;
    LIBSSH2_SESSION *session;
    LIBSSH2_CHANNEL *channel;
    LIBSSH2_AGENT *agent;
    struct libssh2_agent_publickey *identity;
};

static struct {
    const char *user;
    const char *command;
    int port;
    int parallel;
    int commands;
    char *key; /* the private key's text; NULL: ask the agent */
    size_t key_size;
    LIBSSH2_KNOWNHOSTS *known_hosts; /* shared: a lookup keeps nothing of a session */
} settings = {.user = "root", .command = "/bin/true", .port = 22, .parallel = 50, .commands = 1};

static int epoll;

static void die(const char *what) {
    fprintf(stderr, "ssh_loop: %s: %s\n", what, errno ? strerror(errno) : "failed");
    exit(1);
}

/* --- stages --- */

static int finish_connect(struct connection *c) {
    int error = 0;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error});
    errno = error;
    return error ? LIBSSH2_ERROR_SOCKET_NONE : 0;
}

static int handshake(struct connection *c) {
    if (!c->session) {
        c->session = libssh2_session_init();
        if (!c->session)
            return LIBSSH2_ERROR_ALLOC;
        libssh2_session_set_blocking(c->session, 0);
    }
    return libssh2_session_handshake(c->session, c->fd);
}

static int check_host_key(struct connection *c) {
    size_t size;
    int type;
    const char *key = libssh2_session_hostkey(c->session, &size, &type);
    int found = libssh2_knownhost_checkp(settings.known_hosts, c->address, settings.port, key, size,
                                         LIBSSH2_KNOWNHOST_TYPE_PLAIN | LIBSSH2_KNOWNHOST_KEYENC_RAW, NULL);
    return found == LIBSSH2_KNOWNHOST_CHECK_MATCH ? 0 : LIBSSH2_ERROR_KNOWN_HOSTS;
}

static int next_identity(struct connection *c) {
    bool none_left = libssh2_agent_get_identity(c->agent, &c->identity, c->identity) != 0;
    return none_left ? LIBSSH2_ERROR_AUTHENTICATION_FAILED : 0;
}

static int authenticate_with_agent(struct connection *c) {
    int rc = 0;
    if (!c->agent) {
        c->agent = libssh2_agent_init(c->session);
        if (!c->agent || libssh2_agent_connect(c->agent) || libssh2_agent_list_identities(c->agent))
            return LIBSSH2_ERROR_AGENT_PROTOCOL;
        rc = next_identity(c);
    }
    while (!rc) {
        rc = libssh2_agent_userauth(c->agent, settings.user, c->identity);
        if (!rc || rc == LIBSSH2_ERROR_EAGAIN)
            return rc;
        rc = next_identity(c);
    }
    return rc;
}

static int authenticate(struct connection *c) {
    if (!settings.key)
        return authenticate_with_agent(c);
    return libssh2_userauth_publickey_frommemory(c->session, settings.user, strlen(settings.user), NULL, 0,
                                                 settings.key, settings.key_size, NULL);
}

static int open_channel(struct connection *c) {
    c->channel = libssh2_channel_open_session(c->session);
    return c->channel ? 0 : libssh2_session_last_errno(c->session);
}

static int execute(struct connection *c) {
    return libssh2_channel_exec(c->channel, settings.command);
}

static int read_output(struct connection *c) {
    static const int streams[] = {0, SSH_EXTENDED_DATA_STDERR};
    char output[16 * 1024];
    for (size_t i = 0; i < 2; i++) {
        ssize_t size;
        do
            size = libssh2_channel_read_ex(c->channel, streams[i], output, sizeof output);
        while (size > 0);
        if (size < 0 && size != LIBSSH2_ERROR_EAGAIN)
            return (int)size;
    }
    return libssh2_channel_eof(c->channel) ? 0 : LIBSSH2_ERROR_EAGAIN;
}

static int close_channel(struct connection *c) {
    return libssh2_channel_close(c->channel);
}

static int check_exit_status(struct connection *c) {
    return libssh2_channel_get_exit_status(c->channel) == 0 ? 0 : LIBSSH2_ERROR_REQUEST_DENIED;
}

static int free_channel(struct connection *c) {
    int rc = libssh2_channel_free(c->channel);
    if (rc == LIBSSH2_ERROR_EAGAIN)
        return rc;
    c->channel = NULL;
    c->commands_left--;
    return rc;
}

static int disconnect(struct connection *c) {
    return libssh2_session_disconnect(c->session, "done");
}

enum { CONNECT, HANDSHAKE, HOST_KEY, LOGIN, OPEN, EXECUTE, READ, CLOSE, STATUS, FREE, DISCONNECT, DONE };

static const struct {
    const char *name;
    int (*run)(struct connection *);
} stages[DONE] = {
    [CONNECT] = {"connect", finish_connect},
    [HANDSHAKE] = {"handshake", handshake},
    [HOST_KEY] = {"host key", check_host_key},
    [LOGIN] = {"authenticate", authenticate},
    [OPEN] = {"open a channel", open_channel},
    [EXECUTE] = {"execute", execute},
    [READ] = {"read", read_output},
    [CLOSE] = {"close the channel", close_channel},
    [STATUS] = {"exit status", check_exit_status},
    [FREE] = {"free the channel", free_channel},
    [DISCONNECT] = {"disconnect", disconnect},
};

/* --- connections --- */

static void connection_open(struct connection *c, const char *address) {
    *c = (struct connection){.address = address, .commands_left = settings.commands, .events = EPOLLOUT};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)settings.port)};
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
        die(address);

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
        die(address);

    struct epoll_event event = {.events = c->events, .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event))
        die("epoll_ctl");
}

static void connection_close(struct connection *c) {
    if (c->agent)
        libssh2_agent_free(c->agent);
    if (c->session)
        libssh2_session_free(c->session);
    close(c->fd);
}

static void connection_watch(struct connection *c) {
    int directions = libssh2_session_block_directions(c->session);
    uint32_t events = 0;
    if (directions & LIBSSH2_SESSION_BLOCK_INBOUND)
        events |= EPOLLIN;
    if (directions & LIBSSH2_SESSION_BLOCK_OUTBOUND)
        events |= EPOLLOUT;
    if (events == c->events)
        return;
    c->events = events;
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event))
        die("epoll_ctl");
}

static void connection_complain(struct connection *c, int rc) {
    char *message = "";
    if (c->session && libssh2_session_last_errno(c->session) == rc)
        libssh2_session_last_error(c->session, &message, NULL, 0);
    else if (!c->session)
        message = strerror(errno);
    fprintf(stderr, "ssh_loop: %s: %s: error %d %s\n", c->address, stages[c->stage].name, rc, message);
}

/* Goes as far as the socket allows. Returns true when the connection is over; *ok tells how it went. */
static bool connection_advance(struct connection *c, bool *ok) {
    while (c->stage < DONE) {
        int rc = stages[c->stage].run(c);
        if (rc == LIBSSH2_ERROR_EAGAIN) {
            connection_watch(c);
            return false;
        }
        if (rc) {
            connection_complain(c, rc);
            *ok = false;
            return true;
        }
        c->stage = c->stage == FREE && c->commands_left > 0 ? OPEN : c->stage + 1;
    }
    *ok = true;
    return true;
}

/* Visits every address, settings.parallel at a time. Returns how many failed. */
static int visit(char **addresses, int count) {
    struct connection *slots = calloc((size_t)settings.parallel, sizeof *slots);
    struct epoll_event events[64];
    int next = 0, active = 0, failed = 0;
    if (!slots)
        die("memory");

    while (next < count && active < settings.parallel)
        connection_open(&slots[active++], addresses[next++]);
    while (active > 0) {
        int ready = epoll_wait(epoll, events, 64, -1);
        if (ready < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            bool ok;
            if (!connection_advance(c, &ok))
                continue;
            failed += !ok;
            connection_close(c);
            if (next < count)
                connection_open(c, addresses[next++]);
            else
                active--;
        }
    }
    free(slots);
    return failed;
}

/* --- start --- */

static void load_key(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file || fseek(file, 0, SEEK_END))
        die(path);
    settings.key_size = (size_t)ftell(file);
    rewind(file);
    settings.key =
        calloc(1, settings.key_size + 1); /* libssh2 1.10 reads on to a NUL, whatever the size says */
    if (!settings.key || fread(settings.key, 1, settings.key_size, file) != settings.key_size)
        die(path);
    fclose(file);
}

static void load_known_hosts(LIBSSH2_SESSION *session, const char *path) {
    settings.known_hosts = libssh2_knownhost_init(session);
    if (!settings.known_hosts ||
        libssh2_knownhost_readfile(settings.known_hosts, path, LIBSSH2_KNOWNHOST_FILE_OPENSSH) < 0)
        die(path);
}

static int usage(void) {
    fprintf(stderr, "usage: ssh_loop -k KNOWN_HOSTS [-i KEY_FILE] [-u USER] [-p PORT] [-n HOSTS_AT_ONCE]\n"
                    "                [-c COMMANDS_A_HOST] [-x COMMAND] ADDRESS...\n");
    return 2;
}

int main(int argc, char **argv) {
    const char *known_hosts = NULL, *key = NULL;
    int option;
    while ((option = getopt(argc, argv, "k:i:u:p:n:c:x:")) != -1) {
        switch (option) {
        case 'k':
            known_hosts = optarg;
            break;
        case 'i':
            key = optarg;
            break;
        case 'u':
            settings.user = optarg;
            break;
        case 'p':
            settings.port = (int)strtol(optarg, NULL, 10);
            break;
        case 'n':
            settings.parallel = (int)strtol(optarg, NULL, 10);
            break;
        case 'c':
            settings.commands = (int)strtol(optarg, NULL, 10);
            break;
        case 'x':
            settings.command = optarg;
            break;
        default:
            return usage();
        }
    }
    if (!known_hosts || optind == argc || settings.parallel < 1 || settings.commands < 1)
        return usage();

    libssh2_init(0);
    LIBSSH2_SESSION *known_hosts_session = libssh2_session_init();
    if (!known_hosts_session)
        die("memory");
    load_known_hosts(known_hosts_session, known_hosts);
    if (key)
        load_key(key);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        die("epoll_create1");

    int failed = visit(argv + optind, argc - optind);

    close(epoll);
    free(settings.key);
    libssh2_knownhost_free(settings.known_hosts);
    libssh2_session_free(known_hosts_session);
    libssh2_exit();
    return failed > 0;
}
