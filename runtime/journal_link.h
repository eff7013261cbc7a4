/* A connection to the PostgreSQL that holds the journal, and transactions sent over it. Every call stops the
 * loop, and ends before its deadline. */
#ifndef HOSTLER_JOURNAL_LINK_H
#define HOSTLER_JOURNAL_LINK_H

#include <libpq-fe.h>
#include <lua.h>
#include <stdint.h>

#define MOST_PARAMETERS 16

typedef struct statement statement;
struct statement {
    statement *next;
    char *sql;
    int count;
    char *values[MOST_PARAMETERS + 1]; /* a guard has its number besides */
};

/* FENCED: the guard matched no row. LOST: no answer, so it may be tried again. */
typedef enum { DONE, FENCED, REFUSED, LOST } outcome;

typedef struct {
    PGconn *connection; /* NULL when there is none */
    char *uri;
    char state[6];    /* SQLSTATE of the last failure */
    char detail[400]; /* what the server or libpq said of it */
} journal_link;

/* Milliseconds of a clock that never jumps: what deadlines are of. */
int64_t link_now(void);

/* The memory, or the end of the process. */
void *link_must(void *memory);

/* The statement at index `sql` with the parameters from `first` up to the top of the stack. */
statement *statement_new(lua_State *L, int sql, int first);
void statement_free(statement *t);

/* Connects anew. The URI decides about TLS, and libpq's environment and password file about what it leaves
 * open. */
outcome link_connect(journal_link *l, int64_t deadline);
void link_drop(journal_link *l);

/* Sends guard, queue and `main` as one transaction (those that are not NULL) and reads all answers; the rows
 * of `main` go to `rows`, for the caller to clear. The connection is dropped when it is LOST. */
outcome link_exchange(journal_link *l, int64_t deadline, const statement *guard, const statement *queue,
                      const statement *main, PGresult **rows);

/* Runs statements without parameters; the first number of the last result goes to `value`. */
outcome link_execute(journal_link *l, int64_t deadline, const char *sql, int *value);

#endif
