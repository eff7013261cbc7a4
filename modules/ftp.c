/* FTP with libcurl: connect, log in, list a directory, leave. */
#include "base/error.h"
#include "base/files_lua.h"
#include "base/scrub.h"
#include "base/secret.h"
#include "curl_thread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_MS 15000
#define DEFAULT_TIMEOUT 30.0 /* seconds */
#define LONGEST_LISTING (4 * 1024 * 1024)

typedef struct {
    curl_thread curl;
    char *listing;
    size_t length, capacity;
    bool too_long;
    char server[300];
} ftp;

/* PASS is known by name, but not what follows it. */
static const char *const commands[] = {"AUTH", "USER", "PASS", "ACCT", "PBSZ", "PROT", "PWD",
                                       "CWD",  "EPSV", "PASV", "TYPE", "LIST", NULL};

static bool was(const ftp *f, const char *command) {
    return curl_thread_was(&f->curl, command);
}

static size_t on_listing(char *data, size_t unit, size_t count, void *closure) {
    ftp *f = closure;
    size_t size = unit * count;
    if (size > LONGEST_LISTING - f->length) {
        f->too_long = true;
        return 0; /* ends the transfer */
    }
    if (f->length + size > f->capacity) {
        size_t capacity = 2 * (f->length + size);
        char *longer = realloc(f->listing, capacity);
        if (!longer)
            return 0;
        f->listing = longer;
        f->capacity = capacity;
    }
    memcpy(f->listing + f->length, data, size);
    f->length += size;
    return size;
}

/* ---- failures ---- */

static void push(lua_State *L, const ftp *f, const char *reason, const char *what) {
    error_push(L, "ftp", "the FTP server %s %s", f->server, what);
    error_set(L, "reason", reason);
}

/* What the server refused, by the command that it answered with 4xx or 5xx. */
static void push_refusal(lua_State *L, const ftp *f, const char *user) {
    char what[512 + CURL_THREAD_LONGEST_REPLY];
    const char *reply = f->curl.reply;
    if (was(f, "USER") || was(f, "PASS") || was(f, "ACCT")) {
        scrub_format(what, sizeof what, "refused the login of %s: %s", user, reply);
        push(L, f, "login", what);
    } else if (was(f, "AUTH") || was(f, "PBSZ") || was(f, "PROT")) {
        scrub_format(what, sizeof what, "does not offer TLS, so nothing was sent: %s", reply);
        push(L, f, "tls", what);
        error_set(L, "hint",
                  "tls = \"never\" sends the password as it is, as every FTP client without TLS does");
    } else if (!*f->curl.command) {
        scrub_format(what, sizeof what, "refused to serve: %s", reply);
        push(L, f, "greeting", what);
    } else {
        scrub_format(what, sizeof what, "refused to list (%s): %s", f->curl.command, reply);
        push(L, f, "list", what);
    }
}

static void push_other(lua_State *L, const ftp *f) {
    char what[64 + CURL_ERROR_SIZE];
    CURLcode result = f->curl.result;
    const char *problem = *f->curl.problem ? f->curl.problem : curl_easy_strerror(result);
    if (result == CURLE_COULDNT_RESOLVE_HOST || result == CURLE_COULDNT_CONNECT) {
        scrub_format(what, sizeof what, "cannot be reached: %s", problem);
        push(L, f, "connect", what);
        error_set(L, "hint", f->curl.names.hint);
    } else if (result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_CONNECT_ERROR) {
        scrub_format(what, sizeof what, "cannot be trusted: %s", problem);
        push(L, f, "tls", what);
    } else if (f->too_long) {
        push(L, f, "list", "sends a listing that does not end");
    } else {
        scrub_format(what, sizeof what, "broke off: %s", problem);
        push(L, f, "closed", what);
    }
}

