/* The memory that a server's clients have it hold, all together: what has come of their requests, and what
 * they have not yet taken of answers in parts. When that is more than it may be, those give way who have held
 * much of it the longest. */
#ifndef HOSTLER_WEB_BUDGET_H
#define HOSTLER_WEB_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes that anybody may have held and that count for nothing: a small request always finds room. */
#define BUDGET_FREE (8 * 1024)

typedef struct burden burden;

/* What is held for one of them; zeroed, nothing. */
struct burden {
    burden *before, *after; /* among those that can give way, who has longest been there first */
    size_t bytes;           /* that count */
    bool yields;            /* it is among them */
};

/* Zeroed but for `most`, it is empty. */
typedef struct {
    size_t held, most; /* bytes that count, and may */
    burden *first, *last;
} budget;

/* So many bytes are held for it now; whether it may be asked to give way. */
void budget_set(budget *b, burden *of, size_t bytes, bool can_yield);

/* It is not slow: the others give way first. */
void budget_excuse(budget *b, burden *of);

/* Who has to give way now; NULL when nobody has to, or nobody can. */
burden *budget_next(const budget *b);

#endif
