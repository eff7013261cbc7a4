/* Pages for people, fitted to the width of their screen. */
#ifndef HOSTLER_BASE_FIT_H
#define HOSTLER_BASE_FIT_H

#include "base/text.h"

/* Adds the text, its lines broken at blanks where they take more than this many columns. What goes on in the
 * next line begins below the last part of the first: behind its last gap of two blanks or more, where that
 * lies in the left two thirds, else a step further in than the line. A word that is wider than what is left
 * stays whole. */
void fit_lines(text_buffer *b, const char *text, size_t columns);

#endif
