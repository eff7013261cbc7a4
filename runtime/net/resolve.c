/* Names over c-ares; see resolve.h. */
#include "net/resolve.h"

#include "net/ares_loop.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct resolution {
    ares_question *question; /* NULL if c-ares could not begin */
    resolve_answer answer;
    void (*done)(void *data, const resolve_answer *answer);
    void *data;
};

/* ---- addresses ---- */

static bool add_address(resolve_answer *answer, const struct sockaddr *address) {
    size_t size = address->sa_family == AF_INET    ? sizeof(struct sockaddr_in)
                  : address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                   : 0;
    if (size == 0 || answer->count == RESOLVE_MOST)
        return false;
    memcpy(&answer->list[answer->count++], address, size);
    return true;
}

bool resolve_number(const char *text, resolve_answer *answer) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *found;
    *answer = (resolve_answer){0};
    if (getaddrinfo(text, NULL, &hints, &found) != 0) /* with this flag it looks for nothing */
        return false;
    bool added = add_address(answer, found->ai_addr);
    freeaddrinfo(found);
    return added;
}

socklen_t resolve_set_port(resolve_address *address, int port) {
    if (address->any.sa_family == AF_INET6) {
        address->v6.sin6_port = htons((uint16_t)port);
        return sizeof address->v6;
    }
    address->v4.sin_port = htons((uint16_t)port);
    return sizeof address->v4;
}

void resolve_show(const resolve_address *address, char text[RESOLVE_LONGEST_ADDRESS]) {
    socklen_t size = address->any.sa_family == AF_INET6 ? sizeof address->v6 : sizeof address->v4;
    if (getnameinfo(&address->any, size, text, RESOLVE_LONGEST_ADDRESS, NULL, 0, NI_NUMERICHOST) != 0)
        *text = '\0';
}

/* ---- what this machine can reach ---- */

typedef struct {
    bool v4, v6;
} families;

/* The families of the addresses that this machine has, those of its loopback aside. */
static families own_families(void) {
    families own = {false, false};
    uv_interface_address_t *list;
    int count;
    if (uv_interface_addresses(&list, &count) != 0)
        return own;
    for (int i = 0; i < count; i++) {
        own.v4 = own.v4 || (!list[i].is_internal && list[i].address.address4.sin_family == AF_INET);
        own.v6 = own.v6 || (!list[i].is_internal && list[i].address.address4.sin_family == AF_INET6);
    }
    uv_free_interface_addresses(list, count);
    return own;
}

/* Adds the addresses in c-ares's order, RFC 6724's. Where a machine has addresses of one family only, those
 * of the other lead nowhere, and would only be what a person is told of at the end; without better ones they
 * stay. */
static void add_all(resolve_answer *answer, const struct ares_addrinfo *found) {
    families own = own_families();
    int skipped = own.v4 && !own.v6 ? AF_INET6 : own.v6 && !own.v4 ? AF_INET : AF_UNSPEC;
    for (int pass = 0; pass < 2 && answer->count == 0; pass++)
        for (const struct ares_addrinfo_node *node = found->nodes; node; node = node->ai_next)
            if (pass > 0 || node->ai_family != skipped)
                add_address(answer, node->ai_addr);
}

/* ---- failures ---- */

#define SERVERS_HINT \
    "check this machine's /etc/resolv.conf and the servers that it names, or give the address"

static void set_problem(resolve_answer *answer, int status) {
    static const struct {
        int status;
        const char *problem, *hint;
    } problems[] = {
        {ARES_ENOTFOUND, "the name does not exist",
         "check its spelling and its DNS record; /etc/hosts does not have it either"},
        {ARES_ENODATA, "the name has no address", "it has neither an A nor an AAAA record in DNS: add one"},
        {ARES_EBADNAME, "this is no name that DNS can hold", "check its spelling"},
        {ARES_ETIMEOUT, "no name server answered", SERVERS_HINT},
        /* c-ares also says so when all servers fail or refuse to answer. */
        {ARES_ECONNREFUSED, "no name server could be reached, or had an answer", SERVERS_HINT},
        {ARES_ESERVFAIL, "the name server failed to find it (SERVFAIL)", SERVERS_HINT},
        {ARES_EREFUSED, "the name server refused to answer (REFUSED)", SERVERS_HINT},
    };
    answer->problem = ares_strerror(status);
    answer->hint = SERVERS_HINT;
    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++) {
        if (problems[i].status == status) {
            answer->problem = problems[i].problem;
            answer->hint = problems[i].hint;
        }
    }
}

/* ---- a resolution's life ---- */

static void on_found(void *data, int status, int timeouts, struct ares_addrinfo *found) {
    (void)timeouts;
    resolution *r = data;
    if (ares_question_settle(r->question)) {
        r->answer.too_late = false;
        if (status == ARES_SUCCESS)
            add_all(&r->answer, found);
        set_problem(&r->answer, status == ARES_SUCCESS ? ARES_ENODATA : status);
    }
    ares_freeaddrinfo(found);
}

static void on_ended(void *data) {
    resolution *r = data;
    r->done(r->data, &r->answer);
    free(r);
}

resolution *resolve_begin(const char *name, uint64_t milliseconds,
                          void (*done)(void *data, const resolve_answer *answer), void *data) {
    struct ares_options options = {0};
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    resolution *r = calloc(1, sizeof *r);
    if (!r)
        abort();
    *r = (resolution){.done = done, .data = data};
    r->answer.too_late = true; /* until there is an answer */
    set_problem(&r->answer, ARES_ETIMEOUT);
    int status = ares_question_open(&r->question, &options, 0, milliseconds, on_ended, r);
    if (status != ARES_SUCCESS)
        abort();
    ares_getaddrinfo(ares_question_channel(r->question), name, NULL, &hints, on_found, r);
    ares_question_start(r->question);
    return r;
}

void resolve_give_up(resolution *r) {
    ares_question_close(r->question);
    free(r);
}
