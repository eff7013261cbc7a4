/* Values on their way to the server and back, as text: the one form that every type has; see value.h.
 */
#include "postgres/value.h"

#include "base/error.h"
#include "base/json.h"
#include "base/scrub.h"
#include "base/secret.h"

#include <lauxlib.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_TYPE "hostler.postgres.bytes"
#define LARGEST_EXACT 9007199254740992.0 /* 2^53: up to here a double holds every integer */
#define LONGEST_IDENTIFIER 63

/* Types by the numbers that pg_type.dat gives them. */
enum {
    TYPE_BOOL = 16,
    TYPE_BYTEA = 17,
    TYPE_INT8 = 20,
    TYPE_INT2 = 21,
    TYPE_INT4 = 23,
    TYPE_OID = 26,
    TYPE_JSON = 114,
    TYPE_FLOAT4 = 700,
    TYPE_FLOAT8 = 701,
    TYPE_JSONB = 3802
};

/* ---- parameters ---- */

typedef struct {
    size_t length;
    char bytes[];
} binary;

int pg_bytes_lua(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    binary *b = lua_newuserdata(L, sizeof *b + length);
    b->length = length;
    memcpy(b->bytes, text, length);
    luaL_getmetatable(L, BYTES_TYPE);
    lua_setmetatable(L, -2);
    return 1;
}

static binary *to_binary(lua_State *L, int index) {
    binary *b = lua_touserdata(L, index);
    if (!b || !lua_getmetatable(L, index))
        return NULL;
    luaL_getmetatable(L, BYTES_TYPE);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same ? b : NULL;
}

static const char *push_number(lua_State *L, double number) {
    char text[40];
    if (isnan(number))
        snprintf(text, sizeof text, "NaN");
    else if (isinf(number))
        snprintf(text, sizeof text, number > 0 ? "Infinity" : "-Infinity");
    else if (number == floor(number) && fabs(number) <= LARGEST_EXACT)
        snprintf(text, sizeof text, "%lld", (long long)number);
    else
        snprintf(text, sizeof text, "%.17g", number);
    lua_pushstring(L, text);
    return lua_tostring(L, -1);
}

static const char *check_text(lua_State *L, int index, int number) {
    if (!lua_isstring(L, index) && !secret_is(L, index))
        error_raise(L, "usage", "parameter $%d is a %s, which has no SQL form", number,
                    luaL_typename(L, index));
    size_t length;
    const char *text = secret_tolstring(L, index, &length);
    if (strlen(text) == length)
        return text;
    error_push(L, "usage", "parameter $%d contains a NUL byte, which PostgreSQL's text cannot hold", number);
    error_set(L, "hint", "for a bytea column pass postgres.bytes(value)");
    lua_error(L);
    return NULL;
}

/* The text of parameter `number` at this index, NULL for SQL's NULL; leaves at most one value on the stack.
 */
static const char *text_of(lua_State *L, int index, int number) {
    switch (lua_type(L, index)) {
    case LUA_TNIL:
        return NULL;
    case LUA_TBOOLEAN:
        return lua_toboolean(L, index) ? "true" : "false";
    case LUA_TNUMBER:
        return push_number(L, lua_tonumber(L, index));
    case LUA_TTABLE:
        return json_push_text(L, index, JSON_REVEAL, false);
    case LUA_TLIGHTUSERDATA: /* json.null */
        return lua_touserdata(L, index) ? check_text(L, index, number) : NULL;
    default:
        return check_text(L, index, number);
    }
}

pg_parameters pg_parameters_take(lua_State *L, int first, int count) {
    luaL_checkstack(L, count + 8, "too many parameters");
    size_t room = (size_t)count + 1;
    pg_parameters p = {
        .values = lua_newuserdata(L, room * sizeof *p.values),
        .lengths = lua_newuserdata(L, room * sizeof *p.lengths),
        .formats = lua_newuserdata(L, room * sizeof *p.formats),
        .types = lua_newuserdata(L, room * sizeof *p.types),
    };
    for (int i = 0; i < count; i++) {
        const binary *b = to_binary(L, first + i);
        p.values[i] = b ? b->bytes : text_of(L, first + i, i + 1);
        p.lengths[i] = b ? (int)b->length : 0;
        p.formats[i] = b != NULL;
        p.types[i] = b ? TYPE_BYTEA : 0; /* 0: the server finds out */
    }
    return p;
}

/* ---- rows ---- */

static bool append(pg_rows *rows, const void *bytes, size_t length) {
    if (rows->room - rows->used < length) {
        size_t room = (rows->room ? rows->room * 2 : 4096) + length;
        char *larger = realloc(rows->bytes, room);
        if (!larger)
            return false;
        rows->bytes = larger;
        rows->room = room;
    }
    if (length > 0)
        memcpy(rows->bytes + rows->used, bytes, length);
    rows->used += length;
    return true;
}

bool pg_rows_add(pg_rows *rows, const PGresult *row) {
    enum { ROW_COST = 64, FIELD_COST = 40 };
    int columns = PQnfields(row);
    rows->rows++;
    rows->cost += ROW_COST;
    for (int i = 0; i < columns; i++) {
        int32_t length = PQgetisnull(row, 0, i) ? -1 : PQgetlength(row, 0, i);
        size_t bytes = length > 0 ? (size_t)length : 0;
        rows->cost += FIELD_COST + bytes;
        if (!append(rows, &length, sizeof length) || !append(rows, PQgetvalue(row, 0, i), bytes))
            return false;
    }
    return true;
}

