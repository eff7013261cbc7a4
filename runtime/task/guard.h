/* Process groups that end with this process, also when it gets SIGKILL.
 *
 * A guardian, which this process forks when it first needs one, holds the other end of a pipe. A program
 * tells it its number before it becomes the program; so nothing that was begun is missed. When the pipe ends,
 * because this process is gone, the guardian kills the groups that it knows of and ends. */
#ifndef HOSTLER_TASK_GUARD_H
#define HOSTLER_TASK_GUARD_H

#include <sys/types.h>
#include <uv.h>

/* uv_spawn of a program in a session, and so a process group, of its own, which ends with this process: sets
 * UV_PROCESS_DETACHED. Returns 0 or a libuv error. */
int guard_spawn(uv_loop_t *loop, uv_process_t *process, uv_process_options_t *options);

/* Forks the guardian already, so that it is there before anything else is. Returns 0 or a libuv error. */
int guard_begin(void);

/* Nobody is left of the group, or whoever is may stay. */
void guard_release(pid_t group);

#endif
