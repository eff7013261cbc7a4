/* Transfers in protocols that are a dialogue of lines: SMTP, FTP.
 *
 * libcurl blocks in these, waiting for a server's last words, so each runs on a thread of its own. It also
 * says only that something was refused, so the dialogue is watched: the last command that is no secret, and
 * the last answer. Used so:
 *   1. d = dialogue_new(L, sizeof *mine, finish, commands)   pushes the userdata; its first member is a
 * dialogue
 *   2. dialogue_set_server(d, ...), and set options on d->easy
 *   3. return dialogue_park(L, d)                            with the userdata on top of the stack
 *   4. finish(L, wait) finds d->result and d->problem, d->command and d->reply
 * A userdata that owns more memory sets d->release. */
#ifndef HOSTLER_DIALOGUE_H
#define HOSTLER_DIALOGUE_H

#include "curl_names.h"
#include "task/task.h"

#include <stdatomic.h>

#define DIALOGUE_LONGEST_REPLY 2048
#define DIALOGUE_MOST_SOCKETS 8

typedef struct dialogue dialogue;

struct dialogue {
    wait wait;
    CURL *easy;
    CURLcode result;
    char problem[CURL_ERROR_SIZE];
    char command[16];                   /* the last one sent of those known by name */
    char reply[DIALOGUE_LONGEST_REPLY]; /* the server's last answer, its lines parted by newlines */
    void (*on_command)(dialogue *, const char *data, size_t size); /* sees each command as it is sent; may be
                                                                      NULL. Runs on the thread. */
    void (*release)(dialogue *); /* frees what the userdata owns besides; may be NULL */

    curl_names names; /* names.problem says why the server's name has no address */

    /* The rest is curl_thread.c's own. */
    curl_place server;
    const char *const *commands;
    uv_thread_t thread;
    uv_async_t *ended; /* malloc'ed: its closing outlives a raise */
    uv_mutex_t mutex;  /* over sockets, which a cancellation shuts down */
    atomic_bool stopped;
    curl_socket_t sockets[DIALOGUE_MOST_SOCKETS]; /* those open, and CURL_SOCKET_BAD */
    size_t reply_length;
    bool reply_complete, left;
};

/* Pushes a zeroed userdata of `size` bytes. `commands` ends with NULL and names the commands to remember:
 * what is not in it, such as a login's second half, leaves no trace. */
void *dialogue_new(lua_State *L, size_t size, int (*finish)(lua_State *, wait *),
                   const char *const *commands);

/* Whom to speak to, and how long it may take, in milliseconds, to connect and as a whole. */
void dialogue_set_server(dialogue *d, const char *url, long connect_time, long whole_time);

/* Starts the transfer and parks the task until it ends. A cancellation ends it at once. */
int dialogue_park(lua_State *L, dialogue *d);

/* True when this was the last command. */
bool dialogue_was(const dialogue *d, const char *command);

/* The number that the server's last answer begins with, or 0. */
int dialogue_status(const dialogue *d);

#endif
