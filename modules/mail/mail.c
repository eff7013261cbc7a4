/* Mail over SMTP with libcurl: connect, STARTTLS, login, one message to all of its recipients or to none. */
#include "base/error.h"
#include "base/files_lua.h"
#include "base/scrub.h"
#include "base/secret.h"
#include "curl_thread.h"
#include "mail/message.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS 30000
#define DEFAULT_TIMEOUT 120.0 /* seconds */
#define LONGEST_ADDRESS 320
#define MOST_RECIPIENTS 100

typedef struct {
    curl_thread curl;
    mail_message message;
    struct curl_slist *recipients;
    char recipient[LONGEST_ADDRESS]; /* of the last RCPT */
    bool logged_in, checks, has_user;
    double timeout;
    char server[300];
    char sender[LONGEST_ADDRESS];
} mail;

static const char *const commands[] = {"EHLO", "HELO", "STARTTLS", "AUTH", "MAIL",
                                       "RCPT", "DATA", "NOOP",     NULL};

static const char *code_of(const mail *m) {
    return m->checks ? "mail.check" : "mail.send";
}

static bool was(const mail *m, const char *command) {
    return curl_thread_was(&m->curl, command);
}

/* ---- what is sent ---- */

static void on_command(curl_thread *t, const char *data, size_t size) {
    mail *m = (mail *)t;
    m->logged_in = m->logged_in || was(m, "AUTH");
    const char *open = was(m, "RCPT") ? memchr(data, '<', size) : NULL;
    const char *close = open ? memchr(open, '>', size - (size_t)(open - data)) : NULL;
    if (close)
        snprintf(m->recipient, sizeof m->recipient, "%.*s", (int)(close - open - 1), open + 1);
}

static size_t on_upload(char *buffer, size_t unit, size_t count, void *closure) {
    mail_message *message = &((mail *)closure)->message;
    size_t left = message->length - message->sent, size = unit * count < left ? unit * count : left;
    memcpy(buffer, message->bytes + message->sent, size);
    message->sent += size;
    return size;
}

static size_t ignore_body(char *data, size_t unit, size_t count, void *closure) {
    (void)data, (void)closure;
    return unit * count;
}

/* ---- failures ---- */

static void push(lua_State *L, const mail *m, const char *reason, const char *what) {
    error_push(L, code_of(m), "the mail server %s %s", m->server, what);
    error_set(L, "reason", reason);
}

/* What the server refused, by the command that it answered with 4xx or 5xx. */
static void push_refusal(lua_State *L, const mail *m, const char *user) {
    char what[1024 + CURL_THREAD_LONGEST_REPLY];
    const char *reason = was(m, "AUTH")   ? "auth"
                         : was(m, "MAIL") ? "sender"
                         : was(m, "RCPT") ? "recipient"
                         : was(m, "DATA") ? "message"
                                          : "greeting";
    if (was(m, "AUTH"))
        scrub_format(what, sizeof what, "refused the login of %s: %s", user, m->curl.reply);
    else if (was(m, "MAIL"))
        scrub_format(what, sizeof what, "refused the sender %s: %s", m->sender, m->curl.reply);
    else if (was(m, "RCPT"))
        scrub_format(what, sizeof what, "refused the recipient %s: %s", m->recipient, m->curl.reply);
    else if (was(m, "DATA"))
        scrub_format(what, sizeof what, "refused the message: %s", m->curl.reply);
    else
        scrub_format(what, sizeof what, "refused to serve: %s", m->curl.reply);
    push(L, m, reason, what);
    if (was(m, "AUTH"))
        error_set(L, "hint", "check the user name and the password of the mail account");
    if (was(m, "RCPT"))
        error_set(L, "recipient", m->recipient);
}

static void push_tls_problem(lua_State *L, const mail *m) {
    char what[64 + CURL_ERROR_SIZE];
    CURLcode result = m->curl.result;
    if (result == CURLE_USE_SSL_FAILED) {
        push(L, m, "tls", "does not offer STARTTLS, so nothing was sent");
        error_set(L, "hint", "use smtps:// where the server speaks TLS from the start, usually on port 465");
        return;
    }
    scrub_format(what, sizeof what, "cannot be trusted: %s", m->curl.problem);
    push(L, m, "tls", what);
    error_set(L, "hint",
              result == CURLE_PEER_FAILED_VERIFICATION
                  ? "the name must be one of the certificate's; for a private authority set ca_file"
              : result == CURLE_SSL_CACERT_BADFILE ? "set ca_file to a PEM file of certificates"
                                                   : NULL);
}

