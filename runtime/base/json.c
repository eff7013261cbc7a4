/* The global `json`; see json.h. */
#include "base/json.h"

#include "base/error.h"
#include "base/hidden.h"
#include "base/long_work.h"
#include "base/memory.h"
#include "base/scrub.h"
#include "base/secret.h"
#include "base/text.h"

#include <lauxlib.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_TYPE "hostler.json.array"
#define DOCUMENT_TYPE "hostler.json.document"
#define DEEPEST 100
#define LARGEST \
    ((size_t)64 << 20) /* bytes of JSON text; what is more takes seconds, in which nothing else goes on */
#define STEPS_OF_VALUE 20
#define BYTES_OF_VALUE (sizeof(cJSON) + 16) /* in memory, beside its text */

typedef struct {
    lua_State *L;
    json_mode mode;
    const char *problem;
    long_work work;
    size_t text, memory; /* bytes so far */
} encoder;

static cJSON *encode(encoder *e, int index, int depth);

static cJSON *fail(encoder *e, cJSON *partial, const char *problem) {
    cJSON_Delete(partial);
    if (!e->problem)
        e->problem = problem;
    return NULL;
}

/* Counts a value, or a key, of so many bytes; false when it is one too many, or somebody waits. */
static bool count_value(encoder *e, size_t length) {
    e->text += length;
    e->memory += BYTES_OF_VALUE + length;
    bool must_end = long_work_must_end(&e->work, STEPS_OF_VALUE + length / 16);
    if (e->text > LARGEST)
        fail(e, NULL, "it would be longer than 64 MiB");
    else if (e->memory >> 20 > memory_most())
        fail(e, NULL, "it needs more memory than one process of hostler may use");
    return !must_end && !e->problem;
}

static bool marked_as_array(lua_State *L, int index) {
    if (!lua_getmetatable(L, index))
        return false;
    luaL_getmetatable(L, ARRAY_TYPE);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

/* Whether a table with a first element has keys other than 1..length. */
static bool has_other_keys(encoder *e, int index, size_t length) {
    lua_State *L = e->L;
    size_t keys = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        keys++;
        long_work_must_end(&e->work, 1); /* whoever encodes the first item hears it */
    }
    return keys > length;
}

static cJSON *encode_array(encoder *e, int index, int depth) {
    size_t length = lua_objlen(e->L, index);
    if (!marked_as_array(e->L, index) && has_other_keys(e, index, length))
        return fail(e, NULL, "a table has keys that are not 1..n and not all text");
    cJSON *array = cJSON_CreateArray();
    for (size_t i = 1; i <= length; i++) {
        lua_rawgeti(e->L, index, (int)i);
        cJSON *item = encode(e, lua_gettop(e->L), depth + 1);
        lua_pop(e->L, 1);
        if (!item)
            return fail(e, array, NULL);
        cJSON_AddItemToArray(array, item);
    }
    return array;
}

/* Merges two sorted runs that follow each other, from `from` to `to`. */
static void merge_runs(const char **from, const char **to, size_t left, size_t length) {
    size_t right = left, end = length, at = 0;
    for (size_t i = 0; at < length; at++)
        to[at] = i < left && (right == end || strcmp(from[i], from[right]) <= 0) ? from[i++] : from[right++];
}

/* Sorts the keys; behind them is room for as many. False when somebody waits. */
static bool sort_keys(encoder *e, const char **keys, size_t count) {
    const char **from = keys, **to = keys + count;
    for (size_t run = 1; run < count; run *= 2) {
        for (size_t at = 0; at < count; at += 2 * run) {
            size_t length = count - at < 2 * run ? count - at : 2 * run;
            merge_runs(from + at, to + at, length < run ? length : run, length);
            if (long_work_must_end(&e->work, 5 * length))
                return false;
        }
        const char **sorted = to;
        to = from;
        from = sorted;
    }
    if (from != keys)
        memcpy(keys, from, count * sizeof *keys);
    return true;
}

/* Pushes a userdata with the table's keys in order; NULL, with nothing pushed, when one is not text that JSON
 * can hold. Lua's own order differs from run to run, and what is compared or recorded must not. */
