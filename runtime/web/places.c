/* Who has a place; see places.h. */
#include "web/places.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define PATIENCE_MS 200 /* for who is new or slow, before another one may have the place */

typedef struct {
    uint64_t high, low; /* low: of IPv4 the address, of IPv6 nothing */
} address_key;

struct place_address {
    place_address *next;
    address_key key;
    size_t count;
    place_list idle;
};

void places_init(places *all, size_t most, size_t most_of_address) {
    *all = (places){.most = most, .most_of_address = most_of_address};
    if (getrandom(&all->salt, sizeof all->salt, GRND_NONBLOCK) < 0)
        all->salt = (uintptr_t)all;
}

/* ---- lists ---- */

static void append(place_list *list, place *p) {
    p->before = list->last;
    p->after = NULL;
    *(list->last ? &list->last->after : &list->first) = p;
    list->last = p;
}

static void unlink_from(place_list *list, place *p) {
    *(p->before ? &p->before->after : &list->first) = p->after;
    *(p->after ? &p->after->before : &list->last) = p->before;
}

static void append_idle(place_list *list, place *p) {
    p->idle_before = list->last;
    p->idle_after = NULL;
    *(list->last ? &list->last->idle_after : &list->first) = p;
    list->last = p;
}

static void unlink_idle(place_list *list, place *p) {
    *(p->idle_before ? &p->idle_before->idle_after : &list->first) = p->idle_after;
    *(p->idle_after ? &p->idle_after->idle_before : &list->last) = p->idle_before;
}

/* ---- addresses ---- */

/* False for a family that has no addresses. */
static bool key_of(const struct sockaddr_storage *address, address_key *key) {
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
    uint32_t v4 = four->sin_addr.s_addr;
    *key = (address_key){0, 0};
    if (address->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
        memcpy(&v4, six->sin6_addr.s6_addr + 12, sizeof v4);
    else if (address->ss_family == AF_INET6)
        return memcpy(&key->high, six->sin6_addr.s6_addr, sizeof key->high) != NULL;
    else if (address->ss_family != AF_INET)
        return false;
    key->low = (uint64_t)v4 | (1ULL << 32);
    return true;
}

static size_t bucket_of(const places *all, address_key key) {
    uint64_t mixed = (key.high ^ all->salt) * 0x9e3779b97f4a7c15ULL;
    mixed = (mixed ^ (mixed >> 29) ^ key.low) * 0xbf58476d1ce4e5b9ULL;
    return (mixed >> 40) % PLACE_BUCKETS;
}

static place_address *find(const places *all, address_key key) {
    place_address *a = all->addresses[bucket_of(all, key)];
    while (a && (a->key.high != key.high || a->key.low != key.low))
        a = a->next;
    return a;
}

static place_address *find_or_add(places *all, address_key key) {
    place_address *a = find(all, key);
    if (a || !(a = calloc(1, sizeof *a)))
        return a;
    place_address **bucket = &all->addresses[bucket_of(all, key)];
    a->key = key;
    a->next = *bucket;
    *bucket = a;
    return a;
}

static void release(places *all, place_address *a) {
    if (--a->count > 0)
        return;
    place_address **link = &all->addresses[bucket_of(all, a->key)];
    while (*link != a)
        link = &(*link)->next;
    *link = a->next;
    free(a);
}

/* ---- coming and going ---- */

static void put(places *all, place *p, place_kind kind, uint64_t now) {
    p->kind = kind;
    p->since = now;
    append(&all->kinds[kind], p);
    if (kind == PLACE_IDLE && p->address)
        append_idle(&p->address->idle, p);
}

static void take_out(places *all, place *p) {
    unlink_from(&all->kinds[p->kind], p);
    if (p->kind == PLACE_IDLE && p->address)
        unlink_idle(&p->address->idle, p);
}

bool places_enter(places *all, place *p, const struct sockaddr_storage *address, uint64_t now) {
    address_key key;
    p->address = NULL;
    if (key_of(address, &key)) {
        place_address *a = find_or_add(all, key);
        if (!a || a->count >= all->most_of_address)
            return false;
        a->count++;
        p->address = a;
    }
    all->count++;
    put(all, p, PLACE_FRESH, now);
    return true;
}

void places_move(places *all, place *p, place_kind kind, uint64_t now) {
    take_out(all, p);
    put(all, p, kind, now);
}

void places_leave(places *all, place *p) {
    take_out(all, p);
    if (p->address)
        release(all, p->address);
    p->address = NULL;
    all->count--;
}

place *places_next(const places *all, uint64_t now) {
    if (all->kinds[PLACE_IDLE].first)
        return all->kinds[PLACE_IDLE].first;
    for (place_kind kind = PLACE_FRESH; kind < PLACE_BUSY; kind++)
        if (all->kinds[kind].first && now - all->kinds[kind].first->since >= PATIENCE_MS)
            return all->kinds[kind].first;
    return NULL;
}

bool places_full_for(const places *all, const struct sockaddr_storage *address) {
    address_key key;
    place_address *a = key_of(address, &key) ? find(all, key) : NULL;
    return a && a->count >= all->most_of_address;
}

place *places_next_of(const places *all, const struct sockaddr_storage *address) {
    address_key key;
    place_address *a = key_of(address, &key) ? find(all, key) : NULL;
    return a ? a->idle.first : NULL;
}