static void push_timeout(lua_State *L, const mail *m) {
    if (m->curl.names.too_late)
        error_push(L, "timeout", "the name of the mail server %s was not found in time", m->server);
    else if (*m->curl.command)
        error_push(L, "timeout", "the mail server %s did not answer %s in time", m->server, m->curl.command);
    else
        error_push(L, "timeout", "the mail server %s did not answer in time", m->server);
}

static void push_other(lua_State *L, const mail *m) {
    char what[64 + CURL_ERROR_SIZE];
    const char *problem = *m->curl.problem ? m->curl.problem : curl_easy_strerror(m->curl.result);
    bool met = m->curl.result != CURLE_COULDNT_RESOLVE_HOST && m->curl.result != CURLE_COULDNT_CONNECT;
    scrub_format(what, sizeof what, met ? "broke off: %s" : "cannot be reached: %s", problem);
    push(L, m, "connect", what);
    error_set(L, "hint", m->curl.names.hint);
}

static int raise_failure(lua_State *L, const mail *m) {
    long status = 0;
    curl_easy_getinfo(m->curl.easy, CURLINFO_RESPONSE_CODE, &status);
    lua_getfenv(L, 1); /* of the wait */
    lua_getfield(L, -1, "user");
    const char *user = lua_isstring(L, -1) ? lua_tostring(L, -1) : "nobody";
    switch (m->curl.result) {
    case CURLE_USE_SSL_FAILED:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
        push_tls_problem(L, m);
        break;
    case CURLE_OPERATION_TIMEDOUT:
        push_timeout(L, m);
        break;
    default:
        if (status >= 400)
            push_refusal(L, m, user);
        else
            push_other(L, m);
    }
    if (status >= 400) {
        error_set_integer(L, "status", status);
        error_set(L, "reply", m->curl.reply);
    }
    bool unclear = !m->checks && was(m, "DATA") && status < 400;
    if (unclear)
        error_set(L, "hint", "the message was on its way: the server may have taken it");
    error_set_boolean(L, "unclear", unclear);
    error_set(L, "target", m->server);
    return lua_error(L);
}

static int finish(lua_State *L, wait *w) {
    mail *m = (mail *)w;
    if (m->curl.result != CURLE_OK)
        return raise_failure(L, m);
    if (m->checks && m->has_user && !m->logged_in) {
        push(L, m, "auth", "offers no login that hostler knows");
        return lua_error(L);
    }
    lua_createtable(L, 0, 2);
    lua_pushstring(L, m->server);
    lua_setfield(L, -2, "server");
    lua_pushstring(L, m->curl.reply);
    lua_setfield(L, -2, "reply");
    return 1;
}

/* ---- starting ---- */

static void release(curl_thread *t) {
    mail *m = (mail *)t;
    mail_message_free(&m->message);
    curl_slist_free_all(m->recipients);
}

static const char *text_option(lua_State *L, const char *name, const char *otherwise) {
    lua_getfield(L, 1, name); /* stays on the stack, so the text stays alive */
    return lua_isnil(L, -1) ? otherwise : secret_tolstring(L, -1, NULL);
}

static mail_part part_option(lua_State *L, const char *name) {
    mail_part part = {"", 0, false};
    lua_getfield(L, 1, name);
    part.present = !lua_isnil(L, -1);
    if (part.present)
        part.bytes = secret_tolstring(L, -1, &part.length);
    return part;
}

static mail *mail_new(lua_State *L) {
    mail *m = curl_thread_new(L, sizeof *m, finish, commands);
    m->curl.release = release;
    m->curl.on_command = on_command;
    lua_createtable(L, 0, 1);
    lua_getfield(L, 1, "user");
    lua_setfield(L, -2, "user");
    lua_setfenv(L, -2);
    return m;
}

/* Labels of letters, digits and hyphens, at least two. */
static bool is_domain(const char *name) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    int labels = 0;
    for (const char *label = name; *label; labels++) {
        size_t length = strcspn(label, ".");
        const char *end = label + length;
        if (length == 0 || strspn(label, letters) == 0 || end[-1] == '-' || (*end && !end[1]))
            return false;
        for (const char *c = label; c < end; c++)
            if (*c != '-' && !strchr(letters, *c))
                return false;
        label = *end ? end + 1 : end;
    }
    return labels > 1;
}

