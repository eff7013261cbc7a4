/* The ssh module's C half as Lua sees it: connections as userdata, and operations on them that wait.
 *
 * The Lua files beside this one check arguments and pass the gate; here they are taken as given. */
#include "base/error.h"
#include "base/secret.h"
#include "ssh/agent.h"
#include "ssh/exec.h"
#include "ssh/key.h"
#include "ssh/known_hosts.h"
#include "ssh/login.h"
#include "ssh/lua.h"
#include "ssh/sessions.h"
#include "ssh/settings.h"
#include "ssh/transfer.h"

#include <lauxlib.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define AGENT_TYPE "hostler.ssh.agent"
#define WORLD_TYPE "hostler.ssh.world"

int ssh_open(lua_State *L);

/* ---- connections ---- */

static int connection_gc(lua_State *L) {
    session_unref(ssh_check_connection(L, 1));
    return 0;
}

static char *text_field(lua_State *L, const char *name) {
    lua_getfield(L, 1, name);
    const char *text = lua_tostring(L, -1);
    char *copy = text ? strdup(text) : NULL;
    lua_pop(L, 1);
    return copy;
}

static char *secret_field(lua_State *L, const char *name) {
    size_t length;
    lua_getfield(L, 1, name);
    const char *text = lua_isnil(L, -1) ? NULL : secret_tolstring(L, -1, &length);
    char *copy = text ? strdup(text) : NULL;
    lua_pop(L, 1);
    return copy;
}

static bool flag_field(lua_State *L, const char *name) {
    lua_getfield(L, 1, name);
    bool set = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return set;
}

static double number_field(lua_State *L, int index, const char *name) {
    lua_getfield(L, index, name);
    double number = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return number;
}

