/* From a name to the addresses to connect to: /etc/hosts and DNS, in the order and with the name servers that
 * this machine's nsswitch.conf and resolv.conf say, as c-ares reads them.
 *
 * Nothing here blocks, and what is given up leaves nothing behind: no thread, no question. */
#ifndef HOSTLER_RESOLVE_H
#define HOSTLER_RESOLVE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define RESOLVE_MOST 16
#define RESOLVE_LONGEST_ADDRESS 64 /* a number as text, with its zone: fe80::1%eth0 */

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} resolve_address;

typedef struct {
    int count;                          /* 0: see problem */
    resolve_address list[RESOLVE_MOST]; /* the one to try first comes first; their port is 0 */
    bool too_late;                      /* the time was over */
    const char *problem, *hint;         /* why there is none: static texts, after "NAME: " */
} resolve_answer;

typedef struct resolution resolution;

/* Begins to look for the name's addresses. `done` is called once, from the loop, after at most so many
 * milliseconds; the answer is there only during the call. */
resolution *resolve_begin(const char *name, uint64_t milliseconds,
                          void (*done)(void *data, const resolve_answer *answer), void *data);

/* Gives up: `done` will not be called. */
void resolve_give_up(resolution *r);

/* The answer for what is a number already: nothing has to be looked for. False for a name. */
bool resolve_number(const char *text, resolve_answer *answer);

/* The bytes of the address for connect(2), with this port. */
socklen_t resolve_set_port(resolve_address *address, int port);

/* The address as text, without its port. */
void resolve_show(const resolve_address *address, char text[RESOLVE_LONGEST_ADDRESS]);

#endif
