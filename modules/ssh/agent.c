/* The agent's client; see agent.h. */
#include "ssh/agent.h"

#include "task/handle.h"
#include "task/task.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LARGEST_REPLY (256 * 1024) /* what OpenSSH's agent allows itself */
#define REQUEST_IDENTITIES 11
#define REQUEST_SIGN 13
#define SIGN_RSA_SHA2_256 2
#define SIGN_RSA_SHA2_512 4

typedef struct request request;
struct request {
    request *next;
    ssh_buffer message; /* what is left to send */
    agent_reply *done;  /* NULL when nobody waits any more */
    void *context;
};

struct ssh_agent {
    ssh_agent *next;
    char *path;
    int fd;
    uv_poll_t *poll; /* NULL while not connected */
    request *queue;  /* the first one is sent or being sent, the others wait for its reply */
    ssh_buffer reply;
    char problem[128];
};

static ssh_agent *agents;

static void finish(request *r, unsigned char type, const unsigned char *data, size_t length) {
    if (r->done)
        r->done(r->context, type, data, length);
    buffer_free(&r->message);
    free(r);
}

static void disconnect(ssh_agent *agent) {
    if (!agent->poll)
        return;
    handle_discard(agent->poll);
    close(agent->fd);
    agent->poll = NULL;
    buffer_free(&agent->reply);
}

/* The connection is of no more use: what was asked fails, and the next request connects anew. */
static void give_up(ssh_agent *agent, const char *problem) {
    snprintf(agent->problem, sizeof agent->problem, "%s", problem);
    disconnect(agent);
    request *failed = agent->queue;
    agent->queue = NULL;
    while (failed) {
        request *next = failed->next;
        finish(failed, 0, NULL, 0);
        failed = next;
    }
}

/* Takes a whole reply from what has been read. Returns false when there is none, or the agent was given up.
 */
static bool take_reply(ssh_agent *agent) {
    wire_reader reader = {(unsigned char *)agent->reply.data, agent->reply.length, false};
    uint32_t length = wire_u32(&reader);
    if (!reader.bad && (length == 0 || length > LARGEST_REPLY || !agent->queue)) {
        give_up(agent, "it does not speak the agent protocol");
        return false;
    }
    if (reader.bad || reader.left < length)
        return false;
    request *first = agent->queue;
    agent->queue = first->next;
    finish(first, reader.at[0], reader.at + 1, length - 1);
    buffer_drop(&agent->reply, 4 + length);
    return true;
}

static void read_replies(ssh_agent *agent) {
    char bytes[16 * 1024];
    ssize_t count = recv(agent->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count <= 0) {
        give_up(agent, count == 0 ? "it closed the connection" : strerror(errno));
        return;
    }
    buffer_add(&agent->reply, bytes, (size_t)count);
    while (take_reply(agent))
        ;
}

static void on_ready(uv_poll_t *poll, int status, int events);

/* Sends the first request as far as the socket takes it, and watches for what comes next. */
static void advance(ssh_agent *agent) {
    ssh_buffer *message = agent->queue ? &agent->queue->message : NULL;
    if (message && message->length > 0) {
        ssize_t sent = send(agent->fd, message->data, message->length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            give_up(agent, strerror(errno));
            return;
        }
        buffer_drop(message, sent > 0 ? (size_t)sent : 0);
    }
    uv_poll_start(agent->poll, message && message->length ? UV_READABLE | UV_WRITABLE : UV_READABLE,
                  on_ready);
    if (agent->queue)
        uv_ref((uv_handle_t *)agent->poll);
    else
        uv_unref((uv_handle_t *)agent->poll);
}

static void on_ready(uv_poll_t *poll, int status, int events) {
    ssh_agent *agent = poll->data;
    if (status < 0)
        give_up(agent, uv_strerror(status));
    else if (events & UV_READABLE)
        read_replies(agent);
    if (agent->poll)
        advance(agent);
}

/* Connecting to a local socket does not wait: it succeeds or fails at once. */
static bool connect_agent(ssh_agent *agent) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (agent->poll)
        return true;
    if (strlen(agent->path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    strcpy(address.sun_path, agent->path);
    agent->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (agent->fd < 0)
        return false;
    uv_poll_t *poll = malloc(sizeof *poll);
    if (!poll)
        abort();
    if (connect(agent->fd, (struct sockaddr *)&address, sizeof address) ||
        uv_poll_init(task_loop(), poll, agent->fd)) {
        int problem = errno;
        close(agent->fd);
        free(poll);
        errno = problem;
        return false;
    }
    poll->data = agent;
    agent->poll = poll;
    agent->problem[0] = '\0';
    return true;
}

static void ask(ssh_agent *agent, ssh_buffer message, agent_reply *done, void *context) {
    request *r = calloc(1, sizeof *r);
    if (!r)
        abort();
    r->message = message;
    r->done = done;
    r->context = context;
    request **last = &agent->queue;
    while (*last)
        last = &(*last)->next;
    *last = r;
    if (!connect_agent(agent))
        give_up(agent, strerror(errno));
    else if (agent->queue == r)
        advance(agent);
}

ssh_agent *agent_at(const char *path) {
    for (ssh_agent *known = agents; known; known = known->next)
        if (strcmp(known->path, path) == 0)
            return known;
    ssh_agent *agent = calloc(1, sizeof *agent);
    if (!agent || !(agent->path = strdup(path)))
        abort();
    agent->next = agents;
    agents = agent;
    return agent;
}

void agent_list(ssh_agent *agent, agent_reply *done, void *context) {
    ssh_buffer message = {NULL, 0, 0};
    buffer_add_string(&message, (char[]){REQUEST_IDENTITIES}, 1);
    ask(agent, message, done, context);
}

void agent_sign(ssh_agent *agent, const char *algorithm, const void *blob, size_t blob_length,
                const void *data, size_t length, agent_reply *done, void *context) {
    uint32_t flags = strncmp(algorithm, "rsa-sha2-512", 12) == 0   ? SIGN_RSA_SHA2_512
                     : strncmp(algorithm, "rsa-sha2-256", 12) == 0 ? SIGN_RSA_SHA2_256
                                                                   : 0;
    ssh_buffer body = {NULL, 0, 0}, message = {NULL, 0, 0};
    buffer_add(&body, (char[]){REQUEST_SIGN}, 1);
    buffer_add_string(&body, blob, blob_length);
    buffer_add_string(&body, data, length);
    buffer_add_u32(&body, flags);
    buffer_add_string(&message, body.data, body.length);
    buffer_free(&body);
    ask(agent, message, done, context);
}

void agent_forget(void *context) {
    for (ssh_agent *agent = agents; agent; agent = agent->next)
        for (request *r = agent->queue; r; r = r->next)
            if (r->context == context)
                r->done = NULL;
}

const char *agent_problem(const ssh_agent *agent) {
    return agent->problem;
}

void agents_close(void) {
    while (agents) {
        ssh_agent *agent = agents;
        agents = agent->next;
        give_up(agent, "hostler ends");
        free(agent->path);
        free(agent);
    }
}
