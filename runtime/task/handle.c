/* See handle.h. */
#include "task/handle.h"

#include <stdlib.h>

void handle_close(void *handle, uv_close_cb on_closed) {
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

static void free_handle(uv_handle_t *handle) {
    free(handle);
}

void handle_discard(void *handle) {
    if (handle)
        uv_close(handle, free_handle);
}