static void push_bytea(lua_State *L, const char *text) {
    size_t length;
    unsigned char *bytes = PQunescapeBytea((const unsigned char *)text, &length);
    if (!bytes)
        luaL_error(L, "out of memory");
    lua_pushlstring(L, (const char *)bytes, length);
    PQfreemem(bytes);
}

/* An integer that a double cannot hold stays text, so that no digit is lost. */
static void push_integer(lua_State *L, const char *text, size_t length) {
    long long number = strtoll(text, NULL, 10);
    if (number <= (long long)LARGEST_EXACT && number >= -(long long)LARGEST_EXACT)
        lua_pushnumber(L, (double)number);
    else
        lua_pushlstring(L, text, length);
}

static void push_float(lua_State *L, const char *text, size_t length) {
    lua_pushlstring(L, text, length);
    lua_pushnumber(L, lua_tonumber(L, -1));
    lua_remove(L, -2);
}

static void push_field(lua_State *L, Oid type, const char *bytes, size_t length) {
    size_t offset;
    lua_pushlstring(L, bytes, length); /* ends with a NUL, which the conversions need */
    const char *text = lua_tostring(L, -1);
    switch (type) {
    case TYPE_BOOL:
        lua_pushboolean(L, text[0] == 't');
        break;
    case TYPE_INT2:
    case TYPE_INT4:
    case TYPE_INT8:
    case TYPE_OID:
        push_integer(L, text, length);
        break;
    case TYPE_FLOAT4:
    case TYPE_FLOAT8:
        push_float(L, text, length);
        break;
    case TYPE_BYTEA:
        push_bytea(L, text);
        break;
    case TYPE_JSON:
    case TYPE_JSONB:
        if (!json_parse(L, text, length, &offset))
            return; /* nested deeper than the parser goes: the text stays */
        break;
    default:
        return;
    }
    lua_remove(L, -2);
}

/* Pushes one row and returns where the next begins. */
static const char *push_row(lua_State *L, const char *at, const PGresult *shape, int names) {
    int columns = PQnfields(shape);
    lua_createtable(L, 0, columns);
    for (int i = 0; i < columns; i++) {
        int32_t length;
        memcpy(&length, at, sizeof length);
        at += sizeof length;
        if (length < 0)
            continue;
        lua_rawgeti(L, names, i + 1);
        push_field(L, PQftype(shape, i), at, (size_t)length);
        lua_rawset(L, -3);
        at += length;
    }
    return at;
}

void pg_rows_push(lua_State *L, const pg_rows *rows, const PGresult *shape) {
    int columns = shape ? PQnfields(shape) : 0;
    luaL_checkstack(L, 12, "rows");
    lua_createtable(L, (int)rows->rows, 3);
    lua_createtable(L, columns, 0);
    int names = lua_gettop(L);
    for (int i = 0; i < columns; i++) {
        lua_pushstring(L, PQfname(shape, i));
        lua_rawseti(L, names, i + 1);
    }
    const char *at = rows->bytes;
    for (size_t i = 1; i <= rows->rows && columns > 0; i++) {
        at = push_row(L, at, shape, names);
        lua_rawseti(L, names - 1, (int)i);
    }
    lua_setfield(L, names - 1, "columns");
}

/* ---- quoting ---- */

static void append_doubled(luaL_Buffer *out, const char *text, size_t length, const char *special) {
    for (size_t i = 0; i < length; i++) {
        if (strchr(special, text[i]))
            luaL_addchar(out, text[i]);
        luaL_addchar(out, text[i]);
    }
}

static const char *check_quotable(lua_State *L, const char *what, size_t *length) {
    if (lua_type(L, 1) != LUA_TSTRING)
        error_raise(L, "usage", "%s must be text, not a %s", what,
                    secret_is(L, 1) ? "secret: pass it as a parameter ($1)" : luaL_typename(L, 1));
    const char *text = lua_tolstring(L, 1, length);
    if (strlen(text) != *length)
        error_raise(L, "usage", "%s cannot contain a NUL byte", what);
    return text;
}

static int raise_long_identifier(lua_State *L, const char *name, size_t length) {
    char shown[48];
    scrub_format(shown, sizeof shown, "%s", name);
    return error_raise(L, "usage", "an identifier has at most %d bytes, this one has %zu: %s...",
                       LONGEST_IDENTIFIER, length, shown);
}

/* The server cuts longer names short, and so might drop something else than what was meant. */
int pg_quote_ident_lua(lua_State *L) {
    size_t length;
    const char *name = check_quotable(L, "an identifier", &length);
    if (length == 0)
        return error_raise(L, "usage", "an identifier cannot be empty");
    if (length > LONGEST_IDENTIFIER)
        return raise_long_identifier(L, name, length);
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    luaL_addchar(&out, '"');
    append_doubled(&out, name, length, "\"");
    luaL_addchar(&out, '"');
    luaL_pushresult(&out);
    return 1;
}

/* A text with a backslash gets the E'' form, which means the same whatever standard_conforming_strings is. */
int pg_quote_literal_lua(lua_State *L) {
    size_t length;
    const char *text = check_quotable(L, "a literal", &length);
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    luaL_addstring(&out, strchr(text, '\\') ? " E'" : "'");
    append_doubled(&out, text, length, "'\\");
    luaL_addchar(&out, '\'');
    luaL_pushresult(&out);
    return 1;
}

void pg_value_open(lua_State *L) {
    luaL_newmetatable(L, BYTES_TYPE);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}