static const char **push_sorted_keys(encoder *e, int index, size_t *count) {
    lua_State *L = e->L;
    *count = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        ++*count;
    const char **keys = lua_newuserdata(L, (2 * *count + 1) * sizeof *keys);
    size_t used = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        size_t length = 0;
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &length) : NULL;
        if (!key || memchr(key, 0, length) || !text_is_utf8(key, length)) {
            fail(e, NULL,
                 key ? "a key has no JSON form" : "a table has keys that are not 1..n and not all text");
        }
        if (e->problem || !count_value(e, length + 4)) {
            lua_pop(L, 3);
            return NULL;
        }
        keys[used++] = key;
    }
    if (sort_keys(e, keys, used))
        return keys;
    lua_pop(L, 1);
    return NULL;
}

static cJSON *encode_object(encoder *e, int index, int depth) {
    size_t count;
    const char **keys = push_sorted_keys(e, index, &count);
    if (!keys)
        return NULL;
    cJSON *object = cJSON_CreateObject();
    for (size_t i = 0; object && i < count; i++) {
        lua_pushstring(e->L, keys[i]);
        lua_rawget(e->L, index);
        cJSON *item = encode(e, lua_gettop(e->L), depth + 1);
        lua_pop(e->L, 1);
        if (item)
            cJSON_AddItemToObject(object, keys[i], item);
        else
            object = fail(e, object, NULL);
    }
    lua_pop(e->L, 1); /* the keys */
    return object;
}

static cJSON *encode_text(encoder *e, const char *text, size_t length) {
    if (!count_value(e, length))
        return NULL;
    if (memchr(text, 0, length))
        return fail(e, NULL, "text with a NUL byte has no JSON form");
    if (!text_is_utf8(text, length))
        return fail(e, NULL, "text that is not UTF-8 has no JSON form");
    return cJSON_CreateString(text);
}

static cJSON *encode_hidden(encoder *e, int index) {
    size_t length;
    const char *text = NULL;
    if (e->mode == JSON_REVEAL && secret_is(e->L, index))
        text = secret_tolstring(e->L, index, &length);
    else if (e->mode == JSON_SHOW)
        text = hidden_shown(e->L, index, &length);
    if (text)
        return encode_text(e, text, length);
    if (lua_touserdata(e->L, index) == NULL)
        return cJSON_CreateNull();
    return fail(e, NULL,
                secret_is(e->L, index) ? "a secret cannot be written out" : "userdata has no JSON form");
}

/* cJSON writes 15 digits where they come near enough; two numbers that differ must stay different. */
static cJSON *encode_number(encoder *e, double value) {
    if (!isfinite(value))
        return fail(e, NULL, "JSON has no infinite or undefined numbers");
    char text[32];
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value)
        snprintf(text, sizeof text, "%.17g", value);
    return fabs(value) < INT_MAX && value == floor(value) ? cJSON_CreateNumber(value) : cJSON_CreateRaw(text);
}

static cJSON *encode_string(encoder *e, int index) {
    size_t length;
    const char *text = lua_tolstring(e->L, index, &length);
    return encode_text(e, text, length);
}

static cJSON *encode(encoder *e, int index, int depth) {
    if (depth > DEEPEST || !lua_checkstack(e->L, 12))
        return fail(e, NULL, "nested too deeply, or a table that contains itself");
    if (!count_value(e, 2))
        return NULL;
    switch (lua_type(e->L, index)) {
    case LUA_TNIL:
        return cJSON_CreateNull();
    case LUA_TBOOLEAN:
        return cJSON_CreateBool(lua_toboolean(e->L, index));
    case LUA_TNUMBER:
        return encode_number(e, lua_tonumber(e->L, index));
    case LUA_TSTRING:
        return encode_string(e, index);
    case LUA_TTABLE:
        if (marked_as_array(e->L, index) || lua_objlen(e->L, index) > 0)
            return encode_array(e, index, depth);
        return encode_object(e, index, depth);
    case LUA_TLIGHTUSERDATA:
    case LUA_TUSERDATA:
        return encode_hidden(e, index);
    default:
        return fail(e, NULL, "functions and threads have no JSON form");
    }
}

