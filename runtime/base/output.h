/* Standard output that is lost must not look like success. Why a write failed is known only at that moment:
 * whoever writes lines there ends them with output_flush, which keeps the reason until the process ends. */
#ifndef HOSTLER_BASE_OUTPUT_H
#define HOSTLER_BASE_OUTPUT_H

#include <stdio.h>

/* Passes on what was written to a stream. */
void output_flush(FILE *out);

/* The errno of the first write to standard output that failed; 0 when none did. Flushes it first. */
int output_error(void);

#endif