/* The client introduces itself by the URL's path, to libcurl. It is this machine's name where that is a
 * domain, else an address (RFC 5321, 4.1.4): many servers refuse "laptop", and some "my_laptop". */
static void push_url(lua_State *L) {
    char name[256] = "";
    bool named = gethostname(name, sizeof name - 1) == 0 && is_domain(name);
    lua_pushfstring(L, "%s/%s", text_option(L, "url", ""), named ? name : "%5B127.0.0.1%5D");
}

static void set_connection(lua_State *L, mail *m) {
    CURL *easy = m->curl.easy;
    const char *user = text_option(L, "user", NULL), *ca_file = text_option(L, "ca_file", NULL);
    files_check_given(L, "ca_file", ca_file);
    snprintf(m->server, sizeof m->server, "%s", text_option(L, "address", ""));
    m->has_user = user != NULL;
    lua_getfield(L, 1, "timeout");
    m->timeout = luaL_optnumber(L, -1, DEFAULT_TIMEOUT);
    push_url(L);
    curl_thread_set_server(&m->curl, lua_tostring(L, -1), CONNECT_TIMEOUT_MS, (long)(m->timeout * 1000));
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(easy, CURLOPT_USE_SSL,
                     strcmp(text_option(L, "starttls", "required"), "never") ? CURLUSESSL_ALL
                                                                             : CURLUSESSL_NONE);
    if (user)
        curl_easy_setopt(easy, CURLOPT_USERNAME, user);
    if (user)
        curl_easy_setopt(easy, CURLOPT_PASSWORD, text_option(L, "password", ""));
    if (ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore_body);
}

static void set_recipients(lua_State *L, mail *m) {
    lua_getfield(L, 1, "recipients");
    luaL_checktype(L, -1, LUA_TTABLE);
    size_t count = lua_objlen(L, -1);
    if (count == 0 || count > MOST_RECIPIENTS)
        error_raise(L, "usage", "a mail goes to 1 to %d recipients, not %zu", MOST_RECIPIENTS, count);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, (int)i);
        struct curl_slist *longer = curl_slist_append(m->recipients, luaL_checkstring(L, -1));
        if (!longer)
            luaL_error(L, "out of memory");
        m->recipients = longer;
        lua_pop(L, 1);
    }
    curl_easy_setopt(m->curl.easy, CURLOPT_MAIL_RCPT, m->recipients);
}

/* send {url, address, user, password, starttls, ca_file, timeout, sender, recipients, head, text, html,
 * boundary}
 * -> {server, reply} */
static int send_lua(lua_State *L) {
    if (!task_in_effect())
        return error_raise(L, "internal", "mail.send was called outside an effect");
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    mail *m = mail_new(L);
    set_connection(L, m);
    set_recipients(L, m);
    snprintf(m->sender, sizeof m->sender, "%s", text_option(L, "sender", ""));
    mail_part head = part_option(L, "head"), text = part_option(L, "text"), html = part_option(L, "html");
    if (!mail_message_build(&m->message, head, text, html, text_option(L, "boundary", "")))
        return luaL_error(L, "out of memory");
    curl_easy_setopt(m->curl.easy, CURLOPT_MAIL_FROM, m->sender);
    curl_easy_setopt(m->curl.easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(m->curl.easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)m->message.length);
    curl_easy_setopt(m->curl.easy, CURLOPT_READFUNCTION, on_upload);
    curl_easy_setopt(m->curl.easy, CURLOPT_READDATA, m);
    m->curl.wait.what = "mail.send";
    lua_pushvalue(L, 2);
    return curl_thread_park(L, &m->curl);
}

/* check {url, address, user, password, starttls, ca_file, timeout} -> {server, reply} */
static int check_lua(lua_State *L) {
    if (!task_in_effect())
        return error_raise(L, "internal", "mail.check was called outside an effect");
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    mail *m = mail_new(L);
    set_connection(L, m);
    m->checks = true;
    curl_easy_setopt(m->curl.easy, CURLOPT_CUSTOMREQUEST, "NOOP");
    m->curl.wait.what = "mail.check";
    lua_pushvalue(L, 2);
    return curl_thread_park(L, &m->curl);
}

int mail_open(lua_State *L) {
    static const luaL_Reg waiting[] = {{"send", send_lua}, {"check", check_lua}, {NULL, NULL}};
    lua_newtable(L);
    task_register(L, waiting);
    return 1;
}
