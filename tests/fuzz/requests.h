/* Hostile requests for the HTTP server's reader. */
#ifndef HOSTLER_FUZZ_REQUESTS_H
#define HOSTLER_FUZZ_REQUESTS_H

/* Makes one of `random_below(limit)` and reads it, as a whole and in pieces. Aborts when a rule is broken. */
void requests_check(unsigned (*random_below)(unsigned limit));

#endif
