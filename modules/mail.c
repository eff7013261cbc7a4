/* Mail over SMTP with libcurl: connect, STARTTLS, login, one message to all of its recipients or to none.
 *
 * libcurl says only that something was refused, so the conversation is watched: the last command that is no
 * secret, and the last answer. */
#include "error.h"
#include "host.h"
#include "mail_message.h"
#include "secret.h"
#include "task.h"

#include <ctype.h>
#include <curl/curl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS 30000
#define DEFAULT_TIMEOUT 120.0 /* seconds */
#define LONGEST_REPLY 2048
#define LONGEST_ADDRESS 320
#define MOST_RECIPIENTS 100
#define MOST_SOCKETS 8
#define MAIL_TYPE "hostler.mail"

typedef struct {
    wait wait;
    CURL *easy;
    CURLcode result;
    char problem[CURL_ERROR_SIZE];
    uv_thread_t thread;
    uv_async_t *ended; /* malloc'ed: its closing outlives a raise */
    uv_mutex_t mutex;  /* over sockets, which a cancellation shuts down */
    atomic_bool stopped;
    mail_message message;
    struct curl_slist *recipients;
    char command[16];                /* the last one sent: EHLO STARTTLS AUTH MAIL RCPT DATA NOOP QUIT */
    char recipient[LONGEST_ADDRESS]; /* of the last RCPT */
    char reply[LONGEST_REPLY];       /* the server's last answer, its lines parted by newlines */
    size_t reply_length;
    bool reply_complete, logged_in, left, checks, has_user;
    double timeout;
    curl_socket_t sockets[MOST_SOCKETS]; /* those open, and CURL_SOCKET_BAD */
    char server[300];
    char sender[LONGEST_ADDRESS];
} mail;

static const char *code_of(const mail *m) {
    return m->checks ? "mail.check" : "mail.send";
}

/* ---- watching the conversation ---- */

static void shut_sockets(mail *m, int how) {
    uv_mutex_lock(&m->mutex);
    for (int i = 0; i < MOST_SOCKETS; i++)
        if (m->sockets[i] != CURL_SOCKET_BAD)
            shutdown(m->sockets[i], how);
    uv_mutex_unlock(&m->mutex);
}

/* Replaces a socket of the list, if it is in it. */
static void change_socket(mail *m, curl_socket_t from, curl_socket_t to) {
    uv_mutex_lock(&m->mutex);
    for (int i = 0; i < MOST_SOCKETS; i++) {
        if (m->sockets[i] == from) {
            m->sockets[i] = to;
            break;
        }
    }
    uv_mutex_unlock(&m->mutex);
}

/* Only commands known by name are kept: what a login sends must not be. */
static void note_command(mail *m, const char *data, size_t size) {
    static const char *const commands[] = {"EHLO", "HELO", "STARTTLS", "AUTH", "MAIL",
                                           "RCPT", "DATA", "NOOP",     "QUIT"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        size_t length = strlen(commands[i]);
        bool here = size >= length && memcmp(data, commands[i], length) == 0;
        if (!here || (size > length && !isspace((unsigned char)data[length])))
            continue;
        if (strcmp(commands[i], "QUIT") == 0) { /* all is done, and nobody needs the answer */
            m->left = true;
            shut_sockets(m, SHUT_RD);
            return;
        }
        snprintf(m->command, sizeof m->command, "%s", commands[i]);
        m->logged_in = m->logged_in || strcmp(m->command, "AUTH") == 0;
        m->reply_length = 0;
        m->reply[0] = '\0';
    }
    const char *open = strcmp(m->command, "RCPT") == 0 ? memchr(data, '<', size) : NULL;
    const char *close = open ? memchr(open, '>', size - (size_t)(open - data)) : NULL;
    if (close)
        snprintf(m->recipient, sizeof m->recipient, "%.*s", (int)(close - open - 1), open + 1);
}

static int on_debug(CURL *easy, curl_infotype type, char *data, size_t size, void *closure) {
    (void)easy;
    if (type == CURLINFO_HEADER_OUT)
        note_command(closure, data, size);
    return 0;
}

