/* One HTTP request over libcurl: from a table that http.lua has made to status, headers and body.
 *
 * Retries, redirects, JSON answers and what a status means are http.lua's. */
#include "base/error.h"
#include "base/hidden.h"
#include "base/json.h"
#include "base/secret.h"
#include "http/connection.h"
#include "http/curl_pool.h"
#include "http/failure.h"
#include "http/probe.h"

#include <ctype.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST_HEADERS (128 * 1024)
#define LONGEST_URL 16384

typedef struct {
    char *text;
    size_t length, room;
} buffer;

typedef struct {
    curl_pool_transfer transfer;
    CURLU *url;
    struct curl_slist *headers;
    buffer upload, form, head, body;
    size_t limit;
    bool too_large, head_too_large, has_whole_head;
} request;

static bool buffer_add(buffer *b, const char *text, size_t length) {
    if (b->room - b->length <= length) {
        size_t room = (b->room ? b->room * 2 : 4096) + length;
        char *larger = realloc(b->text, room);
        if (!larger)
            return false;
        b->text = larger;
        b->room = room;
    }
    memcpy(b->text + b->length, text, length);
    b->length += length;
    b->text[b->length] = '\0';
    return true;
}

static void require_memory(lua_State *L, bool enough) {
    if (!enough)
        luaL_error(L, "out of memory");
}

static void release(curl_pool_transfer *t) {
    request *r = (request *)t;
    curl_url_cleanup(r->url);
    curl_slist_free_all(r->headers);
    free(r->upload.text);
    free(r->form.text);
    free(r->head.text);
    free(r->body.text);
}

/* ---- the question ---- */

/* Runs `add` for each {name, value} of the list in field `name` of the options; the value may be secret. */
static void for_each_pair(lua_State *L, request *r, const char *name,
                          void (*add)(lua_State *, request *, const char *, const char *, size_t)) {
    lua_getfield(L, 1, name);
    int list = lua_gettop(L), count = lua_istable(L, list) ? (int)lua_objlen(L, list) : 0;
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, list, i);
        luaL_checktype(L, -1, LUA_TTABLE);
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        const char *key = luaL_checkstring(L, -2);
        size_t length;
        const char *value = secret_tolstring(L, -1, &length);
        add(L, r, key, value, length);
        lua_pop(L, 3);
    }
    lua_pop(L, 1);
}

static void append_line(lua_State *L, request *r, const char *line) {
    struct curl_slist *longer = curl_slist_append(r->headers, line);
    require_memory(L, longer != NULL);
    r->headers = longer;
}

