/* A connection to the PostgreSQL that holds the journal, and transactions sent over it, on the loop: every
 * call returns at once, and `done` is called later, before its deadline, which is of clock_milliseconds().
 * One call at a time. */
#ifndef HOSTLER_JOURNAL_POSTGRES_LINK_H
#define HOSTLER_JOURNAL_POSTGRES_LINK_H

#include "journal/postgres/prepared.h"
#include "net/postgres_dial.h"

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

typedef struct journal_link journal_link;
typedef void link_done(journal_link *link, outcome o);

struct journal_link {
    postgres_dial_settings settings; /* where to; the texts have to stay */
    void *owner;                     /* whose it is, for `done` */
    PGconn *connection;              /* NULL when there is none */
    prepared *prepared;              /* the connection's */
    char state[6];                   /* SQLSTATE of the last failure */
    char detail[400];                /* what the server or libpq said of it */
    /* What is under way; the rest is nobody else's. */
    link_done *done;
    postgres_dial *attempt;
    uv_poll_t *poll;
    uv_timer_t *timer;
    bool wants_rows;
    int guarded;        /* the answers up to that of the guard */
    int sent, answered; /* see prepared.h */
    outcome first;      /* that was not DONE */
    PGresult *rows;
};

/* The memory, or the end of the process. */
void *link_must(void *memory);

/* The statement at index `sql` with the parameters from `first` up to the top of the stack. */
statement *statement_new(lua_State *L, int sql, int first);
/* Frees it and those that follow it. */
void statements_free(statement *t);

/* Connects anew. */
void link_connect(journal_link *l, int64_t deadline, link_done *done);

/* Sends guard, queue and `main`, and what follows each, as one transaction (those that are not NULL) and
 * reads all answers. The connection is dropped when it is LOST. */
void link_exchange(journal_link *l, int64_t deadline, const statement *guard, const statement *queue,
                   const statement *main, link_done *done);

/* The rows of the last statement of `main` in the last exchange, for the caller to clear; NULL when there are
 * none. */
PGresult *link_take_rows(journal_link *l);

/* Whether the connection of a link that is closed is kept for the next link that connects, in this process,
 * with the same settings; `false` ends the one that is kept. */
void link_keep(bool on);

/* Whether one is kept at this moment. */
bool link_is_kept(void);

/* Ends the connection, and what is under way: `done` is not called. */
void link_drop(journal_link *l);

/* The same, for good. */
void link_close(journal_link *l);

#endif