/* One line of an answer. "250-" goes on, "250 " is the last. */
static size_t on_reply(char *data, size_t unit, size_t count, void *closure) {
    mail *m = closure;
    size_t size = unit * count, length = size;
    if (m->left)
        return size;
    while (length > 0 && (data[length - 1] == '\n' || data[length - 1] == '\r'))
        length--;
    if (m->reply_complete)
        m->reply_length = 0;
    m->reply_complete = length < 4 || data[3] != '-';
    size_t room = sizeof m->reply - m->reply_length;
    int written =
        snprintf(m->reply + m->reply_length, room, "%s%.*s", m->reply_length ? "\n" : "", (int)length, data);
    if (written > 0)
        m->reply_length += (size_t)written < room ? (size_t)written : room - 1;
    return size;
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

static int on_socket(void *closure, curl_socket_t socket, curlsocktype purpose) {
    (void)purpose;
    change_socket(closure, CURL_SOCKET_BAD, socket);
    return CURL_SOCKOPT_OK;
}

static int on_close(void *closure, curl_socket_t socket) {
    change_socket(closure, socket, CURL_SOCKET_BAD);
    return close(socket);
}

static int on_progress(void *closure, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    (void)a, (void)b, (void)c, (void)d;
    return atomic_load(&((mail *)closure)->stopped);
}

/* ---- the thread ---- */

static void run_thread(void *closure) {
    mail *m = closure;
    m->result = curl_easy_perform(m->easy);
    uv_async_send(m->ended);
}

static void on_ended_closed(uv_handle_t *handle) {
    mail *m = handle->data;
    free(handle);
    wait_done(&m->wait);
}

static void free_ended(uv_handle_t *handle) {
    free(handle);
}

static void on_ended(uv_async_t *ended) {
    mail *m = ended->data;
    uv_thread_join(&m->thread);
    uv_close((uv_handle_t *)ended, on_ended_closed);
}

/* The thread sees it at the next turn, at once if it waits for the server. */
static void cancel_mail(wait *w) {
    mail *m = (mail *)w;
    atomic_store(&m->stopped, true);
    shut_sockets(m, SHUT_RDWR);
}

/* Signals are for the thread of the loop. */
static int start_thread(mail *m) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int problem = uv_thread_create(&m->thread, run_thread, m);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return problem;
}

/* The mail's userdata is on top of the stack. */
static int mail_park(lua_State *L, mail *m) {
    m->ended = malloc(sizeof *m->ended);
    if (!m->ended)
        return luaL_error(L, "out of memory");
    uv_async_init(task_loop(), m->ended, on_ended);
    m->ended->data = m;
    int problem = start_thread(m);
    if (problem) {
        uv_close((uv_handle_t *)m->ended, free_ended);
        return error_raise(L, code_of(m), "cannot start a thread: %s", uv_strerror(problem));
    }
    return wait_park(L, &m->wait);
}

/* ---- failures ---- */

static bool was(const mail *m, const char *command) {
    return strcmp(m->command, command) == 0;
}

static void push(lua_State *L, const mail *m, const char *reason, const char *what) {
    error_push(L, code_of(m), "the mail server %s %s", m->server, what);
    error_set(L, "reason", reason);
}

/* What the server refused, by the command that it answered with 4xx or 5xx. */
static void push_refusal(lua_State *L, const mail *m, const char *user) {
    char what[1024 + LONGEST_REPLY];
    const char *reason = was(m, "AUTH")   ? "auth"
                         : was(m, "MAIL") ? "sender"
                         : was(m, "RCPT") ? "recipient"
                         : was(m, "DATA") ? "message"
                                          : "greeting";
    if (was(m, "AUTH"))
        snprintf(what, sizeof what, "refused the login of %s: %s", user, m->reply);
    else if (was(m, "MAIL"))
        snprintf(what, sizeof what, "refused the sender %s: %s", m->sender, m->reply);
    else if (was(m, "RCPT"))
        snprintf(what, sizeof what, "refused the recipient %s: %s", m->recipient, m->reply);
    else if (was(m, "DATA"))
        snprintf(what, sizeof what, "refused the message: %s", m->reply);
    else
        snprintf(what, sizeof what, "refused to serve: %s", m->reply);
    push(L, m, reason, what);
    if (was(m, "AUTH"))
        error_set(L, "hint", "check the user name and the password of the mail account");
    if (was(m, "RCPT"))
        error_set(L, "recipient", m->recipient);
}

static void push_tls_problem(lua_State *L, const mail *m) {
    char what[64 + CURL_ERROR_SIZE];
    CURLcode result = m->result;
    if (result == CURLE_USE_SSL_FAILED) {
        push(L, m, "tls", "does not offer STARTTLS, so nothing was sent");
        error_set(L, "hint", "use smtps:// where the server speaks TLS from the start, usually on port 465");
        return;
    }
    snprintf(what, sizeof what, "cannot be trusted: %s", m->problem);
    push(L, m, "tls", what);
    error_set(L, "hint",
              result == CURLE_PEER_FAILED_VERIFICATION
                  ? "the name must be one of the certificate's; for a private authority set ca_file"
              : result == CURLE_SSL_CACERT_BADFILE ? "set ca_file to a PEM file of certificates"
                                                   : NULL);
}

static void push_timeout(lua_State *L, const mail *m) {
    if (*m->command)
        error_push(L, "timeout", "the mail server %s did not answer %s in time", m->server, m->command);
    else
        error_push(L, "timeout", "the mail server %s did not answer in time", m->server);
}

static void push_other(lua_State *L, const mail *m) {
    char what[64 + CURL_ERROR_SIZE];
    const char *problem = *m->problem ? m->problem : curl_easy_strerror(m->result);
    bool met = m->result != CURLE_COULDNT_RESOLVE_HOST && m->result != CURLE_COULDNT_CONNECT;
    snprintf(what, sizeof what, met ? "broke off: %s" : "cannot be reached: %s", problem);
    push(L, m, "connect", what);
}

