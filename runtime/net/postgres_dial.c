/* See postgres_dial.h. An attempt takes one host after the other: its name is resolved, then its addresses
 * are tried. */
#include "net/postgres_dial.h"

#include "base/files.h"
#include "base/scrub.h"
#include "base/text.h"
#include "net/resolve.h"
#include "task/handle.h"
#include "task/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_HOSTS 8

struct postgres_dial {
    postgres_dial_settings settings;
    PQnoticeReceiver notice;
    postgres_dial_done *connected;
    void *data;
    double seconds;
    uint64_t deadline;         /* in milliseconds of uv_now */
    const char *given_address; /* the setting "hostaddr" */
    char *host_list, *port_list;
    const char *hosts[MOST_HOSTS], *ports[MOST_HOSTS];
    int host_count, host;     /* the index of the one whose turn it is */
    uint64_t host_deadline;   /* its share of the time */
    resolution *resolving;    /* NULL when no name is being resolved */
    resolve_answer addresses; /* the host's; none when libpq knows what to do with it */
    int tries, tried;         /* how often to connect to this host, and how often it was begun */
    char address[RESOLVE_LONGEST_ADDRESS];
    PGconn *connection;
    uv_poll_t *poll;
    uv_timer_t *timer;
    text_buffer problem; /* why each of the tries failed */
    char state[6];       /* SQLSTATE of the last server that refused */
};

/* ---- settings ---- */

bool postgres_dial_set(postgres_dial_settings *settings, const char *keyword, const char *value) {
    int index = 0;
    while (index < settings->count && strcmp(settings->keywords[index], keyword) != 0)
        index++;
    if (index == POSTGRES_DIAL_MOST_SETTINGS)
        return false;
    if (index == settings->count)
        settings->count++;
    settings->keywords[index] = keyword;
    settings->values[index] = value;
    return true;
}

const char *postgres_dial_get(const postgres_dial_settings *settings, const char *keyword) {
    for (int i = 0; i < settings->count; i++)
        if (strcmp(settings->keywords[i], keyword) == 0)
            return settings->values[i];
    return NULL;
}

/* ---- watching the socket ---- */

int postgres_dial_watch(uv_poll_t **poll, const PGconn *connection, int events, uv_poll_cb ready,
                        void *data) {
    if (!*poll) {
        uv_poll_t *made = calloc(1, sizeof *made);
        int problem = made ? uv_poll_init(task_loop(), made, PQsocket(connection)) : UV_ENOMEM;
        if (problem) {
            free(made);
            return problem;
        }
        made->data = data;
        *poll = made;
    }
    return uv_poll_start(*poll, events, ready);
}

void postgres_dial_unwatch(uv_poll_t **poll) {
    handle_discard(*poll);
    *poll = NULL;
}

/* ---- the end ---- */

void postgres_dial_give_up(postgres_dial *a) {
    if (a->resolving)
        resolve_give_up(a->resolving);
    postgres_dial_unwatch(&a->poll);
    handle_discard(a->timer);
    PQfinish(a->connection);
    text_free(&a->problem);
    free(a->host_list);
    free(a->port_list);
    free(a);
}

/* Where the SQLSTATE is in what a server has said: "FATAL:  57P03: the database system is starting up". */
static const char *find_state(const char *problem) {
    static const char *const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (const char *at = problem; (at = strstr(at, ":  ")); at++)
        if (strspn(at + 3, letters) == 5 && strncmp(at + 8, ": ", 2) == 0)
            return at + 3;
    return NULL;
}

/* libpq tells the SQLSTATE of a refusal only among all that it can tell, to which the place in the server's
 * source belongs. */
static void add_problem(postgres_dial *a, const char *problem) {
    const char *state = find_state(problem), *place = strstr(problem, "\nLOCATION: ");
    size_t length = place ? (size_t)(place - problem) : strlen(problem);
    while (length > 0 && problem[length - 1] == '\n')
        length--;
    if (a->problem.length > 0)
        text_puts(&a->problem, "; ");
    if (!state) {
        text_add(&a->problem, problem, length);
        return;
    }
    snprintf(a->state, sizeof a->state, "%.5s", state);
    text_add(&a->problem, problem, (size_t)(state - problem));
    text_add(&a->problem, state + 7, length - (size_t)(state + 7 - problem));
}