static char **list_field(lua_State *L, const char *name) {
    lua_getfield(L, 1, name);
    size_t count = lua_objlen(L, -1);
    char **list = calloc(count + 1, sizeof *list);
    for (size_t i = 0; list && i < count; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        list[i] = strdup(lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return list;
}

static int family_field(lua_State *L, const char *name) {
    static const char *const names[] = {"any", "inet", "inet6", NULL};
    static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6};
    lua_getfield(L, 1, name);
    int family = families[luaL_checkoption(L, -1, "any", names)];
    lua_pop(L, 1);
    return family;
}

static void read_target(lua_State *L, ssh_target *target) {
    *target = (ssh_target){
        .key = text_field(L, "key"),
        .label = text_field(L, "label"),
        .user = text_field(L, "user"),
        .address = text_field(L, "address"),
        .bind_address = text_field(L, "bind_address"),
        .agent = text_field(L, "agent"),
        .host_key_names = list_field(L, "host_key_names"),
        .revoked_keys = list_field(L, "revoked_keys"),
        .known_hosts = list_field(L, "known_hosts"),
        .identities = list_field(L, "identities"),
        .certificates = list_field(L, "certificates"),
        .password = secret_field(L, "password"),
        .port = (int)number_field(L, 1, "port"),
        .family = family_field(L, "family"),
        .key_exchanges = text_field(L, "key_exchanges"),
        .host_key_algorithms = text_field(L, "host_key_algorithms"),
        .ciphers = text_field(L, "ciphers"),
        .macs = text_field(L, "macs"),
        .login_algorithms = text_field(L, "login_algorithms"),
        .check_address = flag_field(L, "check_address"),
        .accept_new = flag_field(L, "accept_new"),
        .remember = flag_field(L, "remember"),
        .only_identities = flag_field(L, "only_identities"),
        .identities_given = flag_field(L, "identities_given"),
        .phase_timeout = (uint64_t)(number_field(L, 1, "timeout") * 1000),
        .keepalive = (uint64_t)(number_field(L, 1, "keepalive") * 1000),
    };
}

static bool connect_step_operation(ssh_operation *operation) {
    return operation->session->state == SESSION_READY || operation->abandoned;
}

static void free_connect(ssh_operation *operation) {
    if (operation->session)
        operation->session->expected--;
}

static int finish_connect(lua_State *L, wait *w) {
    operation_wait *waiting = (operation_wait *)w;
    ssh_operation *operation = waiting->operation;
    if (ssh_push_failure(L, operation))
        return lua_error(L);
    ssh_session **connection = lua_newuserdata(L, sizeof *connection);
    *connection = session_ref(operation->session);
    luaL_getmetatable(L, SSH_CONNECTION_TYPE);
    lua_setmetatable(L, -2);
    waiting->operation = NULL;
    operation_unref(operation); /* now, for it is no longer expected */
    return 1;
}

/* connect(options, [jump connection]) -> connection; options are ssh_target's fields, times in seconds. */
static int connect_lua(lua_State *L) {
    ssh_check_effect(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    ssh_session *via = lua_isnoneornil(L, 2) ? NULL : ssh_check_connection(L, 2);
    ssh_operation *operation = calloc(1, sizeof *operation);
    if (!operation)
        return luaL_error(L, "out of memory");
    operation->step = connect_step_operation;
    operation->free = free_connect;
    operation_wait *waiting = ssh_push_wait(L, operation, finish_connect, "ssh.connect");
    ssh_target target;
    read_target(L, &target);
    ssh_session *s = sessions_find(&target, via);
    s->expected++;
    operation_begin(operation, s);
    session_unref(s);
    session_wake(s);
    return wait_park(L, &waiting->wait);
}

/* is_open(connection) -> boolean */
static int is_open_lua(lua_State *L) {
    ssh_session *s = ssh_check_connection(L, 1);
    lua_pushboolean(L, s->state == SESSION_READY && !session_is_broken(s));
    return 1;
}

/* close(connection): for everybody who shares it. */
static int close_lua(lua_State *L) {
    sessions_close(ssh_check_connection(L, 1), "ssh.closed", "the playbook closed the connection");
    return 0;
}

/* release(connection): nobody uses it any more. It closes once it carries nothing for others, and what uses
 * it again keeps it open. */
static int release_lua(lua_State *L) {
    sessions_release(ssh_check_connection(L, 1));
    return 0;
}

/* ---- commands ---- */

static void push_streams(lua_State *L, const ssh_exec *exec) {
    static const char *const names[] = {"stdout", "stderr"};
    for (int i = 0; i < 2; i++) {
        lua_pushlstring(L, exec->streams[i].data ? exec->streams[i].data : "", exec->streams[i].length);
        lua_setfield(L, -2, names[i]);
    }
    if (exec->has_begun) {
        lua_pushlstring(L, exec->before.data ? exec->before.data : "", exec->before.length);
        lua_setfield(L, -2, "begun");
    }
}

static int finish_exec(lua_State *L, wait *w) {
    operation_wait *waiting = (operation_wait *)w;
    ssh_exec *exec = (ssh_exec *)waiting->operation;
    bool failed = !exec->ended && ssh_push_failure(L, waiting->operation);
    if (!failed) {
        lua_createtable(L, 0, 4);
        lua_pushinteger(L, exec->status);
        lua_setfield(L, -2, "status");
        lua_pushstring(L, exec->signal);
        lua_setfield(L, -2, "signal");
    }
    push_streams(L, exec);
    waiting->operation = NULL;
    operation_unref(&exec->operation); /* now, for the output may be large */
    return failed ? lua_error(L) : 1;
}

static void add_text(lua_State *L, int index, ssh_buffer *buffer) {
    size_t length;
    const char *text = secret_tolstring(L, index, &length);
    buffer_add(buffer, text, length);
}

/* exec(connection, command, input, limit, timeout, begun) -> { status, signal, stdout, stderr, begun }.
 * `input` is a list of strings and secrets; limit in bytes for each stream; timeout in seconds, 0 for none;
 * `begun` is what the command line prints before the output that counts; in the result, if it did, what was
 * printed before that. Raises "ssh.closed", "ssh.output", "timeout" with what was said so far. */
static int exec_lua(lua_State *L) {
    ssh_check_effect(L);
    ssh_session *s = ssh_check_connection(L, 1);
    luaL_checktype(L, 3, LUA_TTABLE);
    ssh_exec *exec = exec_new();
    operation_wait *waiting = ssh_push_wait(L, &exec->operation, finish_exec, "ssh.run");
    add_text(L, 2, &exec->command);
    for (size_t i = 1; i <= lua_objlen(L, 3); i++) {
        lua_rawgeti(L, 3, (int)i);
        add_text(L, -1, &exec->input);
        lua_pop(L, 1);
    }
    exec->limit = (size_t)luaL_checknumber(L, 4);
    exec->timeout = (uint64_t)(luaL_checknumber(L, 5) * 1000);
    add_text(L, 6, &exec->begun);
    if (!ssh_settle_if_closed(&exec->operation, s))
        exec_begin(exec, s);
    return wait_park(L, &waiting->wait);
}

/* ---- the agent ---- */

typedef struct {
    wait wait;
    ssh_agent *agent;
    unsigned char type;
    ssh_buffer reply;
} agent_wait;

static void on_agent_reply(void *context, unsigned char type, const unsigned char *data, size_t length) {
    agent_wait *waiting = context;
    waiting->type = type;
    buffer_add(&waiting->reply, data, length);
    wait_done(&waiting->wait);
}

static void cancel_agent(wait *w) {
    agent_forget(w);
    wait_done(w);
}

static int agent_gc(lua_State *L) {
    agent_wait *waiting = lua_touserdata(L, 1);
    agent_forget(waiting);
    buffer_free(&waiting->reply);
    return 0;
}

static void push_agent_key(lua_State *L, wire_reader *reader) {
    char print[FINGERPRINT_SIZE];
    size_t blob_length, comment_length;
    const unsigned char *blob = wire_string(reader, &blob_length);
    const unsigned char *comment = wire_string(reader, &comment_length);
    key_fingerprint(blob, blob_length, print);
    lua_createtable(L, 0, 3);
    lua_pushstring(L, key_type_shown(blob, blob_length));
    lua_setfield(L, -2, "type");
    lua_pushlstring(L, (const char *)comment, comment_length);
    lua_setfield(L, -2, "comment");
    lua_pushstring(L, print);
    lua_setfield(L, -2, "fingerprint");
}

static int finish_agent_keys(lua_State *L, wait *w) {
    agent_wait *waiting = (agent_wait *)w;
    if (waiting->type != AGENT_IDENTITIES) {
        error_push(L, "ssh.agent", "the ssh-agent does not answer: %s",
                   waiting->type ? "it refused" : agent_problem(waiting->agent));
        error_set(L, "hint", "start it again, or set SSH_AUTH_SOCK to the one that runs");
        return lua_error(L);
    }
    wire_reader reader = {(unsigned char *)waiting->reply.data, waiting->reply.length, false};
    uint32_t count = wire_u32(&reader);
    lua_newtable(L);
    for (uint32_t i = 0; i < count && !reader.bad; i++) {
        push_agent_key(L, &reader);
        if (reader.bad)
            lua_pop(L, 1);
        else
            lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* agent_keys(path) -> list of { type, comment, fingerprint }; raises "ssh.agent" */
static int agent_keys_lua(lua_State *L) {
    ssh_check_effect(L);
    const char *path = luaL_checkstring(L, 1);
    agent_wait *waiting = wait_new(L, sizeof *waiting, cancel_agent, finish_agent_keys);
    luaL_getmetatable(L, AGENT_TYPE);
    lua_setmetatable(L, -2);
    waiting->wait.what = "the ssh-agent";
    waiting->agent = agent_at(path);
    agent_list(waiting->agent, on_agent_reply, waiting);
    return wait_park(L, &waiting->wait);
}

/* ---- known_hosts ---- */

static void push_known_key(lua_State *L, const known_key *key) {
    static const char *const marks[] = {
        [MARK_NONE] = NULL, [MARK_REVOKED] = "revoked", [MARK_AUTHORITY] = "authority"};
    char print[FINGERPRINT_SIZE];
    known_key_fingerprint(&key->key, print);
    lua_createtable(L, 0, 5);
    lua_pushstring(L, key->file);
    lua_setfield(L, -2, "file");
    lua_pushinteger(L, key->line);
    lua_setfield(L, -2, "line");
    lua_pushlstring(L, key->key.type, key->key.type_length);
    lua_setfield(L, -2, "type");
    lua_pushstring(L, print);
    lua_setfield(L, -2, "fingerprint");
    lua_pushstring(L, marks[key->mark]);
    lua_setfield(L, -2, "mark");
}

/* known_keys(files, name) -> list of { file, line, type, fingerprint, mark } */
static int known_keys_lua(lua_State *L) {
    ssh_check_effect(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    const char *name = luaL_checkstring(L, 2);
    known_keys keys = {0};
    for (size_t i = 1; i <= lua_objlen(L, 1); i++) {
        int problem;
        lua_rawgeti(L, 1, (int)i);
        const char *file = lua_tostring(L, -1);
        if (file)
            known_hosts_find(file, name, &keys, &problem);
        lua_pop(L, 1);
    }
    lua_createtable(L, (int)keys.count, 0);
    for (size_t i = 0; i < keys.count; i++) {
        push_known_key(L, &keys.list[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    known_keys_free(&keys);
    return 1;
}

/* ---- the world ---- */

/* At the end of the world: whatever is still open says goodbye. */
static int world_gc(lua_State *L) {
    (void)L;
    sessions_close_all();
    login_close();
    known_hosts_close();
    return 0;
}

int ssh_open(lua_State *L) {
    static const luaL_Reg plain[] = {{"is_open", is_open_lua},
                                     {"close", close_lua},
                                     {"release", release_lua},
                                     {"known_keys", known_keys_lua},
                                     {NULL, NULL}};
    static const luaL_Reg waiting[] = {
        {"connect", connect_lua}, {"exec", exec_lua}, {"agent_keys", agent_keys_lua}, {NULL, NULL}};
    ssh_make_type(L, SSH_CONNECTION_TYPE, connection_gc);
    ssh_make_wait_type(L);
    ssh_make_type(L, AGENT_TYPE, agent_gc);
    ssh_make_type(L, WORLD_TYPE, world_gc);
    lua_newuserdata(L, 1);
    luaL_getmetatable(L, WORLD_TYPE);
    lua_setmetatable(L, -2);
    lua_setfield(L, LUA_REGISTRYINDEX, WORLD_TYPE ".guard");
    lua_newtable(L);
    luaL_register(L, NULL, plain);
    task_register(L, waiting);
    settings_register(L);
    transfer_register(L);
    return 1;
}
