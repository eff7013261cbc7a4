/* Finds what a report keeps about a scope by the scope's number. */
#ifndef HOSTLER_REPORT_SCOPE_H
#define HOSTLER_REPORT_SCOPE_H

#include <stdint.h>

#define SCOPE_BUCKETS 1024 /* numbers are given in sequence, so they fill the buckets evenly */

/* First member of what is kept. */
typedef struct scope_entry scope_entry;
struct scope_entry {
    uint64_t number;
    scope_entry *next;
};

typedef struct {
    scope_entry *buckets[SCOPE_BUCKETS];
} scope_table;

void scope_add(scope_table *table, scope_entry *entry, uint64_t number);
void *scope_find(const scope_table *table, uint64_t number);
void scope_remove(scope_table *table, uint64_t number);

/* Removes any one entry and returns it, until there is none. */
void *scope_take(scope_table *table);

#endif
