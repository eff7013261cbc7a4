/* Handles of libuv that were allocated on their own: libuv uses their memory until they are closed, which is
 * later than whoever asked for it may be there. */
#ifndef HOSTLER_TASK_HANDLE_H
#define HOSTLER_TASK_HANDLE_H

/* Closes the handle, a uv_timer_t or another kind, and frees it then. NULL does nothing. Its callbacks are
 * not called any more. */
void handle_discard(void *handle);

#endif
