/* Closing handles of libuv. */
#ifndef HOSTLER_TASK_HANDLE_H
#define HOSTLER_TASK_HANDLE_H

#include <uv.h>

/* Closes the handle, a uv_timer_t or another kind, unless that has begun already. */
void handle_close(void *handle, uv_close_cb on_closed);

/* Closes a handle that was allocated on its own, and frees it: libuv uses its memory for a while yet. NULL
 * does nothing. Its callbacks are not called any more. */
void handle_discard(void *handle);

#endif
