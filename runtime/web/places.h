/* Who has a place: connections up to a limit, and up to another one from one address. When all places are
 * taken someone who wants one less gives his up: first who only might send another request, the longest idle
 * one; then who has said nothing yet; who is slowly saying something; who is slowly taking an answer. Whoever
 * waits for an answer keeps his place. */
#ifndef HOSTLER_WEB_PLACES_H
#define HOSTLER_WEB_PLACES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* In the order in which they give up their places. */
typedef enum { PLACE_IDLE, PLACE_FRESH, PLACE_READING, PLACE_WRITING, PLACE_BUSY, PLACE_KINDS } place_kind;

typedef struct place place;
typedef struct place_address place_address;

typedef struct {
    place *first, *last;
} place_list;

/* The first member of what has a place. */
struct place {
    place *before, *after;           /* among its kind, the longest there first */
    place *idle_before, *idle_after; /* among the idle ones of its address */
    place_address *address;          /* NULL: not counted */
    place_kind kind;
    uint64_t since; /* when it became of its kind, in milliseconds */
};

#define PLACE_BUCKETS 1024

typedef struct {
    place_list kinds[PLACE_KINDS];
    place_address *addresses[PLACE_BUCKETS];
    uint64_t salt;
    size_t count, most, most_of_address;
} places;

/* A server's, empty. */
void places_init(places *all, size_t most, size_t most_of_address);

/* Takes a place for someone of this address, as PLACE_FRESH. False when the address has as many as one may
 * have, or memory is out. IPv6 addresses of one /64 network count as one, for a single client has that many;
 * those of other families than IP are not counted. */
bool places_enter(places *all, place *p, const struct sockaddr_storage *address, uint64_t now);

void places_move(places *all, place *p, place_kind kind, uint64_t now);

void places_leave(places *all, place *p);

/* Who gives up his place next, or NULL when nobody does now: all but the idle have some time first. */
place *places_next(const places *all, uint64_t now);

/* Whether the address has as many as one may have. */
bool places_full_for(const places *all, const struct sockaddr_storage *address);

/* The longest idle one of this address, or NULL. */
place *places_next_of(const places *all, const struct sockaddr_storage *address);

#endif
