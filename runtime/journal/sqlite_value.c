/* See sqlite_value.h. */
#include "journal/sqlite_value.h"

#include <lauxlib.h>
#include <stdio.h>

value value_from_lua(lua_State *L, int index) {
    value v = {VALUE_NULL, 0, NULL, 0};
    switch (lua_type(L, index)) {
    case LUA_TNIL:
    case LUA_TNONE:
        break;
    case LUA_TBOOLEAN:
        v.type = VALUE_NUMBER;
        v.number = lua_toboolean(L, index);
        break;
    case LUA_TNUMBER:
        v.type = VALUE_NUMBER;
        v.number = lua_tonumber(L, index);
        break;
    default:
        v.type = VALUE_TEXT;
        v.text = (char *)luaL_checklstring(L, index, &v.length);
    }
    return v;
}

void value_bind(sqlite3_stmt *statement, int number, const value *v) {
    char name[16];
    snprintf(name, sizeof name, "$%d", number);
    int index = sqlite3_bind_parameter_index(statement, name);
    if (v->type == VALUE_TEXT)
        sqlite3_bind_text64(statement, index, v->text, v->length, SQLITE_STATIC, SQLITE_UTF8);
    else if (v->type == VALUE_NULL)
        sqlite3_bind_null(statement, index);
    else if (v->number == (double)(sqlite3_int64)v->number)
        sqlite3_bind_int64(statement, index, (sqlite3_int64)v->number);
    else
        sqlite3_bind_double(statement, index, v->number);
}

static void push_row(lua_State *L, sqlite3_stmt *statement) {
    int columns = sqlite3_column_count(statement);
    lua_createtable(L, 0, columns);
    for (int i = 0; i < columns; i++) {
        int type = sqlite3_column_type(statement, i);
        if (type == SQLITE_NULL)
            continue;
        if (type == SQLITE_INTEGER || type == SQLITE_FLOAT) {
            lua_pushnumber(L, sqlite3_column_double(statement, i));
        } else {
            const char *text = (const char *)sqlite3_column_text(statement, i);
            lua_pushlstring(L, text ? text : "", (size_t)sqlite3_column_bytes(statement, i));
        }
        lua_setfield(L, -2, sqlite3_column_name(statement, i));
    }
}

/* Runs a bound statement to its end and appends its rows to the table on top of the stack. */
int statement_run(lua_State *L, sqlite3_stmt *statement, bool keep_rows) {
    int code, rows = 0;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        if (!keep_rows)
            continue;
        push_row(L, statement);
        lua_rawseti(L, -2, ++rows);
    }
    int result = sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return code == SQLITE_DONE ? SQLITE_OK : result;
}
