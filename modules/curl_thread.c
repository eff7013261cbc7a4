/* Runs libcurl's blocking interface on a thread, watches what is said, and stops it by shutting its sockets.
 * See curl_thread.h. */
#include "curl_thread.h"

#include "base/error.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DIALOGUE_TYPE "hostler.dialogue"
#define REFUSAL 400

/* ---- its sockets ---- */

static void shut_sockets(dialogue *d, int how) {
    uv_mutex_lock(&d->mutex);
    for (int i = 0; i < DIALOGUE_MOST_SOCKETS; i++)
        if (d->sockets[i] != CURL_SOCKET_BAD)
            shutdown(d->sockets[i], how);
    uv_mutex_unlock(&d->mutex);
}

/* Replaces a socket of the list, if it is in it. */
static void change_socket(dialogue *d, curl_socket_t from, curl_socket_t to) {
    uv_mutex_lock(&d->mutex);
    for (int i = 0; i < DIALOGUE_MOST_SOCKETS; i++) {
        if (d->sockets[i] == from) {
            d->sockets[i] = to;
            break;
        }
    }
    uv_mutex_unlock(&d->mutex);
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

bool dialogue_was(const dialogue *d, const char *command) {
    return strcmp(d->command, command) == 0;
}

int dialogue_status(const dialogue *d) {
    return isdigit((unsigned char)d->reply[0]) ? (int)strtol(d->reply, NULL, 10) : 0;
}

/* Only commands known by name are kept: what a login sends must not be. */
static void note_command(dialogue *d, const char *data, size_t size) {
    static const char quit[] = "QUIT";
    if (size >= sizeof quit - 1 && memcmp(data, quit, sizeof quit - 1) == 0) {
        d->left = true; /* all is done, and nobody needs the answer */
        shut_sockets(d, SHUT_RD);
        return;
    }
    for (const char *const *name = d->commands; *name; name++) {
        size_t length = strlen(*name);
        bool here = size >= length && memcmp(data, *name, length) == 0;
        if (!here || (size > length && !isspace((unsigned char)data[length])))
            continue;
        snprintf(d->command, sizeof d->command, "%s", *name);
        if (dialogue_status(d) >= REFUSAL) /* until another answer comes: it may be why there is none */
            continue;
        d->reply_length = 0;
        d->reply[0] = '\0';
    }
    if (d->on_command)
        d->on_command(d, data, size);
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
    dialogue *d = closure;
    size_t size = unit * count, length = size;
    if (d->left)
        return size;
    while (length > 0 && (data[length - 1] == '\n' || data[length - 1] == '\r'))
        length--;
    if (d->reply_complete)
        d->reply_length = 0;
    d->reply_complete = ends_reply(data, length);
    size_t room = sizeof d->reply - d->reply_length;
    int written =
        snprintf(d->reply + d->reply_length, room, "%s%.*s", d->reply_length ? "\n" : "", (int)length, data);
    if (written > 0)
        d->reply_length += (size_t)written < room ? (size_t)written : room - 1;
    return size;
}

static int on_progress(void *closure, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t e) {
    (void)a, (void)b, (void)c, (void)e;
    return atomic_load(&((dialogue *)closure)->stopped);
}

/* ---- the thread ---- */

static void run_thread(void *closure) {
    dialogue *d = closure;
    d->result = curl_easy_perform(d->easy);
    uv_async_send(d->ended);
}

static void on_ended_closed(uv_handle_t *handle) {
    dialogue *d = handle->data;
    free(handle);
    wait_done(&d->wait);
}

static void free_ended(uv_handle_t *handle) {
    free(handle);
}

static void on_ended(uv_async_t *ended) {
    dialogue *d = ended->data;
    uv_thread_join(&d->thread);
    uv_close((uv_handle_t *)ended, on_ended_closed);
}

/* The thread sees it at the next turn, at once if it waits for the server. */
static void cancel_dialogue(wait *w) {
    dialogue *d = (dialogue *)w;
    atomic_store(&d->stopped, true);
    shut_sockets(d, SHUT_RDWR);
}

/* Signals are for the thread of the loop. */
static int start_thread(dialogue *d) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int problem = uv_thread_create(&d->thread, run_thread, d);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return problem;
}

int dialogue_park(lua_State *L, dialogue *d) {
    d->ended = malloc(sizeof *d->ended);
    if (!d->ended)
        return luaL_error(L, "out of memory");
    uv_async_init(task_loop(), d->ended, on_ended);
    d->ended->data = d;
    int problem = start_thread(d);
    if (problem) {
        uv_close((uv_handle_t *)d->ended, free_ended);
        return error_raise(L, "internal", "cannot start a thread: %s", uv_strerror(problem));
    }
    return wait_park(L, &d->wait);
}

/* ---- its life ---- */

static int dialogue_gc(lua_State *L) {
    dialogue *d = lua_touserdata(L, 1);
    curl_easy_cleanup(d->easy);
    if (d->release)
        d->release(d);
    uv_mutex_destroy(&d->mutex);
    return 0;
}

static void set_options(dialogue *d) {
    CURL *easy = d->easy;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, d->problem);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, d);
    curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
    curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_debug);
    curl_easy_setopt(easy, CURLOPT_DEBUGDATA, d);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_reply);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, d);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, d);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, d);
}

/* libcurl's and OpenSSL's start-up costs milliseconds, so it waits for the first dialogue. */
void *dialogue_new(lua_State *L, size_t size, int (*finish)(lua_State *, wait *),
                   const char *const *commands) {
    static bool started;
    if (!started && curl_global_init(CURL_GLOBAL_DEFAULT))
        luaL_error(L, "libcurl cannot start");
    started = true;
    dialogue *d = wait_new(L, size, cancel_dialogue, finish);
    d->commands = commands;
    d->reply_complete = true;
    for (int i = 0; i < DIALOGUE_MOST_SOCKETS; i++)
        d->sockets[i] = CURL_SOCKET_BAD;
    if (uv_mutex_init(&d->mutex))
        luaL_error(L, "out of memory");
    if (luaL_newmetatable(L, DIALOGUE_TYPE)) {
        lua_pushcfunction(L, dialogue_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    d->easy = curl_easy_init();
    if (!d->easy)
        luaL_error(L, "out of memory");
    set_options(d);
    return d;
}
