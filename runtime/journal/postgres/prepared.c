/* See prepared.h. */
#include "journal/postgres/prepared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 64 /* others are sent as they are */

typedef struct {
    char *sql;
    enum { UNKNOWN, ASKED, READY } state;
    int answer; /* of the exchange that asks for it */
} entry;

struct prepared {
    int count;
    entry entries[MOST];
};

prepared *prepared_new(void) {
    return calloc(1, sizeof(prepared));
}

void prepared_free(prepared *p) {
    for (int i = 0; p && i < p->count; i++)
        free(p->entries[i].sql);
    free(p);
}

/* NULL when there is no room. */
static entry *find(prepared *p, const char *sql) {
    for (int i = 0; i < p->count; i++)
        if (strcmp(p->entries[i].sql, sql) == 0)
            return &p->entries[i];
    char *copy = p->count < MOST ? strdup(sql) : NULL;
    if (!copy)
        return NULL;
    entry *new = &p->entries[p->count++];
    *new = (entry){.sql = copy};
    return new;
}

static void write_name(const prepared *p, const entry *e, char name[static 16]) {
    snprintf(name, 16, "s%d", (int)(e - p->entries));
}

static bool prepare(prepared *p, PGconn *connection, entry *e, int *answers) {
    char name[16];
    write_name(p, e, name);
    if (!PQsendPrepare(connection, name, e->sql, 0, NULL))
        return false;
    e->state = ASKED;
    e->answer = (*answers)++;
    return true;
}

bool prepared_send(prepared *p, PGconn *connection, const char *sql, int count, const char *const *values,
                   int *answers) {
    entry *e = find(p, sql);
    if (e && e->state == UNKNOWN && !prepare(p, connection, e, answers))
        return false;
    (*answers)++;
    if (!e)
        return PQsendQueryParams(connection, sql, count, NULL, values, NULL, NULL, 0);
    char name[16];
    write_name(p, e, name);
    return PQsendQueryPrepared(connection, name, count, values, NULL, NULL, 0);
}

void prepared_note(prepared *p, int answer) {
    for (int i = 0; i < p->count; i++)
        if (p->entries[i].state == ASKED && p->entries[i].answer == answer)
            p->entries[i].state = READY;
}

void prepared_settle(prepared *p) {
    for (int i = 0; i < p->count; i++)
        if (p->entries[i].state == ASKED)
            p->entries[i].state = UNKNOWN;
}
