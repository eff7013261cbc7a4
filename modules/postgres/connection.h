/* One connection and its handle in Lua. Internal to the postgres module. */
#ifndef HOSTLER_POSTGRES_CONNECTION_H
#define HOSTLER_POSTGRES_CONNECTION_H

#include "net/postgres_dial.h"
#include "postgres/cancel.h"
#include "postgres/notices.h"
#include "task/task.h"

#include <libpq-fe.h>
#include <lua.h>
#include <uv.h>

#define PG_NAME_SIZE 256
#define PG_DOING_SIZE 128

typedef struct {
    PGconn *link;           /* NULL before connecting begins and after the connection ended */
    postgres_dial *attempt; /* to connect; NULL before and after */
    uv_poll_t *poll;        /* watches link's socket; NULL while nobody waits for it */
    uv_timer_t *timer;      /* the limit of connecting or of cancelling; NULL while there is none */
    wait *operation;        /* who uses the connection now, or NULL */
    pg_cancel *cancelling;  /* under way in a thread, or NULL */
    pg_notices *notices;
    char *lost;                /* why it ended, in the server's or the system's words; NULL while it lives */
    char name[PG_NAME_SIZE];   /* "db.example.com:5432/app", for messages */
    char doing[PG_DOING_SIZE]; /* the statement under way, shortened */
} pg_connection;

/* Starts the connection's only timer, or starts it again. */
void pg_start_timer(pg_connection *c, double seconds, uv_timer_cb over);
void pg_stop_timer(pg_connection *c);

/* Ends the connection for good; only the first reason is kept. */
void pg_lose(pg_connection *c, const char *reason);

/* Pushes a new handle, and returns its connection, which the handle owns. */
pg_connection *pg_push_handle(lua_State *L, const char *name);
/* The idle, living connection of the handle at this index; raises pg.closed or pg.busy. */
pg_connection *pg_check_idle(lua_State *L, int index);

/* The connection of the handle at this index, whatever it does; check_not_busy raises pg.busy. */
pg_connection *pg_check(lua_State *L, int index);
pg_connection *pg_check_not_busy(lua_State *L, int index);

/* Makes the type of handles. */
void pg_connection_open(lua_State *L);

#endif
