/* The record of runs: which steps began, which ended and with what, and what effects they had.
 *
 * The order is the promise: a step's intent is recorded before its first effect, an effect's intent before it
 * leaves the process, and the result before the step counts as done. Texts are already scrubbed; results are
 * JSON. */
#ifndef HOSTLER_JOURNAL_H
#define HOSTLER_JOURNAL_H

#include <lua.h>
#include <stdint.h>

typedef struct journal journal;

typedef enum { STEP_NEW, STEP_AMBIGUOUS, STEP_FINISHED } step_state;

struct journal {
    /* A new run of this playbook; returns its id, owned by the journal. NULL on failure, as for all below:
     * see error(). */
    const char *(*run_begin)(journal *, const char *playbook, const char *parameters_json);
    int (*run_end)(journal *, const char *status, const char *error_json);
    /* What is known of a step; *result is set for a finished one and is valid until the next call. */
    int (*step_find)(journal *, const char *path, step_state *state, const char **result_json);
    int (*step_begin)(journal *, const char *path);
    int (*step_end)(journal *, const char *path, const char *status, const char *result_json);
    /* Returns the effect's number, or -1. */
    int64_t (*effect_begin)(journal *, const char *step, const char *name, const char *kind,
                            const char *target, const char *summary);
    int (*effect_end)(journal *, int64_t effect, const char *status);
    /* What went wrong in the last call that failed. */
    const char *(*error)(journal *);
    void (*close)(journal *);
};

/* Keeps the run in memory only: for checks, tests, and runs that need no resume. */
journal *journal_memory_new(void);

/* Pushes a table of the functions above over the journal given; the table owns it. */
int journal_open(lua_State *L, journal *j);

#endif
