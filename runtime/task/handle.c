/* See handle.h. */
#include "task/handle.h"

#include <stdlib.h>
#include <uv.h>

static void free_handle(uv_handle_t *handle) {
    free(handle);
}

void handle_discard(void *handle) {
    if (handle)
        uv_close(handle, free_handle);
}
