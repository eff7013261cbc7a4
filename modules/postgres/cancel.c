/* Asking a server to stop; see cancel.h. PQcancel opens a connection of its own and blocks, so it runs in a
 * thread. */
#include "postgres/cancel.h"

#include "task/task.h"

#include <stdlib.h>

struct pg_cancel {
    uv_work_t work;
    PGcancel *cancel;
    void (*sent)(void *data); /* NULL once nobody waits */
    void *data;
};

static void send_cancel(uv_work_t *work) {
    char problem[256]; /* not needed: who is not heard waits no longer than for an answer */
    PQcancel(((pg_cancel *)work)->cancel, problem, sizeof problem);
}

static void on_cancel_sent(uv_work_t *work, int status) {
    (void)status;
    pg_cancel *request = (pg_cancel *)work;
    PQfreeCancel(request->cancel);
    if (request->sent)
        request->sent(request->data);
    free(request);
}

pg_cancel *pg_cancel_send(PGconn *link, void (*sent)(void *data), void *data) {
    pg_cancel *request = calloc(1, sizeof *request);
    if (!request)
        abort();
    request->cancel = PQgetCancel(link);
    request->sent = sent;
    request->data = data;
    uv_queue_work(task_loop(), &request->work, send_cancel, on_cancel_sent);
    return request;
}

void pg_cancel_forget(pg_cancel *request) {
    request->sent = NULL;
}
