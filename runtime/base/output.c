/* See output.h. */
#include "base/output.h"

#include <errno.h>

static int first_error;

void output_flush(FILE *out) {
    if ((fflush(out) == 0 && !ferror(out)) || out != stdout || first_error)
        return;
    first_error = errno ? errno : EIO;
}

int output_error(void) {
    output_flush(stdout);
    return first_error;
}
