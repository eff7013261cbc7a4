/* See worker_process.h. What a world does is in worker_process.lua; here is what stays from one to the next:
 * the process with its libraries, and the connection to the journal.
 *
 * A run must not meet what one before it left behind. What belongs to a world goes with it (host_close), the
 * working directory is what it was, and a playbook can change nothing else of a process; where descriptors,
 * threads, programs or memory are left all the same, this process ends, and the worker starts another one. */
#define _GNU_SOURCE /* O_PATH */
#include "command/worker_process.h"

#include "base/footprint.h"
#include "base/output.h"
#include "host.h"
#include "journal/journal.h"

#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

#define CONNECTION 3
#define MOST_RUNS 1000
#define MOST_GROWTH ((size_t)64 << 20) /* bytes of memory */

static bool is_as_before(const footprint *before) {
    footprint now = footprint_now();
    return now.descriptors == before->descriptors + journal_kept_descriptors() &&
           now.threads == before->threads && now.children == before->children &&
           now.resident < before->resident + MOST_GROWTH && !output_error();
}

/* Whether another run may follow. */
static bool go_through_one(void) {
    lua_State *L = host_open();
    int status = host_call(L, "command/worker_process", "main", 0);
    host_close(L);
    return status == 0;
}

int worker_process_main(void) {
    fcntl(CONNECTION, F_SETFD, FD_CLOEXEC);
    int home = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    journal_keep_connection(true);
    host_close(host_open()); /* what libraries open once for all worlds */
    footprint before = footprint_now();
    for (int runs = 0; runs < MOST_RUNS; runs++)
        if (!go_through_one() || !is_as_before(&before) || fchdir(home))
            break;
    journal_keep_connection(false);
    close(home);
    return 0;
}
