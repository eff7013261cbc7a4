/* Runs libcurl's blocking interface on a thread, watches what is said, and stops it by shutting its sockets.
 * The server's name is resolved before. See curl_thread.h. */
#include "curl_thread.h"

#include "base/error.h"
#include "base/scrub.h"
#include "task/handle.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CURL_THREAD_TYPE "hostler.curl_thread"
#define REFUSAL 400

/* ---- its sockets ---- */

static void shut_sockets(curl_thread *t, int how) {
    uv_mutex_lock(&t->mutex);
    for (int i = 0; i < CURL_THREAD_MOST_SOCKETS; i++)
        if (t->sockets[i] != CURL_SOCKET_BAD)
            shutdown(t->sockets[i], how);
    uv_mutex_unlock(&t->mutex);
}

/* Replaces a socket of the list, if it is in it. */
static void change_socket(curl_thread *t, curl_socket_t from, curl_socket_t to) {
    uv_mutex_lock(&t->mutex);
    for (int i = 0; i < CURL_THREAD_MOST_SOCKETS; i++) {
        if (t->sockets[i] == from) {
            t->sockets[i] = to;
            break;
        }
    }
    uv_mutex_unlock(&t->mutex);
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

/* ---- watching ---- */

bool curl_thread_was(const curl_thread *t, const char *command) {
    return strcmp(t->command, command) == 0;
}

int curl_thread_status(const curl_thread *t) {
    return isdigit((unsigned char)t->reply[0]) ? (int)strtol(t->reply, NULL, 10) : 0;
}

/* Only commands known by name are kept: what a login sends must not be. */
static void note_command(curl_thread *t, const char *data, size_t size) {
    static const char quit[] = "QUIT";
    if (size >= sizeof quit - 1 && memcmp(data, quit, sizeof quit - 1) == 0) {
        t->left = true; /* all is done, and nobody needs the answer */
        shut_sockets(t, SHUT_RD);
        return;
    }
    for (const char *const *name = t->commands; *name; name++) {
        size_t length = strlen(*name);
        bool here = size >= length && memcmp(data, *name, length) == 0;
        if (!here || (size > length && !isspace((unsigned char)data[length])))
            continue;
        snprintf(t->command, sizeof t->command, "%s", *name);
        if (curl_thread_status(t) >= REFUSAL) /* until another answer comes: it may be why there is none */
            continue;
        t->reply_length = 0;
        t->reply[0] = '\0';
    }
    if (t->on_command)
        t->on_command(t, data, size);
}

static int on_debug(CURL *easy, curl_infotype type, char *data, size_t size, void *closure) {
    (void)easy;
    if (type == CURLINFO_HEADER_OUT)
        note_command(closure, data, size);
    return 0;
}

/* "250-" goes on, and so does a line without a number between such; "250 " is the last. */
static bool ends_reply(const char *line, size_t length) {
    for (size_t i = 0; i < 3; i++)
        if (length <= i || !isdigit((unsigned char)line[i]))
            return false;
    return length == 3 || line[3] != '-';
}

/* One line of an answer. */
static size_t on_reply(char *data, size_t unit, size_t count, void *closure) {
    curl_thread *t = closure;
    size_t size = unit * count, length = size;
    if (t->left)
        return size;
    while (length > 0 && (data[length - 1] == '\n' || data[length - 1] == '\r'))
        length--;
    if (t->reply_complete)
        t->reply_length = 0;
    t->reply_complete = ends_reply(data, length);
    size_t room = sizeof t->reply - t->reply_length;
    int written =
        snprintf(t->reply + t->reply_length, room, "%s%.*s", t->reply_length ? "\n" : "", (int)length, data);
    if (written > 0)
        t->reply_length += (size_t)written < room ? (size_t)written : room - 1;
    return size;
}

static int on_progress(void *closure, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t e) {
    (void)a, (void)b, (void)c, (void)e;
    return atomic_load(&((curl_thread *)closure)->stopped);
}

/* ---- the thread ---- */

static void run_thread(void *closure) {
    curl_thread *t = closure;
    t->result = curl_easy_perform(t->easy);
    uv_async_send(t->ended);
}

static void on_ended_closed(uv_handle_t *handle) {
    curl_thread *t = handle->data;
    free(handle);
    wait_done(&t->wait);
}

static void on_ended(uv_async_t *ended) {
    curl_thread *t = ended->data;
    uv_thread_join(&t->thread);
    /* Both may have been cut where they were full. */
    scrub_format(t->reply, sizeof t->reply, "%s", t->reply);
    scrub_format(t->problem, sizeof t->problem, "%s", t->problem);
    uv_close((uv_handle_t *)ended, on_ended_closed);
}

/* The thread sees it at the next turn, at once if it waits for the server. */
static void cancel_curl(wait *w) {
    curl_thread *t = (curl_thread *)w;
    if (t->names.resolving) {
        curl_names_give_up(&t->names);
        wait_done(w);
        return;
    }
    atomic_store(&t->stopped, true);
    shut_sockets(t, SHUT_RDWR);
}

/* Signals are for the thread of the loop. */
static int start_thread(curl_thread *t) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int problem = uv_thread_create(&t->thread, run_thread, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return problem;
}

/* Returns a libuv error or 0. */
static int start(curl_thread *t) {
    t->ended = malloc(sizeof *t->ended);
    if (!t->ended)
        return UV_ENOMEM;
    uv_async_init(task_loop(), t->ended, on_ended);
    t->ended->data = t;
    int problem = start_thread(t);
    if (problem)
        handle_discard(t->ended);
    return problem;
}

static void fail(curl_thread *t, CURLcode result, const char *problem) {
    scrub_format(t->problem, sizeof t->problem, "%s", problem);
    t->result = result;
    wait_done(&t->wait);
}

static void on_name(void *data) {
    curl_thread *t = data;
    if (t->names.problem) {
        fail(t, t->names.too_late ? CURLE_OPERATION_TIMEDOUT : CURLE_COULDNT_RESOLVE_HOST, t->names.problem);
        return;
    }
    int problem = start(t);
    if (problem)
        fail(t, CURLE_FAILED_INIT, uv_strerror(problem));
}

void curl_thread_set_server(curl_thread *t, const char *url, long connect_time, long whole_time) {
    curl_easy_setopt(t->easy, CURLOPT_URL, url);
    curl_place_free(&t->server);
    t->server = curl_place_of_url(url, NULL);
    curl_names_begin(&t->names, t->easy, connect_time, whole_time);
}

int curl_thread_park(lua_State *L, curl_thread *t) {
    if (t->server.host && curl_place_is_name(&t->server)) {
        curl_names_find(&t->names, t->server, on_name, t);
        t->server = (curl_place){NULL, 0};
        return wait_park(L, &t->wait);
    }
    int problem = start(t);
    if (problem)
        return error_raise(L, "internal", "cannot start a thread: %s", uv_strerror(problem));
    return wait_park(L, &t->wait);
}

/* ---- its life ---- */

static int curl_thread_gc(lua_State *L) {
    curl_thread *t = lua_touserdata(L, 1);
    curl_easy_cleanup(t->easy);
    curl_names_free(&t->names);
    curl_place_free(&t->server);
    if (t->release)
        t->release(t);
    uv_mutex_destroy(&t->mutex);
    return 0;
}

static void set_options(curl_thread *t) {
    CURL *easy = t->easy;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->problem);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, t);
    curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
    curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_debug);
    curl_easy_setopt(easy, CURLOPT_DEBUGDATA, t);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_reply);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, t);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, t);
}

/* libcurl's and OpenSSL's start-up costs milliseconds, so it waits for the first transfer. */
void *curl_thread_new(lua_State *L, size_t size, int (*finish)(lua_State *, wait *),
                      const char *const *commands) {
    static bool started;
    if (!started && curl_global_init(CURL_GLOBAL_DEFAULT))
        luaL_error(L, "libcurl cannot start");
    started = true;
    curl_thread *t = wait_new(L, size, cancel_curl, finish);
    t->commands = commands;
    t->reply_complete = true;
    for (int i = 0; i < CURL_THREAD_MOST_SOCKETS; i++)
        t->sockets[i] = CURL_SOCKET_BAD;
    if (uv_mutex_init(&t->mutex))
        luaL_error(L, "out of memory");
    if (luaL_newmetatable(L, CURL_THREAD_TYPE)) {
        lua_pushcfunction(L, curl_thread_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    t->easy = curl_easy_init();
    if (!t->easy)
        luaL_error(L, "out of memory");
    set_options(t);
    return t;
}