static void end(postgres_dial *a) {
    PGconn *connection = a->connection;
    a->connection = NULL;
    a->connected(a->data, connection, a->problem.text, a->state);
    postgres_dial_give_up(a);
}

/* ---- trying one address after the other ---- */

static void try_next(postgres_dial *a);

static void fail(postgres_dial *a, const char *problem) {
    add_problem(a, problem);
    postgres_dial_unwatch(&a->poll);
    PQfinish(a->connection);
    a->connection = NULL;
    try_next(a);
}

static uint64_t time_until(uint64_t deadline) {
    uint64_t now = uv_now(task_loop());
    return deadline > now ? deadline - now : 0;
}

static void go_on(postgres_dial *a);

static void on_socket_ready(uv_poll_t *poll, int status, int events) {
    (void)status, (void)events; /* an error on the socket is told by PQconnectPoll, in better words */
    go_on(poll->data);
}

static void watch(postgres_dial *a, int events) {
    int problem = postgres_dial_watch(&a->poll, a->connection, events, on_socket_ready, a);
    if (problem)
        fail(a, uv_strerror(problem));
}

/* libpq may go on with another socket (without TLS, say), so each turn watches anew. */
static void go_on(postgres_dial *a) {
    postgres_dial_unwatch(&a->poll);
    switch (PQconnectPoll(a->connection)) {
    case PGRES_POLLING_READING:
        watch(a, UV_READABLE);
        return;
    case PGRES_POLLING_WRITING:
        watch(a, UV_WRITABLE);
        return;
    case PGRES_POLLING_OK:
        PQsetnonblocking(a->connection, 1);
        PQsetErrorVerbosity(a->connection, PQERRORS_DEFAULT);
        end(a);
        return;
    default:
        fail(a, PQerrorMessage(a->connection));
    }
}

static void on_no_answer(uv_timer_t *timer) {
    postgres_dial *a = timer->data;
    const char *port = a->ports[a->host];
    char problem[RESOLVE_LONGEST_ADDRESS + 64];
    if (a->host_count == 1 && a->tries == 1)
        scrub_format(problem, sizeof problem, "no answer within %g seconds", a->seconds);
    else
        scrub_format(problem, sizeof problem, "no answer from %s, port %s", a->address, port ? port : "5432");
    fail(a, problem);
}

static void begin_host(postgres_dial *a);

/* libpq gets the address with the name beside it. */
static void choose_address(postgres_dial *a) {
    a->address[0] = '\0';
    if (a->addresses.count > 0)
        resolve_show(&a->addresses.list[a->tried], a->address);
    postgres_dial_set(&a->settings, "host", a->hosts[a->host]);
    postgres_dial_set(&a->settings, "hostaddr", a->address[0] ? a->address : a->given_address);
    postgres_dial_set(&a->settings, "port", a->ports[a->host]);
}

static void try_next(postgres_dial *a) {
    if (a->tried == a->tries) {
        a->host++;
        begin_host(a);
        return;
    }
    uint64_t share = time_until(a->host_deadline) / (uint64_t)(a->tries - a->tried);
    choose_address(a);
    a->tried++;
    uv_timer_start(a->timer, on_no_answer, share, 0);
    a->connection = PQconnectStartParams(a->settings.keywords, a->settings.values, 0);
    if (!a->connection) {
        fail(a, "out of memory");
        return;
    }
    PQsetErrorVerbosity(a->connection, PQERRORS_VERBOSE);
    if (a->notice)
        PQsetNoticeReceiver(a->connection, a->notice, a->data);
    if (PQstatus(a->connection) == CONNECTION_BAD)
        fail(a, PQerrorMessage(a->connection));
    else
        watch(a, UV_WRITABLE);
}

/* ---- one host after the other ---- */

static void try_host(postgres_dial *a, int tries) {
    a->tries = tries;
    a->tried = 0;
    try_next(a);
}

static void add_unresolved(postgres_dial *a, const resolve_answer *answer) {
    char problem[512];
    if (answer->too_late && a->host_count == 1)
        scrub_format(problem, sizeof problem,
                     "the host name %s cannot be resolved: no answer within %g seconds", a->hosts[a->host],
                     a->seconds);
    else
        scrub_format(problem, sizeof problem, "the host name %s cannot be resolved: %s", a->hosts[a->host],
                     answer->problem);
    add_problem(a, problem);
}

