/* The statements that a connection has prepared: the server reads and plans each of them once. They are known
 * by their text, and belong to the connection, whoever has it. An exchange is a row of answers, counted from
 * 0: one to each statement that is to be prepared, and one to each that is executed. */
#ifndef HOSTLER_JOURNAL_POSTGRES_PREPARED_H
#define HOSTLER_JOURNAL_POSTGRES_PREPARED_H

#include <libpq-fe.h>
#include <stdbool.h>

typedef struct prepared prepared;

prepared *prepared_new(void);
void prepared_free(prepared *p);

/* Sends a statement, and before it, where the server does not have it yet, what prepares it. `answers` is how
 * many answers are due already, and grows. False: libpq refuses. */
bool prepared_send(prepared *p, PGconn *connection, const char *sql, int count, const char *const *values,
                   int *answers);

/* This answer was no failure, and neither was one before it. */
void prepared_note(prepared *p, int answer);

/* The exchange is over: what was to be prepared and has no such answer is not. */
void prepared_settle(prepared *p);

#endif
