/* One question to c-ares, driven by the loop: its channel, its sockets and its time.
 *
 * Each question has a channel of its own: its time limit and its end concern nobody else, and it leaves from
 * a fresh port. Used so:
 *   1. status = ares_question_open(&q, &options, mask, milliseconds, ended, data)
 *   2. ares_query(ares_question_channel(q), ..., answered, ...) or another of c-ares's questions
 *   3. ares_question_start(q)
 *   4. answered(...) keeps the answer if ares_question_settle(q) says so: c-ares also calls back when the
 *      channel is closed
 *   5. ended(data) is called once, from the loop: after the answer, or when the time is over without one */
#ifndef HOSTLER_ARES_LOOP_H
#define HOSTLER_ARES_LOOP_H

#include <ares.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct ares_question ares_question;

/* `options` and `mask` are those of ares_init_options; the callback for sockets is set here. Returns c-ares's
 * status; unless it is ARES_SUCCESS nothing was made. */
int ares_question_open(ares_question **made, struct ares_options *options, int mask, uint64_t milliseconds,
                       void (*ended)(void *data), void *data);

ares_channel ares_question_channel(const ares_question *q);

/* Lets it go on; its time begins. */
void ares_question_start(ares_question *q);

/* To be asked by the callback that c-ares calls with an answer: true when it is the question's, false when it
 * is the closing channel's. */
bool ares_question_settle(ares_question *q);

/* Ends it at once: `ended` will not be called. Not to be called from c-ares's callbacks, nor after `ended`.
 */
void ares_question_close(ares_question *q);

#endif