static int raise_failure(lua_State *L, const ftp *f) {
    int status = curl_thread_status(&f->curl);
    lua_getfenv(L, 1); /* of the wait */
    lua_getfield(L, -1, "user");
    const char *user = lua_isstring(L, -1) ? lua_tostring(L, -1) : "anonymous";
    /* libcurl takes 421, "closing", for a time that was over. */
    if (f->curl.names.too_late)
        error_push(L, "timeout", "the name of the FTP server %s was not found in time", f->server);
    else if (f->curl.result == CURLE_OPERATION_TIMEDOUT && status != 421)
        error_push(L, "timeout", "the FTP server %s did not answer%s%s in time", f->server,
                   *f->curl.command ? " " : "", f->curl.command);
    else if (status >= 400)
        push_refusal(L, f, user);
    else
        push_other(L, f);
    if (*f->curl.reply) {
        error_set_integer(L, "status", status);
        error_set(L, "reply", f->curl.reply);
    }
    error_set(L, "target", f->server);
    return lua_error(L);
}

static int finish(lua_State *L, wait *w) {
    ftp *f = (ftp *)w;
    if (f->curl.result != CURLE_OK)
        return raise_failure(L, f);
    lua_createtable(L, 0, 2);
    lua_pushlstring(L, f->listing ? f->listing : "", f->length);
    lua_setfield(L, -2, "listing");
    lua_pushstring(L, f->curl.reply);
    lua_setfield(L, -2, "reply");
    return 1;
}

/* ---- starting ---- */

static void release(curl_thread *t) {
    free(((ftp *)t)->listing);
}

static const char *text_option(lua_State *L, const char *name, const char *otherwise) {
    lua_getfield(L, 1, name); /* stays on the stack, so the text stays alive */
    return lua_isnil(L, -1) ? otherwise : secret_tolstring(L, -1, NULL);
}

static ftp *ftp_new(lua_State *L) {
    ftp *f = curl_thread_new(L, sizeof *f, finish, commands);
    f->curl.release = release;
    f->curl.wait.what = "ftp.list";
    lua_createtable(L, 0, 1);
    lua_getfield(L, 1, "user");
    lua_setfield(L, -2, "user");
    lua_setfenv(L, -2);
    return f;
}

/* list {url, address, user, password, tls, ca_file, timeout} -> {listing, reply} */
static int list_lua(lua_State *L) {
    if (!task_in_effect())
        return error_raise(L, "internal", "ftp.list was called outside an effect");
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    ftp *f = ftp_new(L);
    CURL *easy = f->curl.easy;
    const char *ca_file = text_option(L, "ca_file", NULL);
    files_check_given(L, "ca_file", ca_file);
    bool encrypted = strcmp(text_option(L, "tls", "required"), "never") != 0;
    snprintf(f->server, sizeof f->server, "%s", text_option(L, "address", ""));
    lua_getfield(L, 1, "timeout");
    long timeout = (long)(luaL_optnumber(L, -1, DEFAULT_TIMEOUT) * 1000);
    curl_thread_set_server(&f->curl, text_option(L, "url", ""), CONNECT_TIMEOUT_MS, timeout);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "ftp");
    curl_easy_setopt(easy, CURLOPT_USERNAME, text_option(L, "user", "anonymous"));
    curl_easy_setopt(easy, CURLOPT_PASSWORD, text_option(L, "password", ""));
    curl_easy_setopt(easy, CURLOPT_USE_SSL, encrypted ? CURLUSESSL_ALL : CURLUSESSL_NONE);
    curl_easy_setopt(easy, CURLOPT_FTP_FILEMETHOD, CURLFTPMETHOD_SINGLECWD);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_listing);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, f);
    if (ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
    lua_pushvalue(L, 2);
    return curl_thread_park(L, &f->curl);
}

int ftp_open(lua_State *L) {
    static const luaL_Reg waiting[] = {{"list", list_lua}, {NULL, NULL}};
    lua_newtable(L);
    task_register(L, waiting);
    return 1;
}
