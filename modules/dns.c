/* DNS questions to chosen servers. */
#include "base/error.h"
#include "net/ares_loop.h"
#include "task/task.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#define LOOKUP_TYPE "hostler.dns.lookup"
#define MILLISECONDS_A_TRY 1000
#define TRIES 4
#define LONGEST_NAME 253
#define LONGEST_LABEL 63
#define HEADER_SIZE 12

typedef struct {
    wait wait;
    ares_question *question;
    int type;
    int status; /* ARES_ETIMEOUT until there is an answer */
    unsigned char *answer;
    int answer_length;
} lookup;

/* ---- the life of a lookup ---- */

static void on_ended(void *data) {
    lookup *l = data;
    l->question = NULL;
    wait_done(&l->wait);
}

static void on_answer(void *data, int status, int timeouts, unsigned char *bytes, int length) {
    (void)timeouts;
    lookup *l = data;
    if (!ares_question_settle(l->question))
        return;
    l->status = status;
    if (status != ARES_SUCCESS)
        return;
    l->answer = malloc((size_t)length);
    if (!l->answer) {
        l->status = ARES_ENOMEM;
        return;
    }
    memcpy(l->answer, bytes, (size_t)length);
    l->answer_length = length;
}

static void cancel_lookup(wait *w) {
    lookup *l = (lookup *)w;
    ares_question_close(l->question);
    on_ended(l);
}

static int lookup_gc(lua_State *L) {
    lookup *l = lua_touserdata(L, 1);
    free(l->answer);
    return 0;
}

/* ---- answers ---- */

typedef struct {
    const unsigned char *message, *at, *end;
    int length; /* of the whole message: names may point anywhere into it */
} reader;

static bool read_u16(reader *r, unsigned *value) {
    if (r->end - r->at < 2)
        return false;
    *value = (unsigned)r->at[0] << 8 | r->at[1];
    r->at += 2;
    return true;
}

/* Pushes a name without its last dot. */
static bool push_name(lua_State *L, reader *r) {
    char *name;
    long used;
    if (r->at >= r->end || ares_expand_name(r->at, r->message, r->length, &name, &used) != ARES_SUCCESS)
        return false;
    lua_pushstring(L, name);
    ares_free_string(name);
    r->at += used;
    return r->at <= r->end;
}

static bool push_address(lua_State *L, reader *r, int family, long size) {
    char text[INET6_ADDRSTRLEN];
    if (r->end - r->at != size || !inet_ntop(family, r->at, text, sizeof text))
        return false;
    lua_pushstring(L, text);
    return true;
}

static bool push_a(lua_State *L, reader *r) {
    return push_address(L, r, AF_INET, 4);
}

static bool push_aaaa(lua_State *L, reader *r) {
    return push_address(L, r, AF_INET6, 16);
}

/* The strings of one TXT record belong together: RFC 7208 and others cut long texts. */
static bool push_txt(lua_State *L, reader *r) {
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    bool whole = true;
    while (whole && r->at < r->end) {
        size_t length = *r->at++;
        whole = length <= (size_t)(r->end - r->at);
        if (whole) {
            luaL_addlstring(&text, (const char *)r->at, length);
            r->at += length;
        }
    }
    luaL_pushresult(&text);
    return whole;
}

static bool push_mx(lua_State *L, reader *r) {
    unsigned preference;
    if (!read_u16(r, &preference) || !push_name(L, r))
        return false;
    lua_createtable(L, 0, 2);
    lua_insert(L, -2);
    lua_setfield(L, -2, "host");
    error_set_integer(L, "preference", (lua_Integer)preference);
    return true;
}

/* RFC 8659: flags, the tag's length, tag, value. */
static bool push_caa(lua_State *L, reader *r) {
    if (r->end - r->at < 2 || r->at[1] > r->end - r->at - 2)
        return false;
    const char *tag = (const char *)r->at + 2;
    size_t tag_length = r->at[1];
    lua_createtable(L, 0, 3);
    lua_pushboolean(L, r->at[0] & 0x80);
    lua_setfield(L, -2, "critical");
    error_set_text(L, "tag", tag, tag_length);
    error_set_text(L, "value", tag + tag_length, (size_t)((const char *)r->end - tag) - tag_length);
    return true;
}

