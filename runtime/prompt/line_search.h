/* Ctrl-R: the search in the history while its words are typed. libedit's own waits for keys, and cannot be
 * used on a loop. */
#ifndef HOSTLER_PROMPT_LINE_SEARCH_H
#define HOSTLER_PROMPT_LINE_SEARCH_H

#include <histedit.h>
#include <stdbool.h>

void line_search_begin(EditLine *libedit, HistoryW *history);
bool line_search_is_on(void);

/* Takes a key. False: the search is over, and the key is for the line that was found. */
bool line_search_take(EditLine *libedit, const wchar_t *key);

void line_search_end(void);

/* What stands before the line: during a search its words, else the label given. */
wchar_t *line_search_label(wchar_t *label);

#endif