cJSON *json_from_lua(lua_State *L, int index, json_mode mode) {
    encoder e = {.L = L, .mode = mode, .work = {.L = L}};
    cJSON *item = encode(&e, index < 0 ? lua_gettop(L) + index + 1 : index, 0);
    if (!item && e.work.must_end)
        long_work_end(&e.work);
    if (!item)
        error_raise(L, "json", "cannot write this as JSON: %s", e.problem ? e.problem : "out of memory");
    return item;
}

static void push_value(lua_State *L, const cJSON *item, long_work *work) {
    long_work_count(work, STEPS_OF_VALUE);
    luaL_checkstack(L, 4, "JSON nested too deeply");
    if (cJSON_IsString(item)) {
        lua_pushstring(L, item->valuestring);
    } else if (cJSON_IsNumber(item)) {
        lua_pushnumber(L, item->valuedouble);
    } else if (cJSON_IsBool(item)) {
        lua_pushboolean(L, cJSON_IsTrue(item));
    } else if (cJSON_IsArray(item)) {
        lua_createtable(L, cJSON_GetArraySize(item), 0);
        luaL_getmetatable(L, ARRAY_TYPE);
        lua_setmetatable(L, -2);
        int position = 0;
        for (const cJSON *child = item->child; child; child = child->next) {
            push_value(L, child, work);
            lua_rawseti(L, -2, ++position);
        }
    } else if (cJSON_IsObject(item)) {
        lua_newtable(L);
        for (const cJSON *child = item->child; child; child = child->next) {
            push_value(L, child, work);
            lua_setfield(L, -2, child->string);
        }
    } else {
        lua_pushlightuserdata(L, NULL);
    }
}

/* Pushes a userdata that deletes the document when it is collected: a raise may jump over whoever made it. */
static void push_owner(lua_State *L, cJSON *document) {
    *(cJSON **)lua_newuserdata(L, sizeof document) = document;
    luaL_getmetatable(L, DOCUMENT_TYPE);
    lua_setmetatable(L, -2);
}

static int delete_document(lua_State *L) {
    cJSON **document = lua_touserdata(L, 1);
    cJSON_Delete(*document);
    *document = NULL;
    return 0;
}

/* The escape of a NUL, which cJSON would take for the end of its text; NULL when there is none. */
static const char *find_nul_escape(const char *text, size_t length) {
    for (const char *at = text, *end = text + length;
         (at = memchr(at, '\\', (size_t)(end - at))) && end - at >= 2; at += 2)
        if (end - at >= 6 && memcmp(at, "\\u0000", 6) == 0)
            return at;
    return NULL;
}

/* What cJSON allocates while it reads a text is counted, and refused when that is to end. */
static struct {
    long_work *work;
    size_t memory;
    bool too_much;
} reading;

static void *allocate_for_reading(size_t size) {
    long_work *work = reading.work;
    if (work) {
        reading.work = NULL; /* whoever is asked may use cJSON too */
        long_work_must_end(work, STEPS_OF_VALUE / 2 + size / 16);
        reading.work = work;
        reading.memory += size + 16;
        reading.too_much = reading.memory >> 20 > memory_most();
    }
    return work && (work->must_end || reading.too_much) ? NULL : malloc(size);
}

static cJSON *read_document(long_work *work, const char *text, size_t length, const char **end) {
    cJSON_Hooks counting = {allocate_for_reading, free};
    memset(&reading, 0, sizeof reading);
    reading.work = work;
    cJSON_InitHooks(&counting);
    cJSON *document = cJSON_ParseWithLengthOpts(text, length, end, 0);
    cJSON_InitHooks(NULL);
    if (!document && work->must_end)
        long_work_end(work);
    if (!document && reading.too_much) {
        error_push_memory(work->L);
        lua_error(work->L);
    }
    return document;
}

