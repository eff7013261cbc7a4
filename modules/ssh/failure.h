/* Why a connection or an operation failed, kept until a task is there to raise it. */
#ifndef HOSTLER_SSH_FAILURE_H
#define HOSTLER_SSH_FAILURE_H

#include <lua.h>
#include <stdbool.h>

#define FAILURE_FIELDS 8

typedef struct {
    const char *code; /* NULL: nothing failed */
    struct {
        const char *name;
        char *text;
    } fields[FAILURE_FIELDS];
    int count;
} ssh_failure;

/* Sets code and message, unless the failure already has one: the first is the cause of those after it. */
void failure_set(ssh_failure *failure, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds a field, such as "hint", that the failure does not have yet. */
void failure_add(ssh_failure *failure, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The text of a field, or "". */
const char *failure_text(const ssh_failure *failure, const char *name);

/* Pushes the error table. */
void failure_push(lua_State *L, const ssh_failure *failure);

void failure_free(ssh_failure *failure);

#endif