/* A name is a token of RFC 9110; a value must not end the line, or it could smuggle a header in. */
static void add_header(lua_State *L, request *r, const char *name, const char *value, size_t length) {
    size_t token =
        strspn(name, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    if (token == 0 || name[token] != '\0')
        error_raise(L, "usage", "'%s' cannot be the name of an HTTP header", name);
    for (size_t i = 0; i < length; i++)
        if (value[i] == '\r' || value[i] == '\n' || value[i] == '\0')
            error_raise(L, "usage", "the HTTP header %s has a line break or a NUL byte in its value", name);
    buffer *line = &r->head; /* unused until the answer comes */
    line->length = 0;
    /* libcurl's way to send a header without a value is a semicolon. */
    require_memory(L, buffer_add(line, name, token) &&
                          buffer_add(line, length ? ": " : ";", length ? 2 : 1) &&
                          buffer_add(line, value, length));
    append_line(L, r, line->text);
}

/* Adds name=value to the form, percent-encoded as RFC 3986 asks. */
static void add_form_field(lua_State *L, request *r, const char *name, const char *value, size_t length) {
    char *key = curl_easy_escape(r->transfer.easy, name, 0);
    char *text = curl_easy_escape(r->transfer.easy, value, (int)length);
    bool ok = key && text && (r->form.length == 0 || buffer_add(&r->form, "&", 1)) &&
              buffer_add(&r->form, key, strlen(key)) && buffer_add(&r->form, "=", 1) &&
              buffer_add(&r->form, text, strlen(text));
    curl_free(key);
    curl_free(text);
    require_memory(L, ok);
}

static void set_url(lua_State *L, request *r) {
    lua_getfield(L, 1, "url");
    size_t length;
    const char *text = secret_tolstring(L, -1, &length);
    require_memory(L, (r->url = curl_url()) != NULL);
    CURLUcode problem = length > LONGEST_URL || strlen(text) != length
                            ? CURLUE_MALFORMED_INPUT
                            : curl_url_set(r->url, CURLUPART_URL, text, CURLU_DISALLOW_USER);
    if (problem)
        error_raise(L, "usage", "'%s' is not a URL to ask: %s", hidden_shown(L, -1, NULL),
                    problem == CURLUE_USER_NOT_ALLOWED
                        ? "a name or password belongs into a header, not into the URL"
                        : curl_url_strerror(problem));
    lua_pop(L, 1);
    for_each_pair(L, r, "query", add_form_field);
    if (r->form.length > 0)
        require_memory(L,
                       curl_url_set(r->url, CURLUPART_QUERY, r->form.text, CURLU_APPENDQUERY) == CURLUE_OK);
    r->form.length = 0;
    curl_easy_setopt(r->transfer.easy, CURLOPT_CURLU, r->url);
}

/* Makes the body of `json`, `form` or `body`, whichever is there; false without one. */
static bool make_upload(lua_State *L, request *r) {
    lua_getfield(L, 1, "json");
    lua_getfield(L, 1, "form");
    lua_getfield(L, 1, "body");
    bool present = true;
    if (!lua_isnil(L, -3)) {
        cJSON *document = json_from_lua(L, lua_gettop(L) - 2, JSON_REVEAL);
        char *text = cJSON_PrintUnformatted(document);
        cJSON_Delete(document);
        require_memory(L, text != NULL);
        r->upload = (buffer){text, strlen(text), 0};
    } else if (!lua_isnil(L, -2)) {
        for_each_pair(L, r, "form", add_form_field);
        require_memory(L, r->form.text || buffer_add(&r->form, "", 0));
        r->upload = r->form;
        r->form = (buffer){NULL, 0, 0};
    } else if (!lua_isnil(L, -1)) {
        size_t length;
        const char *text = secret_tolstring(L, -1, &length);
        require_memory(L, buffer_add(&r->upload, text, length));
    } else {
        present = false;
    }
    lua_pop(L, 3);
    return present;
}

static void set_method(lua_State *L, request *r) {
    CURL *easy = r->transfer.easy;
    lua_getfield(L, 1, "method");
    const char *method = luaL_checkstring(L, -1);
    if (make_upload(L, r)) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->upload.length);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, r->upload.text);
    } else if (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
    }
    if (strcmp(method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    lua_pop(L, 1);
}

/* ---- the answer ---- */

/* An answer may have several heads (100 Continue before 200); the last one counts. */
static size_t on_header(char *line, size_t size, size_t count, void *data) {
    request *r = data;
    size_t length = size * count;
    if (length > 5 && memcmp(line, "HTTP/", 5) == 0)
        r->head.length = 0;
    /* Trailers come after the whole head. */
    bool begins = r->head.length == 0, ends = *line == '\r' || *line == '\n';
    r->has_whole_head = ends || (r->has_whole_head && !begins);
    r->head_too_large = r->head.length + length > LARGEST_HEADERS;
    return !r->head_too_large && buffer_add(&r->head, line, length) ? length : 0;
}

static size_t on_body(char *data, size_t size, size_t count, void *context) {
    request *r = context;
    size_t length = size * count;
    r->too_large = length > r->limit - r->body.length;
    return !r->too_large && buffer_add(&r->body, data, length) ? length : 0;
}

/* Adds one "Name: value" line to the table on top; a name that comes twice has its values joined by a comma.
 */
static void push_header(lua_State *L, const char *line, size_t length) {
    const char *colon = memchr(line, ':', length);
    if (!colon || colon == line)
        return;
    const char *value = colon + 1, *end = line + length;
    while (value < end && isspace((unsigned char)*value))
        value++;
    while (end > value && isspace((unsigned char)end[-1]))
        end--;
    luaL_Buffer name;
    luaL_buffinit(L, &name);
    for (const char *c = line; c < colon; c++)
        luaL_addchar(&name, (char)tolower((unsigned char)*c));
    luaL_pushresult(&name);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushlstring(L, value, (size_t)(end - value));
    } else {
        lua_pushliteral(L, ", ");
        lua_pushlstring(L, value, (size_t)(end - value));
        lua_concat(L, 3);
    }
    lua_rawset(L, -3);
}

static void push_headers(lua_State *L, const buffer *head) {
    lua_newtable(L);
    const char *line = head->text, *end = line ? line + head->length : NULL;
    while (line && line < end) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop)
            stop = end;
        if (memcmp(line, "HTTP/", (size_t)(end - line) < 5 ? (size_t)(end - line) : 5) != 0)
            push_header(L, line, (size_t)(stop - line));
        line = stop + 1;
    }
}