int json_parse(lua_State *L, const char *text, size_t length, size_t *offset) {
    if (length > LARGEST)
        error_raise(L, "json", "a text of %zu MiB is too long: hostler reads JSON of up to 64 MiB",
                    length >> 20);
    long_work work = {.L = L};
    const char *end = find_nul_escape(text, length);
    if (end) {
        *offset = (size_t)(end - text);
        return 0;
    }
    cJSON *document = read_document(&work, text, length, &end);
    size_t at = end ? (size_t)(end - text) : 0;
    size_t rest = at;
    while (rest < length && strchr(" \t\r\n", text[rest]) && text[rest])
        rest++;
    if (!document || rest != length) {
        cJSON_Delete(document);
        *offset = at;
        return 0;
    }
    push_owner(L, document);
    push_value(L, document, &work);
    lua_insert(L, -2);
    cJSON_Delete(document);
    *(cJSON **)lua_touserdata(L, -1) = NULL;
    lua_pop(L, 1);
    return 1;
}

const char *json_push_text(lua_State *L, int index, json_mode mode, bool indented) {
    cJSON *item = json_from_lua(L, index, mode);
    char *text = indented ? cJSON_Print(item) : cJSON_PrintUnformatted(item);
    cJSON_Delete(item);
    if (!text)
        luaL_error(L, "out of memory");
    lua_pushstring(L, text);
    cJSON_free(text);
    return lua_tostring(L, -1);
}

/* json.encode(value, [pretty]) -> text; raises "json" on what JSON cannot hold. */
static int encode_lua(lua_State *L) {
    json_push_text(L, 1, JSON_REFUSE_SECRETS, lua_toboolean(L, 2));
    return 1;
}

/* Whether so many lists and objects are open before this place that cJSON takes no further one. */
static bool is_deepest(const char *text, size_t offset) {
    size_t open = 0;
    bool quoted = false;
    for (size_t i = 0; i < offset; i++) {
        if (quoted && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted && (text[i] == '[' || text[i] == '{'))
            open++;
        else if (!quoted && open > 0 && (text[i] == ']' || text[i] == '}'))
            open--;
    }
    return open >= CJSON_NESTING_LIMIT;
}

/* json.decode(text) -> value; raises "json" with the place where the text stops being JSON. */
static int decode_lua(lua_State *L) {
    size_t length, offset;
    const char *text = luaL_checklstring(L, 1, &length);
    if (json_parse(L, text, length, &offset))
        return 1;
    if (is_deepest(text, offset))
        return error_raise(L, "json", "JSON nested deeper than %d levels, at byte %zu: hostler holds no more",
                           CJSON_NESTING_LIMIT, offset + 1);
    /* A few words from there, unless a secret is in it: a part of one would not be known as secret. */
    size_t clean_length;
    free(scrub(text, length, &clean_length));
    int shown = clean_length != length ? 0 : length - offset < 30 ? (int)(length - offset) : 30;
    error_push(L, "json", "not JSON from byte %zu on%s%.*s", offset + 1, shown ? ": " : "", shown,
               text + offset);
    return lua_error(L);
}

/* json.array(table) -> the same table, written as [] even when empty. */
static int array_lua(lua_State *L) {
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_getmetatable(L, ARRAY_TYPE);
    lua_setmetatable(L, 1);
    lua_settop(L, 1);
    return 1;
}

/* json.is_array(value) -> true for a table that is written as a list: one with items, or marked by
 * json.array. */
static int is_array_lua(lua_State *L) {
    bool list = lua_istable(L, 1) && (lua_objlen(L, 1) > 0 || marked_as_array(L, 1));
    lua_pushboolean(L, list);
    return 1;
}

/* show(value) -> JSON text in which secrets and unknowns are masked; for the journal. */
static int show_lua(lua_State *L) {
    lua_settop(L, 1);
    json_push_text(L, 1, JSON_SHOW, false);
    return 1;
}

int json_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"encode", encode_lua},
                                         {"decode", decode_lua},
                                         {"array", array_lua},
                                         {"is_array", is_array_lua},
                                         {NULL, NULL}};
    luaL_newmetatable(L, ARRAY_TYPE);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    luaL_newmetatable(L, DOCUMENT_TYPE);
    lua_pushcfunction(L, delete_document);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 2);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    lua_createtable(L, 0, 2);
    lua_insert(L, -2);
    lua_setfield(L, -2, "face");
    lua_pushcfunction(L, show_lua);
    lua_setfield(L, -2, "show");
    return 1;
}