static const struct record_type {
    const char *name;
    int number;
    bool (*push)(lua_State *, reader *); /* pushes the record between at and end, or returns false */
} record_types[] = {
    {"A", ns_t_a, push_a},
    {"AAAA", ns_t_aaaa, push_aaaa},
    {"CNAME", ns_t_cname, push_name},
    {"TXT", ns_t_txt, push_txt},
    {"NS", ns_t_ns, push_name},
    {"MX", ns_t_mx, push_mx},
    {"CAA", 257, push_caa},
    {NULL, 0, NULL},
};

static const struct record_type *type_by_number(int number) {
    const struct record_type *t = record_types;
    while (t->name && t->number != number)
        t++;
    return t;
}

/* Moves past the header and the question; c-ares has checked that the question is ours. */
static bool skip_question(lua_State *L, reader *r, unsigned *answers) {
    unsigned questions, ignored;
    if (r->end - r->at < HEADER_SIZE)
        return false;
    r->at += 4;
    if (!read_u16(r, &questions) || !read_u16(r, answers) || questions != 1)
        return false;
    r->at += 4;
    bool whole = push_name(L, r) && read_u16(r, &ignored) && read_u16(r, &ignored);
    lua_settop(L, lua_gettop(L) - (whole ? 1 : 0));
    return whole;
}

/* Reads one record; appends it to the list at `list` when it has the type asked for. */
static bool read_record(lua_State *L, reader *r, const struct record_type *wanted, int list) {
    unsigned type, class, size;
    if (!push_name(L, r) || !read_u16(r, &type) || !read_u16(r, &class) || r->end - r->at < 4)
        return false;
    r->at += 4; /* how long it may be kept */
    if (!read_u16(r, &size) || size > (unsigned)(r->end - r->at))
        return false;
    reader data = {r->message, r->at, r->at + size, r->length};
    r->at += size;
    if ((int)type != wanted->number || class != ns_c_in)
        return true;
    if (!wanted->push(L, &data))
        return false;
    lua_rawseti(L, list, (int)lua_objlen(L, list) + 1);
    return true;
}

/* Pushes the list of records of the answer, or returns false when it is not well-formed. */
static bool push_records(lua_State *L, const lookup *l) {
    reader r = {l->answer, l->answer, l->answer + l->answer_length, l->answer_length};
    unsigned answers;
    lua_newtable(L);
    int list = lua_gettop(L);
    if (!skip_question(L, &r, &answers))
        return false;
    for (unsigned i = 0; i < answers; i++) {
        if (!read_record(L, &r, type_by_number(l->type), list))
            return false;
        lua_settop(L, list);
    }
    return true;
}

static const struct {
    int status;
    const char *code, *message, *hint;
} failures[] = {
    {ARES_ETIMEOUT, "dns.timeout", "no answer in time", "is the server up, and port 53 open to it?"},
    {ARES_ESERVFAIL, "dns.servfail", "the server failed to find the answer (SERVFAIL)",
     "the domain's own servers may be down, or its DNSSEC is broken"},
    {ARES_EREFUSED, "dns.refused", "the server refuses to answer (REFUSED)",
     "ask a server that is responsible for the domain, or one that answers this address"},
    {ARES_ENOTIMP, "dns.refused", "the server does not answer such questions (NOTIMP)", NULL},
    {ARES_ECONNREFUSED, "dns.unreachable", "no server can be reached", "check the servers' addresses"},
    {ARES_EBADNAME, "dns.name", "this is not a name DNS can hold", NULL},
};

static int raise_failure(lua_State *L, int status) {
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        if (failures[i].status != status)
            continue;
        error_push(L, failures[i].code, "%s", failures[i].message);
        error_set(L, "hint", failures[i].hint);
        return lua_error(L);
    }
    return error_raise(L, "dns.answer", "the answer cannot be understood: %s", ares_strerror(status));
}

static int finish_lookup(lua_State *L, wait *w) {
    lookup *l = (lookup *)w;
    const char *absence = l->status == ARES_ENOTFOUND ? "nxdomain" : "nodata";
    if (l->status == ARES_ENOTFOUND || l->status == ARES_ENODATA)
        lua_newtable(L);
    else if (l->status != ARES_SUCCESS)
        return raise_failure(L, l->status);
    else if (!push_records(L, l))
        return error_raise(L, "dns.answer", "the answer is not a well-formed DNS message");
    if (lua_objlen(L, -1) > 0)
        return 1;
    lua_pushstring(L, absence);
    return 2;
}

/* ---- questions ---- */

