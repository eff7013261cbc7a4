/* Programs that end with this process, also when it gets SIGKILL, together with all that they began.
 *
 * Each has a guardian between it and this process. What a program begins and does not wait for becomes the
 * guardian's child, also in a session of its own; so it finds all of it when this process is gone. It ends as
 * the program did, once nothing is left of what that began, or it is told that this may stay. When somebody
 * kills the guardian, the kernel kills the program. */
#ifndef HOSTLER_TASK_GUARD_H
#define HOSTLER_TASK_GUARD_H

#include <sys/types.h>
#include <uv.h>

typedef struct guarded guarded;

/* uv_spawn of a program in a session, and so a process group, of its own: sets UV_PROCESS_DETACHED. `process`
 * is its guardian. Returns 0, and what to free with guard_free, or a libuv error and NULL. */
int guard_spawn(uv_loop_t *loop, uv_process_t *process, uv_process_options_t *options, guarded **program);

/* SIGTERM to the program's group, and to what has left the program; nothing of it may stay. */
void guard_stop(const uv_process_t *process);

/* SIGKILL to the program and all that it began. */
void guard_kill(const uv_process_t *process);

/* What the program leaves when it ends may stay. */
void guard_release(const uv_process_t *process);

/* For the exit callback of the guardian. */
void guard_free(guarded *program);

#endif
