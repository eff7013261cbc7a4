/* A failure as a value; see failure.h. */
#define _GNU_SOURCE /* vasprintf */
#include "ssh/failure.h"

#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(ssh_failure *failure, const char *name, const char *format, va_list arguments) {
    if (failure->count == FAILURE_FIELDS || *failure_text(failure, name))
        return;
    failure->fields[failure->count].name = name;
    if (vasprintf(&failure->fields[failure->count++].text, format, arguments) < 0)
        abort();
}

void failure_set(ssh_failure *failure, const char *code, const char *format, ...) {
    if (failure->code)
        return;
    failure->code = code;
    va_list arguments;
    va_start(arguments, format);
    add(failure, "message", format, arguments);
    va_end(arguments);
}

void failure_add(ssh_failure *failure, const char *name, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    add(failure, name, format, arguments);
    va_end(arguments);
}

const char *failure_text(const ssh_failure *failure, const char *name) {
    for (int i = 0; i < failure->count; i++)
        if (strcmp(failure->fields[i].name, name) == 0)
            return failure->fields[i].text;
    return "";
}

void failure_push(lua_State *L, const ssh_failure *failure) {
    error_push(L, failure->code ? failure->code : "internal", "%s", failure_text(failure, "message"));
    for (int i = 0; i < failure->count; i++)
        if (strcmp(failure->fields[i].name, "message") != 0)
            error_set(L, failure->fields[i].name, failure->fields[i].text);
}

void failure_free(ssh_failure *failure) {
    for (int i = 0; i < failure->count; i++)
        free(failure->fields[i].text);
    memset(failure, 0, sizeof *failure);
}
