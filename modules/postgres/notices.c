/* What a server remarks; see notices.h. */
#include "postgres/notices.h"

#include "base/error.h"
#include "base/scrub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_NOTICES 100
#define LONGEST_NOTICE 4096

typedef struct {
    char severity[16], sqlstate[6];
    char *message;
} notice;

struct pg_notices {
    int count;
    notice list[MOST_NOTICES];
};

void pg_notices_take(pg_notices **place, const PGresult *result) {
    if (!*place)
        *place = calloc(1, sizeof **place);
    pg_notices *notices = *place;
    if (!notices)
        return;
    if (notices->count == MOST_NOTICES) {
        free(notices->list[0].message);
        notices->count--;
        memmove(notices->list, notices->list + 1, (size_t)notices->count * sizeof notices->list[0]);
    }
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    notice *kept = &notices->list[notices->count++];
    snprintf(kept->severity, sizeof kept->severity, "%s", severity ? severity : "NOTICE");
    snprintf(kept->sqlstate, sizeof kept->sqlstate, "%s", sqlstate ? sqlstate : "");
    message = message ? message : "";
    kept->message = scrub_beginning(message, strlen(message), LONGEST_NOTICE, NULL);
}

void pg_notices_push(lua_State *L, pg_notices **place) {
    const pg_notices *notices = *place;
    lua_newtable(L);
    for (int i = 0; notices && i < notices->count; i++) {
        const notice *n = &notices->list[i];
        lua_createtable(L, 0, 3);
        error_set(L, "severity", n->severity);
        error_set(L, "sqlstate", n->sqlstate);
        error_set(L, "message", n->message);
        lua_rawseti(L, -2, i + 1);
    }
    pg_notices_free(*place);
    *place = NULL;
}

void pg_notices_free(pg_notices *notices) {
    for (int i = 0; notices && i < notices->count; i++)
        free(notices->list[i].message);
    free(notices);
}
