/* A hash table with chains; see scope.h. */
#include "report/scope.h"

#include <stddef.h>

static scope_entry **place_of(scope_table *table, uint64_t number) {
    scope_entry **place = &table->buckets[number % SCOPE_BUCKETS];
    while (*place && (*place)->number != number)
        place = &(*place)->next;
    return place;
}

void scope_add(scope_table *table, scope_entry *entry, uint64_t number) {
    scope_entry **bucket = &table->buckets[number % SCOPE_BUCKETS];
    entry->number = number;
    entry->next = *bucket;
    *bucket = entry;
}

void *scope_find(const scope_table *table, uint64_t number) {
    return *place_of((scope_table *)table, number);
}

void scope_remove(scope_table *table, uint64_t number) {
    scope_entry **place = place_of(table, number);
    if (*place)
        *place = (*place)->next;
}

void *scope_take(scope_table *table) {
    for (int i = 0; i < SCOPE_BUCKETS; i++) {
        scope_entry *entry = table->buckets[i];
        if (entry) {
            table->buckets[i] = entry->next;
            return entry;
        }
    }
    return NULL;
}