static int raise_failure(lua_State *L, const mail *m) {
    long status = 0;
    curl_easy_getinfo(m->easy, CURLINFO_RESPONSE_CODE, &status);
    lua_getfenv(L, 1); /* of the wait */
    lua_getfield(L, -1, "user");
    const char *user = lua_isstring(L, -1) ? lua_tostring(L, -1) : "nobody";
    switch (m->result) {
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
        error_set(L, "reply", m->reply);
    }
    if (!m->checks && was(m, "DATA") && status < 400)
        error_set(L, "hint", "the message was on its way: the server may have taken it");
    error_set(L, "target", m->server);
    return lua_error(L);
}

static int finish(lua_State *L, wait *w) {
    mail *m = (mail *)w;
    if (m->result != CURLE_OK)
        return raise_failure(L, m);
    if (m->checks && m->has_user && !m->logged_in) {
        push(L, m, "auth", "offers no login that hostler knows");
        return lua_error(L);
    }
    lua_createtable(L, 0, 2);
    lua_pushstring(L, m->server);
    lua_setfield(L, -2, "server");
    lua_pushstring(L, m->reply);
    lua_setfield(L, -2, "reply");
    return 1;
}

/* ---- starting ---- */

static int mail_gc(lua_State *L) {
    mail *m = lua_touserdata(L, 1);
    curl_easy_cleanup(m->easy);
    mail_message_free(&m->message);
    curl_slist_free_all(m->recipients);
    uv_mutex_destroy(&m->mutex);
    return 0;
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

/* libcurl's and OpenSSL's start-up costs milliseconds, so it waits for the first mail. */
static mail *mail_new(lua_State *L) {
    static bool started;
    if (!started && curl_global_init(CURL_GLOBAL_DEFAULT))
        luaL_error(L, "libcurl cannot start");
    started = true;
    mail *m = wait_new(L, sizeof *m, cancel_mail, finish);
    m->reply_complete = true;
    for (int i = 0; i < MOST_SOCKETS; i++)
        m->sockets[i] = CURL_SOCKET_BAD;
    if (uv_mutex_init(&m->mutex))
        luaL_error(L, "out of memory");
    luaL_getmetatable(L, MAIL_TYPE);
    lua_setmetatable(L, -2);
    m->easy = curl_easy_init();
    if (!m->easy)
        luaL_error(L, "out of memory");
    lua_createtable(L, 0, 1);
    lua_getfield(L, 1, "user");
    lua_setfield(L, -2, "user");
    lua_setfenv(L, -2);
    return m;
}

static void set_connection(lua_State *L, mail *m) {
    CURL *easy = m->easy;
    const char *user = text_option(L, "user", NULL), *ca_file = text_option(L, "ca_file", NULL);
    snprintf(m->server, sizeof m->server, "%s", text_option(L, "address", ""));
    m->has_user = user != NULL;
    lua_getfield(L, 1, "timeout");
    m->timeout = luaL_optnumber(L, -1, DEFAULT_TIMEOUT);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, m->problem);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, m);
    curl_easy_setopt(easy, CURLOPT_URL, text_option(L, "url", ""));
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(easy, CURLOPT_USE_SSL,
                     strcmp(text_option(L, "starttls", "required"), "never") ? CURLUSESSL_ALL
                                                                             : CURLUSESSL_NONE);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    if (user)
        curl_easy_setopt(easy, CURLOPT_USERNAME, user);
    if (user)
        curl_easy_setopt(easy, CURLOPT_PASSWORD, text_option(L, "password", ""));
    if (ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(m->timeout * 1000));
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
    curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_debug);
    curl_easy_setopt(easy, CURLOPT_DEBUGDATA, m);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_reply);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, m);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore_body);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, m);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, m);
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
    curl_easy_setopt(m->easy, CURLOPT_MAIL_RCPT, m->recipients);
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
    curl_easy_setopt(m->easy, CURLOPT_MAIL_FROM, m->sender);
    curl_easy_setopt(m->easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(m->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)m->message.length);
    curl_easy_setopt(m->easy, CURLOPT_READFUNCTION, on_upload);
    curl_easy_setopt(m->easy, CURLOPT_READDATA, m);
    m->wait.what = "mail.send";
    lua_pushvalue(L, 2);
    return mail_park(L, m);
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
    curl_easy_setopt(m->easy, CURLOPT_CUSTOMREQUEST, "NOOP");
    m->wait.what = "mail.check";
    lua_pushvalue(L, 2);
    return mail_park(L, m);
}

int mail_open(lua_State *L) {
    static const luaL_Reg waiting[] = {{"send", send_lua}, {"check", check_lua}, {NULL, NULL}};
    luaL_newmetatable(L, MAIL_TYPE);
    lua_pushcfunction(L, mail_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_newtable(L);
    task_register(L, waiting);
    return 1;
}
