/* The search in the history; see line_search.h. */
#include "prompt/line_search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define LONGEST_WORDS 64
#define CTRL(letter) ((letter)&0x1f)

static struct {
    bool on, failed;
    HistoryW *history;
    wchar_t words[LONGEST_WORDS + 1];
    wchar_t label[LONGEST_WORDS + 32];
    wchar_t *before; /* the line when the search began */
    int skipped;     /* matches that Ctrl-R has passed */
} search;

wchar_t *line_search_label(wchar_t *label) {
    if (!search.on)
        return label;
    swprintf(search.label, sizeof search.label / sizeof *search.label, L"(%lssearch '%ls') ",
             search.failed ? L"failed " : L"", search.words);
    return search.label;
}

static void set_line(EditLine *libedit, const wchar_t *text) {
    const LineInfoW *line = el_wline(libedit);
    el_cursor(libedit, (int)(line->lastchar - line->cursor));
    el_wdeletestr(libedit, (int)(line->lastchar - line->buffer));
    el_winsertstr(libedit, text);
}

/* The newest line that holds the words, after so many others; NULL when there is none. */
static const wchar_t *find(int skipped) {
    HistEventW event;
    for (int more = history_w(search.history, &event, H_FIRST); more >= 0;
         more = history_w(search.history, &event, H_NEXT))
        if (wcsstr(event.str, search.words) && skipped-- == 0)
            return event.str;
    return NULL;
}

static void look(EditLine *libedit) {
    const wchar_t *found = search.words[0] ? find(search.skipped) : search.before;
    search.failed = !found;
    if (found)
        set_line(libedit, found);
}

void line_search_begin(EditLine *libedit, HistoryW *history) {
    const LineInfoW *line = el_wline(libedit);
    size_t length = (size_t)(line->lastchar - line->buffer);
    search.before = calloc(length + 1, sizeof *search.before);
    if (!search.before)
        abort();
    wmemcpy(search.before, line->buffer, length);
    search.history = history;
    search.words[0] = L'\0';
    search.skipped = 0;
    search.failed = false;
    search.on = true;
}

void line_search_end(void) {
    free(search.before);
    search.before = NULL;
    search.on = false;
}

static void change_words(EditLine *libedit, wchar_t key) {
    size_t length = wcslen(search.words);
    if (key == CTRL('h') || key == 0x7f)
        length -= length > 0;
    else if (length < LONGEST_WORDS)
        search.words[length++] = key;
    search.words[length] = L'\0';
    search.skipped = 0;
    look(libedit);
}

bool line_search_is_on(void) {
    return search.on;
}

bool line_search_take(EditLine *libedit, const wchar_t *key) {
    if (key[0] == CTRL('r')) {
        search.skipped += !search.failed && search.words[0];
        look(libedit);
    } else if (key[0] == CTRL('g')) {
        set_line(libedit, search.before);
        line_search_end();
    } else if (key[0] >= 0x20 || key[0] == CTRL('h')) {
        change_words(libedit, key[0]);
    } else {
        line_search_end();
        return false;
    }
    return true;
}