static int check_type(lua_State *L, int index) {
    const char *name = luaL_checkstring(L, index);
    for (const struct record_type *t = record_types; t->name; t++)
        if (strcmp(t->name, name) == 0)
            return t->number;
    return error_raise(L, "usage", "there is no record type '%s' here: A AAAA CNAME TXT NS MX CAA", name);
}

/* Labels of 1 to 63 visible ASCII characters. No backslash: c-ares would read it as an escape. */
static const char *check_name(lua_State *L, int index) {
    size_t length, label = 0;
    const char *name = luaL_checklstring(L, index, &length);
    size_t last_dot = length > 0 && name[length - 1] == '.' ? 1 : 0;
    bool valid = length > last_dot && length - last_dot <= LONGEST_NAME;
    for (size_t i = 0; valid && i < length - last_dot; i++) {
        label = name[i] == '.' ? 0 : label + 1;
        bool visible = name[i] > ' ' && name[i] < 0x7f && name[i] != '\\';
        bool empty = label == 0 && (i == 0 || name[i - 1] == '.');
        valid = visible && !empty && label <= LONGEST_LABEL;
    }
    if (valid && label > 0)
        return name;
    error_push(L, "dns.name", "'%.300s' is not a name that DNS can hold", name);
    error_set(
        L, "hint",
        "labels of 1 to 63 characters, 253 in all; names with other letters are written in punycode (xn--)");
    lua_error(L);
    return NULL;
}

/* servers: "192.0.2.1,192.0.2.2:5353,[2001:db8::1]:53", or nil for the system's. */
static void open_question(lua_State *L, lookup *l, const char *servers, int flags, double seconds) {
    struct ares_options options = {.flags = flags, .timeout = MILLISECONDS_A_TRY, .tries = TRIES};
    int status =
        ares_question_open(&l->question, &options, ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES,
                           (uint64_t)(seconds * 1000), on_ended, l);
    if (status != ARES_SUCCESS)
        raise_failure(L, status);
    ares_channel channel = ares_question_channel(l->question);
    if (!servers || ares_set_servers_ports_csv(channel, servers) == ARES_SUCCESS)
        return;
    ares_question_close(l->question);
    error_raise(L, "usage", "these are not nameservers: '%s'", servers);
}

/* lookup(name, type, servers or nil, seconds, tcp, first answer) -> records, or an empty table and "nxdomain"
 * or "nodata". Waits. With `first answer` a server that fails or refuses ends it, else the next server is
 * asked. */
static int lookup_lua(lua_State *L) {
    const char *name = check_name(L, 1);
    int type = check_type(L, 2);
    const char *servers = luaL_optstring(L, 3, NULL);
    double seconds = luaL_checknumber(L, 4);
    luaL_argcheck(L, seconds > 0 && seconds < 1e6, 4, "seconds, more than 0");
    if (!task_in_effect())
        return error_raise(L, "internal", "dns: a question outside an effect");
    lookup *l = wait_new(L, sizeof *l, cancel_lookup, finish_lookup);
    luaL_getmetatable(L, LOOKUP_TYPE);
    lua_setmetatable(L, -2);
    l->wait.what = "DNS";
    l->type = type;
    bool tcp = lua_toboolean(L, 5), first_answer = lua_toboolean(L, 6);
    l->status = ARES_ETIMEOUT;
    open_question(L, l, servers, (tcp ? ARES_FLAG_USEVC : 0) | (first_answer ? ARES_FLAG_NOCHECKRESP : 0),
                  seconds);
    ares_query(ares_question_channel(l->question), name, ns_c_in, type, on_answer, l);
    ares_question_start(l->question);
    return wait_park(L, &l->wait);
}

/* normal(address) -> the address as DNS answers write it and "A" or "AAAA"; nothing when it is not an
 * address. */
static int normal_lua(lua_State *L) {
    const char *text = luaL_checkstring(L, 1);
    unsigned char bytes[16];
    char normal[INET6_ADDRSTRLEN];
    int family = strchr(text, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(family, text, bytes) != 1 || !inet_ntop(family, bytes, normal, sizeof normal))
        return 0;
    lua_pushstring(L, normal);
    lua_pushstring(L, family == AF_INET ? "A" : "AAAA");
    return 2;
}

int dns_open(lua_State *L) {
    static const luaL_Reg waiting[] = {{"lookup", lookup_lua}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"normal", normal_lua}, {NULL, NULL}};
    luaL_newmetatable(L, LOOKUP_TYPE);
    lua_pushcfunction(L, lookup_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    task_register(L, waiting);
    return 1;
}
