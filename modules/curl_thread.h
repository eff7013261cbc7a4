/* A transfer of libcurl's on a thread of its own: for protocols that are a dialogue of lines, SMTP and FTP.
 *
 * libcurl blocks in these, waiting for a server's last words. It also says only that something was refused,
 * so the dialogue is watched: the last command that is no secret, and the last answer. Used so:
 *   1. t = curl_thread_new(L, sizeof *mine, finish, commands)   pushes the userdata; its first member is a
 *                                                               curl_thread
 *   2. set options on t->easy
 *   3. return curl_thread_park(L, t)                            with the userdata on top of the stack
 *   4. finish(L, wait) finds t->result and t->problem, t->command and t->reply
 * A userdata that owns more memory sets t->release. */
#ifndef HOSTLER_CURL_THREAD_H
#define HOSTLER_CURL_THREAD_H

#include "task/task.h"

#include <curl/curl.h>
#include <stdatomic.h>

#define CURL_THREAD_LONGEST_REPLY 2048
#define CURL_THREAD_MOST_SOCKETS 8

typedef struct curl_thread curl_thread;

struct curl_thread {
    wait wait;
    CURL *easy;
    CURLcode result;
    char problem[CURL_ERROR_SIZE];
    char command[16];                      /* the last one sent of those known by name */
    char reply[CURL_THREAD_LONGEST_REPLY]; /* the server's last answer, its lines parted by newlines */
    void (*on_command)(curl_thread *, const char *data, size_t size); /* sees each command as it is sent; may
                                                                      be NULL. Runs on the thread. */
    void (*release)(curl_thread *); /* frees what the userdata owns besides; may be NULL */

    /* The rest is curl_thread.c's own. */
    const char *const *commands;
    uv_thread_t thread;
    uv_async_t *ended; /* malloc'ed: its closing outlives a raise */
    uv_mutex_t mutex;  /* over sockets, which a cancellation shuts down */
    atomic_bool stopped;
    curl_socket_t sockets[CURL_THREAD_MOST_SOCKETS]; /* those open, and CURL_SOCKET_BAD */
    size_t reply_length;
    bool reply_complete, left;
};

/* Pushes a zeroed userdata of `size` bytes. `commands` ends with NULL and names the commands to remember:
 * what is not in it, such as a login's second half, leaves no trace. */
void *curl_thread_new(lua_State *L, size_t size, int (*finish)(lua_State *, wait *),
                      const char *const *commands);

/* Starts the transfer and parks the task until it ends. A cancellation ends it at once. */
int curl_thread_park(lua_State *L, curl_thread *t);

/* True when this was the last command. */
bool curl_thread_was(const curl_thread *t, const char *command);

/* The number that the server's last answer begins with, or 0. */
int curl_thread_status(const curl_thread *t);

#endif