static void on_resolved(void *data, const resolve_answer *answer) {
    postgres_dial *a = data;
    a->resolving = NULL;
    a->addresses = *answer;
    if (answer->count == 0)
        add_unresolved(a, answer);
    try_host(a, answer->count);
}

/* A directory (of a Unix socket), an abstract socket and no host at all are libpq's own matter. */
static bool is_name(const char *host) {
    return host && *host && *host != '/' && *host != '@';
}

static void begin_host(postgres_dial *a) {
    if (a->host == a->host_count) {
        end(a);
        return;
    }
    const char *host = a->hosts[a->host];
    uint64_t share = time_until(a->deadline) / (uint64_t)(a->host_count - a->host);
    a->host_deadline = uv_now(task_loop()) + share;
    a->addresses.count = 0;
    if (!is_name(host) || a->given_address || resolve_number(host, &a->addresses)) {
        try_host(a, 1);
        return;
    }
    uv_timer_stop(a->timer);
    a->resolving = resolve_begin(host, share, on_resolved, a);
}

/* ---- the beginning ---- */

/* libpq opens these by name, whenever it wants to, and would wait for a FIFO. That .pgpass and a key are
 * ordinary files it sees to itself. */
static bool find_strange_file(postgres_dial *a) {
    static const struct {
        const char *keyword, *variable;
    } files[] = {{"sslrootcert", "PGSSLROOTCERT"},
                 {"sslcert", "PGSSLCERT"},
                 {"sslcrl", "PGSSLCRL"},
                 {"servicefile", "PGSERVICEFILE"}};
    char text[512];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *path = postgres_dial_get(&a->settings, files[i].keyword);
        path = path && *path ? path : getenv(files[i].variable);
        int problem = path ? files_check_readable(path) : 0;
        if (problem < FILES_IS_FIFO)
            continue;
        scrub_format(text, sizeof text, "%s %s: %s", files[i].keyword, path, files_reason(problem));
        add_problem(a, text);
        return true;
    }
    return false;
}

static void on_begin(uv_timer_t *timer) {
    postgres_dial *a = timer->data;
    if (find_strange_file(a))
        end(a);
    else
        begin_host(a);
}

/* Splits a copy of the list at its commas; returns how many there are, at least one. */
static int split(const char *text, char **copy, const char **parts) {
    *copy = text ? strdup(text) : NULL;
    parts[0] = *copy;
    int count = 1;
    for (char *comma = *copy; comma && (comma = strchr(comma, ',')) && count < MOST_HOSTS; count++) {
        *comma++ = '\0';
        parts[count] = comma;
    }
    return count;
}

postgres_dial *postgres_dial_begin(const postgres_dial_settings *settings, double seconds,
                                   PQnoticeReceiver notice, postgres_dial_done *connected, void *data) {
    postgres_dial *a = calloc(1, sizeof *a);
    uv_timer_t *timer = calloc(1, sizeof *timer);
    if (!a || !timer)
        abort();
    *a = (postgres_dial){.settings = *settings, .notice = notice, .connected = connected, .data = data};
    a->seconds = seconds;
    a->given_address = postgres_dial_get(settings, "hostaddr");
    if (a->given_address && !*a->given_address)
        a->given_address = NULL;
    a->host_count = 1;
    if (a->given_address) { /* lists of these are libpq's matter */
        a->hosts[0] = postgres_dial_get(settings, "host");
        a->ports[0] = postgres_dial_get(settings, "port");
    } else {
        a->host_count = split(postgres_dial_get(settings, "host"), &a->host_list, a->hosts);
        int ports = split(postgres_dial_get(settings, "port"), &a->port_list, a->ports);
        for (int i = ports; i < a->host_count; i++)
            a->ports[i] = a->ports[ports - 1];
    }
    a->timer = timer;
    timer->data = a;
    uv_update_time(task_loop());
    a->deadline = uv_now(task_loop()) + (uint64_t)(seconds * 1000);
    uv_timer_init(task_loop(), timer);
    uv_timer_start(timer, on_begin, 0, 0);
    return a;
}