/* "https://example.org:443", or nil for what is no URL. */
static void push_origin(lua_State *L, const char *text) {
    char *scheme = NULL, *host = NULL, *port = NULL;
    CURLU *url = curl_url();
    bool known = url && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
                 curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                 curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                 curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    if (known)
        lua_pushfstring(L, "%s://%s:%s", scheme, host, port);
    else
        lua_pushnil(L);
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(url);
}

/* Sets redirect = { url, origin, from } when the server wants the client elsewhere. */
static void set_redirect(lua_State *L, CURL *easy) {
    char *here = NULL, *there = NULL;
    curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &here);
    curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &there);
    if (!there || !here)
        return;
    lua_createtable(L, 0, 3);
    lua_pushstring(L, there);
    lua_setfield(L, -2, "url");
    push_origin(L, there);
    lua_setfield(L, -2, "origin");
    push_origin(L, here);
    lua_setfield(L, -2, "from");
    lua_setfield(L, -2, "redirect");
}

/* libcurl calls it a lack of memory when a header is longer than it takes (CURL_MAX_HTTP_HEADER). */
static bool has_long_header(const request *r) {
    return r->transfer.result == CURLE_OUT_OF_MEMORY && r->head.length > 0 && r->body.length == 0;
}

/* Raises "http.limit" where the answer was broken off for its size. */
static void raise_if_too_large(lua_State *L, const request *r) {
    if (has_long_header(r))
        error_push(L, "http.limit", "the answer has a header of more than %d bytes, which is libcurl's limit",
                   CURL_MAX_HTTP_HEADER);
    else if (r->head_too_large)
        error_push(L, "http.limit", "the answer has more than %d bytes of headers", LARGEST_HEADERS);
    else if (r->too_large)
        error_push(L, "http.limit", "the answer is larger than %zu bytes", r->limit);
    else
        return;
    error_set(L, "hint",
              r->too_large ? "raise it with limit = BYTES"
                           : "is this the server that you mean, and is it well?");
    error_set_boolean(L, "unclear", true);
    lua_error(L);
}

static int finish(lua_State *L, wait *w) {
    request *r = (request *)w;
    if (r->transfer.result)
        raise_if_too_large(L, r);
    if (r->transfer.result)
        return http_raise_failure(L, &r->transfer);
    http_check_answer(L, &r->transfer, r->has_whole_head);
    long status = 0;
    curl_easy_getinfo(r->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
    lua_createtable(L, 0, 5);
    lua_pushinteger(L, status);
    lua_setfield(L, -2, "status");
    push_headers(L, &r->head);
    lua_setfield(L, -2, "headers");
    lua_pushlstring(L, r->body.text ? r->body.text : "", r->body.length);
    lua_setfield(L, -2, "body");
    set_redirect(L, r->transfer.easy);
    curl_pool_free(&r->transfer);
    return 1;
}

/* request{method, url, query, headers, json | form | body, timeout, limit, ca_file, connect_to} -> {status,
 * headers, body} Lists of pairs: query, headers, form. Waits. */
static int request_lua(lua_State *L) {
    if (!task_in_effect())
        return luaL_error(L, "an HTTP request outside an effect");
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    request *r = curl_pool_new(L, sizeof *r, finish, release);
    CURL *easy = r->transfer.easy;
    r->transfer.wait.what = "http.request";
    lua_getfield(L, 1, "limit");
    r->limit = (size_t)luaL_checkinteger(L, -1);
    lua_pop(L, 1);
    set_url(L, r);
    set_method(L, r);
    for_each_pair(L, r, "headers", add_header);
    r->head.length = 0;
    /* A name with nothing behind its colon: libcurl leaves out its "Expect: 100-continue", for which not all
     * servers have an answer. One of the caller's own stays. */
    append_line(L, r, "Expect:");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, r->headers);
    http_connection_set(L, 1, &r->transfer);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, r);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, r);
    return curl_pool_park(L, &r->transfer);
}

/* ---- small helpers of http.lua ---- */

/* date(text) -> seconds since 1970 of an HTTP date, or nil */
static int date_lua(lua_State *L) {
    time_t when = curl_getdate(luaL_checkstring(L, 1), NULL);
    if (when == -1)
        return 0;
    lua_pushnumber(L, (lua_Number)when);
    return 1;
}

/* shown(value) -> indented JSON in which secrets and unknowns are masked, for people */
static int shown_lua(lua_State *L) {
    lua_settop(L, 1);
    json_push_text(L, 1, JSON_SHOW, true);
    return 1;
}

int http_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"date", date_lua}, {"shown", shown_lua}, {NULL, NULL}};
    static const luaL_Reg waiting[] = {{"request", request_lua}, {"probe", http_probe_lua}, {NULL, NULL}};
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    task_register(L, waiting);
    return 1;
}
