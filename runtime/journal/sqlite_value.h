/* Parameters and rows of statements in SQLite, from Lua and to it. Internal to the journal. */
#ifndef HOSTLER_JOURNAL_SQLITE_VALUE_H
#define HOSTLER_JOURNAL_SQLITE_VALUE_H

#include <lua.h>
#include <sqlite3.h>
#include <stdbool.h>

/* A parameter; its text is the Lua value's own, and lives as long as that. */
typedef struct {
    enum { VALUE_NULL, VALUE_NUMBER, VALUE_TEXT } type;
    double number;
    char *text;
    size_t length;
} value;

/* Raises for what is no text, number, boolean or nil. */
value value_from_lua(lua_State *L, int index);

/* Binds it to the parameter of this number, from 1. */
void value_bind(sqlite3_stmt *statement, int number, const value *v);

/* Runs a bound statement to its end, and appends its rows, tables by column name, to the table on top of the
 * stack. Without keep_rows L is not needed. Returns SQLite's code. */
int statement_run(lua_State *L, sqlite3_stmt *statement, bool keep_rows);

#endif
