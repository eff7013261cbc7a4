/* See postgres_dial.h. An attempt resolves all names, one after the other, and then tries the addresses. */
#include "net/postgres_dial.h"

#include "base/text.h"
#include "task/handle.h"
#include "task/task.h"

#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_HOSTS 8
#define MOST_ADDRESSES 16
#define ADDRESS_SIZE (INET6_ADDRSTRLEN + 1 + IF_NAMESIZE) /* with a zone: fe80::1%eth0 */

typedef struct resolution resolution;

/* Where to connect. An empty address: libpq knows what to do with the host, a directory or nothing. */
typedef struct {
    const char *host, *port;
    char address[ADDRESS_SIZE];
} place;

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
    int host_count, resolved;
    resolution *resolving; /* NULL when no name is being resolved */
    place places[MOST_ADDRESSES];
    int place_count, tried;
    PGconn *connection;
    uv_poll_t *poll;
    uv_timer_t *timer;
    text_buffer problem; /* why each of the places failed */
};

/* It lives on its own: a thread may still be busy with it after the attempt was given up. */
struct resolution {
    uv_getaddrinfo_t request;
    postgres_dial *asker; /* NULL once nobody waits for the answer */
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
    if (a->resolving) {
        a->resolving->asker = NULL;
        uv_cancel((uv_req_t *)&a->resolving->request);
    }
    postgres_dial_unwatch(&a->poll);
    handle_discard(a->timer);
    PQfinish(a->connection);
    text_free(&a->problem);
    free(a->host_list);
    free(a->port_list);
    free(a);
}

static void add_problem(postgres_dial *a, const char *problem) {
    size_t length = strlen(problem);
    while (length > 0 && problem[length - 1] == '\n')
        length--;
    if (a->problem.length > 0)
        text_puts(&a->problem, "; ");
    text_add(&a->problem, problem, length);
}

static void end(postgres_dial *a) {
    PGconn *connection = a->connection;
    a->connection = NULL;
    a->connected(a->data, connection, a->problem.text);
    postgres_dial_give_up(a);
}

/* ---- trying one place after the other ---- */

static void try_next(postgres_dial *a);

static void fail(postgres_dial *a, const char *problem) {
    add_problem(a, problem);
    postgres_dial_unwatch(&a->poll);
    PQfinish(a->connection);
    a->connection = NULL;
    try_next(a);
}

static uint64_t time_left(const postgres_dial *a) {
    uint64_t now = uv_now(task_loop());
    return a->deadline > now ? a->deadline - now : 0;
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
        end(a);
        return;
    default:
        fail(a, PQerrorMessage(a->connection));
    }
}

static void on_no_answer(uv_timer_t *timer) {
    postgres_dial *a = timer->data;
    const place *p = &a->places[a->tried - 1];
    char problem[ADDRESS_SIZE + 64];
    if (a->place_count == 1)
        snprintf(problem, sizeof problem, "no answer within %g seconds", a->seconds);
    else
        snprintf(problem, sizeof problem, "no answer from %s, port %s", p->address,
                 p->port ? p->port : "5432");
    fail(a, problem);
}

static void try_next(postgres_dial *a) {
    if (a->tried == a->place_count) {
        end(a);
        return;
    }
    uint64_t share = time_left(a) / (uint64_t)(a->place_count - a->tried);
    const place *p = &a->places[a->tried++];
    postgres_dial_set(&a->settings, "host", p->host);
    postgres_dial_set(&a->settings, "hostaddr", p->address[0] ? p->address : a->given_address);
    postgres_dial_set(&a->settings, "port", p->port);
    uv_timer_start(a->timer, on_no_answer, share, 0);
    a->connection = PQconnectStartParams(a->settings.keywords, a->settings.values, 0);
    if (!a->connection) {
        fail(a, "out of memory");
        return;
    }
    if (a->notice)
        PQsetNoticeReceiver(a->connection, a->notice, a->data);
    if (PQstatus(a->connection) == CONNECTION_BAD)
        fail(a, PQerrorMessage(a->connection));
    else
        watch(a, UV_WRITABLE);
}

/* ---- resolving ---- */

static void resolve_next(postgres_dial *a);

static void add_place(postgres_dial *a, const struct sockaddr *address, socklen_t length) {
    if (a->place_count == MOST_ADDRESSES)
        return;
    place *p = &a->places[a->place_count];
    *p = (place){.host = a->hosts[a->resolved], .port = a->ports[a->resolved]};
    if (!address || getnameinfo(address, length, p->address, sizeof p->address, NULL, 0, NI_NUMERICHOST) == 0)
        a->place_count++;
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *answer) {
    resolution *r = (resolution *)request;
    postgres_dial *a = r->asker;
    free(r);
    if (a) {
        a->resolving = NULL;
        for (const struct addrinfo *each = answer; each; each = each->ai_next)
            add_place(a, each->ai_addr, each->ai_addrlen);
        if (status) {
            char problem[400];
            snprintf(problem, sizeof problem, "the host name %s cannot be resolved: %s",
                     a->hosts[a->resolved], uv_strerror(status));
            add_problem(a, problem);
        }
        a->resolved++;
        resolve_next(a);
    }
    uv_freeaddrinfo(answer);
}

static void on_not_resolved(uv_timer_t *timer) {
    postgres_dial *a = timer->data;
    char problem[400];
    snprintf(problem, sizeof problem, "the host name %s cannot be resolved: no answer within %g seconds",
             a->hosts[a->resolved], a->seconds);
    add_problem(a, problem);
    end(a);
}

static void resolve(postgres_dial *a, const char *host) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    resolution *r = calloc(1, sizeof *r);
    int problem = r ? uv_getaddrinfo(task_loop(), &r->request, on_resolved, host, NULL, &hints) : UV_ENOMEM;
    if (problem) {
        free(r);
        add_problem(a, uv_strerror(problem));
        end(a);
        return;
    }
    r->asker = a;
    a->resolving = r;
}

/* A directory (of a Unix socket), an abstract socket and no host at all are libpq's own matter. */
static bool is_name(const char *host) {
    return host && *host && *host != '/' && *host != '@';
}

static void resolve_next(postgres_dial *a) {
    for (; a->resolved < a->host_count; a->resolved++) {
        const char *host = a->hosts[a->resolved];
        if (is_name(host) && !a->given_address) {
            resolve(a, host);
            return;
        }
        add_place(a, NULL, 0);
    }
    try_next(a);
}

/* ---- the beginning ---- */

static void on_begin(uv_timer_t *timer) {
    postgres_dial *a = timer->data;
    uv_timer_start(timer, on_not_resolved, time_left(a), 0);
    resolve_next(a);
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
