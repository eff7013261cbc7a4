/* The editor on libedit; see line_editor.h. */
#define _GNU_SOURCE /* wcwidth */
#include "prompt/line_editor.h"

#include "base/clock.h"
#include "base/text.h"
#include "prompt/line_keys.h"
#include "prompt/line_search.h"
#include "report/terminal.h"
#include "task/interrupt.h"
#include "task/task.h"

#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#define MOST_REMEMBERED 2000
#define LONGEST_LINE 65536 /* characters */
#define ABOVE_MS 15        /* from one showing of lines above to the next */
#define ABOVE_MOST 65536   /* bytes that are gathered at most */
#define INVISIBLE L'\1'
#define END_OF_INPUT '\4' /* Ctrl-D */

static struct {
    EditLine *libedit;
    HistoryW *history;
    locale_t locale;
    line_keys keys;
    wchar_t key[LINE_KEY_ROOM]; /* the key that libedit is given, up to key_at */
    size_t key_length, key_at;
    wchar_t *label;
    struct termios cooked;
    text_buffer above;
    int64_t shown_at; /* when lines were shown above, in clock_milliseconds() */
    uv_timer_t gathering;
    uv_signal_t resized, stopped;
    line_outcome outcome;
    bool open, quoting, handles_made;
} editor;

/* libedit decodes, measures and prints characters by the locale of its caller. */
static locale_t enter_locale(void) {
    return uselocale(editor.locale);
}

/* ---- text, narrow and wide ---- */

static wchar_t *widened(const char *text) {
    size_t length = strlen(text);
    wchar_t *wide = calloc(length + 1, sizeof *wide);
    if (!wide)
        abort();
    mbstate_t state = {0};
    size_t used = 0;
    while (*text) {
        size_t taken = mbrtowc(&wide[used], text, length, &state);
        bool valid = taken != (size_t)-1 && taken != (size_t)-2 && taken > 0;
        if (!valid)
            state = (mbstate_t){0};
        taken = valid ? taken : 1;
        used += valid;
        text += taken;
        length -= taken;
    }
    wide[used] = L'\0';
    return wide;
}

static void add_wide(text_buffer *out, const wchar_t *from, const wchar_t *to) {
    for (mbstate_t state = {0}; from < to; from++) {
        char bytes[MB_LEN_MAX];
        size_t length = wcrtomb(bytes, *from, &state);
        if (length != (size_t)-1)
            text_add(out, bytes, length);
    }
}

/* ---- where the cursor is ---- */

typedef struct {
    int row, column, columns, rows;
} place;

static void next_row(place *at) {
    at->column = 0;
    if (at->row + 1 < at->rows)
        at->row++;
}

/* As libedit lays characters out: a wide one that does not fit goes to the next row as a whole. */
static void pass(place *at, int width) {
    if (at->column + width > at->columns)
        next_row(at);
    at->column += width;
    if (at->column >= at->columns)
        next_row(at);
}

static void pass_character(place *at, wchar_t c) {
    if (c == L'\n')
        next_row(at);
    else if (c == L'\t')
        do
            pass(at, 1);
        while (at->column & 7);
    else if (iswcntrl((wint_t)c))
        pass(at, 1), pass(at, 1); /* ^X */
    else
        pass(at, wcwidth(c) < 0 ? 0 : wcwidth(c));
}

static void measure(place *at) {
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 && size.ws_row > 0;
    *at = (place){.columns = known ? size.ws_col : 80, .rows = known ? size.ws_row : 24};
}

/* How many rows the cursor is below the first of the label. */
static int rows_above_cursor(void) {
    place at;
    measure(&at);
    const LineInfoW *line = el_wline(editor.libedit);
    bool visible = true;
    for (const wchar_t *c = line_search_label(editor.label); *c; c++) {
        if (*c == INVISIBLE)
            visible = !visible;
        else if (visible)
            pass_character(&at, *c);
    }
    for (const wchar_t *c = line->buffer; c < line->cursor; c++)
        pass_character(&at, *c);
    return at.row;
}

/* ---- drawing ---- */

/* Takes the line off the screen: it has to be as it was drawn. The cursor stands where its label began. */
static void lift_line(void) {
    text_buffer out = {0};
    int rows = rows_above_cursor();
    text_puts(&out, "\r");
    if (rows > 0)
        text_printf(&out, "\033[%dA", rows);
    text_puts(&out, "\033[J");
    terminal_write(stdout, out.text, out.length);
    text_free(&out);
}

/* Draws the line where the cursor stands. */
static void lay_line(void) {
    el_resize(editor.libedit);
    el_wset(editor.libedit, EL_REFRESH);
}

/* The terminal is in raw mode. */
static void write_lines(const char *lines, size_t length) {
    text_buffer out = {0};
    for (size_t i = 0; i < length; i++)
        text_add(&out, lines[i] == '\n' ? "\r\n" : &lines[i], lines[i] == '\n' ? 2 : 1);
    terminal_write(stdout, out.text, out.length);
    text_free(&out);
}

static void redraw(void) {
    locale_t before = enter_locale();
    lift_line();
    lay_line();
    uselocale(before);
}

static void show_gathered(uv_timer_t *timer) {
    (void)timer;
    if (!editor.open || editor.above.length == 0)
        return;
    locale_t before = enter_locale();
    lift_line();
    write_lines(editor.above.text, editor.above.length);
    lay_line();
    uselocale(before);
    text_clear(&editor.above);
    editor.shown_at = clock_milliseconds();
}

void line_editor_above(const char *bytes, size_t length) {
    text_add(&editor.above, bytes, length);
    if (length > 0 && bytes[length - 1] != '\n')
        text_puts(&editor.above, "\n");
    if (editor.above.length > ABOVE_MOST || clock_milliseconds() - editor.shown_at > ABOVE_MS)
        show_gathered(&editor.gathering);
    else if (!uv_is_active((uv_handle_t *)&editor.gathering))
        uv_timer_start(&editor.gathering, show_gathered, ABOVE_MS, 0);
}

/* ---- the terminal's modes ---- */

static void set_raw(bool raw) {
    el_wset(editor.libedit, EL_PREP_TERM, (int)raw);
    const char *sequence = raw ? LINE_PASTE_ON : LINE_PASTE_OFF;
    terminal_write(stdout, sequence, strlen(sequence));
}

static void on_resized(uv_signal_t *handle, int number) {
    (void)handle, (void)number;
    redraw();
}

/* Ctrl-Z: the shell gets a terminal as it likes it, and the line is drawn again afterwards. */
static void on_stopped(uv_signal_t *handle, int number) {
    (void)handle, (void)number;
    set_raw(false);
    kill(getpid(), SIGSTOP);
    set_raw(true);
    redraw();
}

/* The process stops at once. Async-signal-safe. */
static void restore_terminal(void) {
    if (editor.open)
        tcsetattr(STDIN_FILENO, TCSANOW, &editor.cooked);
}

static void make_handles(void) {
    uv_handle_t *handles[] = {(uv_handle_t *)&editor.gathering, (uv_handle_t *)&editor.resized,
                              (uv_handle_t *)&editor.stopped};
    uv_timer_init(task_loop(), &editor.gathering);
    uv_signal_init(task_loop(), &editor.resized);
    uv_signal_init(task_loop(), &editor.stopped);
    for (size_t i = 0; i < sizeof handles / sizeof *handles; i++)
        uv_unref(handles[i]);
    interrupt_on_abort(restore_terminal);
    editor.handles_made = true;
}

/* ---- libedit ---- */

/* Gives libedit the next character of the key; there is never a wait. */
static int next_character(EditLine *libedit, wchar_t *character) {
    (void)libedit;
    if (editor.key_at >= editor.key_length) {
        errno = EAGAIN;
        return -1;
    }
    *character = editor.key[editor.key_at++];
    return 1;
}

static wchar_t *give_label(EditLine *libedit) {
    (void)libedit;
    return line_search_label(editor.label);
}

static unsigned char on_enter(EditLine *libedit, int key) {
    (void)key;
    const LineInfoW *line = el_wline(libedit);
    editor.outcome = LINE_ENTERED;
    el_cursor(libedit, (int)(line->lastchar - line->cursor));
    return CC_REFRESH;
}

static unsigned char on_tab(EditLine *libedit, int key) {
    (void)libedit, (void)key;
    editor.outcome = LINE_COMPLETE;
    return CC_NORM;
}

static unsigned char on_delete(EditLine *libedit, int key) {
    (void)key;
    const LineInfoW *line = el_wline(libedit);
    if (line->cursor == line->lastchar)
        return CC_ERROR;
    el_cursor(libedit, 1);
    el_wdeletestr(libedit, 1);
    return CC_REFRESH;
}

static unsigned char on_end(EditLine *libedit, int key) {
    const LineInfoW *line = el_wline(libedit);
    if (line->buffer != line->lastchar)
        return on_delete(libedit, key);
    editor.outcome = LINE_ENDED;
    return CC_NORM;
}

static unsigned char on_search(EditLine *libedit, int key) {
    (void)key;
    line_search_begin(libedit, editor.history);
    return CC_REFRESH;
}

/* The next key is put into the line as it is. */
static unsigned char on_quote(EditLine *libedit, int key) {
    (void)libedit, (void)key;
    editor.quoting = true;
    return CC_NORM;
}

/* What reads further keys by itself in libedit is replaced or left out. */
static const struct {
    const wchar_t *key, *command;
} bindings[] = {
    {L"^M", L"hostler-enter"},       {L"^J", L"hostler-enter"},       {L"^I", L"hostler-complete"},
    {L"^D", L"hostler-end"},         {L"^R", L"hostler-search"},      {L"^S", L"hostler-search"},
    {L"^V", L"hostler-quote"},       {L"^Q", L"hostler-quote"},       {L"\033x", L"ed-unassigned"},
    {L"\033[3~", L"hostler-delete"}, {L"\033[A", L"ed-prev-history"}, {L"\033[B", L"ed-next-history"},
    {L"\033[C", L"ed-next-char"},    {L"\033[D", L"ed-prev-char"},    {L"\033OA", L"ed-prev-history"},
    {L"\033OB", L"ed-next-history"}, {L"\033OC", L"ed-next-char"},    {L"\033OD", L"ed-prev-char"},
    {L"\033[H", L"ed-move-to-beg"},  {L"\033[F", L"ed-move-to-end"},  {L"\033OH", L"ed-move-to-beg"},
    {L"\033OF", L"ed-move-to-end"},  {L"\033[1~", L"ed-move-to-beg"}, {L"\033[4~", L"ed-move-to-end"},
    {L"\033[7~", L"ed-move-to-beg"}, {L"\033[8~", L"ed-move-to-end"}, {L"\033[1;5C", L"em-next-word"},
    {L"\033[1;5D", L"ed-prev-word"}, {L"\033[1;3C", L"em-next-word"}, {L"\033[1;3D", L"ed-prev-word"},
    {L"^W", L"ed-delete-prev-word"}, {L"^P", L"ed-prev-history"},     {L"^N", L"ed-next-history"},
    {L"^U", L"vi-kill-line-prev"},
};

#define BINDING_COUNT (sizeof bindings / sizeof *bindings)

static void bind_keys(EditLine *libedit) {
    static const struct {
        const wchar_t *name;
        unsigned char (*function)(EditLine *, int);
    } commands[] = {
        {L"hostler-enter", on_enter},   {L"hostler-complete", on_tab}, {L"hostler-end", on_end},
        {L"hostler-search", on_search}, {L"hostler-quote", on_quote},  {L"hostler-delete", on_delete},
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        el_wset(libedit, EL_ADDFN, commands[i].name, L"see line_editor.c", commands[i].function);
    for (size_t i = 0; i < BINDING_COUNT; i++)
        el_wset(libedit, EL_BIND, bindings[i].key, bindings[i].command, NULL);
}

/* Its buffers grow when something is typed, but not when something is taken from the history: they are made
 * large at once. */
static void enlarge_buffers(EditLine *libedit) {
    wchar_t *blank = calloc(LONGEST_LINE + 1, sizeof *blank);
    if (!blank)
        abort();
    wmemset(blank, L' ', LONGEST_LINE);
    el_winsertstr(libedit, blank);
    el_wdeletestr(libedit, LONGEST_LINE);
    free(blank);
}

static bool open_libedit(void) {
    HistEventW event;
    editor.libedit = el_init("hostler", stdin, stdout, stderr);
    editor.history = history_winit();
    if (!editor.libedit || !editor.history)
        return false;
    history_w(editor.history, &event, H_SETSIZE, MOST_REMEMBERED);
    history_w(editor.history, &event, H_SETUNIQUE, 1);
    el_wset(editor.libedit, EL_EDITOR, L"emacs");
    el_wset(editor.libedit, EL_HIST, history_w, editor.history);
    el_wset(editor.libedit, EL_GETCFN, next_character);
    el_wset(editor.libedit, EL_PROMPT_ESC, give_label, (int)INVISIBLE);
    bind_keys(editor.libedit);
    enlarge_buffers(editor.libedit);
    return true;
}

static bool open_editor(void) {
    if (editor.libedit)
        return true;
    editor.locale = newlocale(LC_CTYPE_MASK, terminal_shows_unicode() ? "C.UTF-8" : "C", (locale_t)0);
    if (!editor.locale || tcgetattr(STDIN_FILENO, &editor.cooked))
        return false;
    locale_t before = enter_locale();
    bool ok = open_libedit();
    uselocale(before);
    if (ok && !editor.handles_made)
        make_handles();
    return ok;
}

/* ---- keys ---- */

/* A sequence that is bound to nothing would be taken apart, and its end typed. */
static bool is_known(const wchar_t *key) {
    if (key[0] != L'\033' || (key[1] != L'[' && key[1] != L'O'))
        return true;
    for (size_t i = 0; i < BINDING_COUNT; i++)
        if (wcscmp(bindings[i].key, key) == 0)
            return true;
    return false;
}

static void insert(const wchar_t *text) {
    lift_line();
    el_winsertstr(editor.libedit, text);
    lay_line();
}

static void give_key(const wchar_t *key) {
    const LineInfoW *line = el_wline(editor.libedit);
    if (editor.quoting) {
        editor.quoting = false;
        insert((wchar_t[]){key[0], L'\0'});
        return;
    }
    if (!is_known(key) || line->lastchar - line->buffer >= LONGEST_LINE)
        return;
    editor.key_length = wcslen(wcsncpy(editor.key, key, LINE_KEY_ROOM - 1));
    editor.key_at = 0;
    int count;
    el_wgets(editor.libedit, &count);
    editor.key_length = 0;
}

static void take_key(const char *bytes) {
    wchar_t *key = widened(bytes);
    bool taken = false;
    if (line_search_is_on()) {
        lift_line();
        taken = line_search_take(editor.libedit, key);
        lay_line();
    }
    if (!taken)
        give_key(key);
    free(key);
}

static void take_paste(const char *text) {
    wchar_t *wide = widened(text);
    const LineInfoW *line = el_wline(editor.libedit);
    if (line->lastchar - line->buffer + (ptrdiff_t)wcslen(wide) < LONGEST_LINE)
        insert(wide);
    else
        el_beep(editor.libedit);
    free(wide);
}

line_outcome line_editor_take(char byte) {
    locale_t before = enter_locale();
    editor.outcome = LINE_GOES_ON;
    /* A Ctrl-D that was typed while something ran, in the terminal's other mode, comes as a zero. */
    switch (line_keys_take(&editor.keys, byte ? byte : END_OF_INPUT)) {
    case KEY_TYPED:
        take_key(editor.keys.key);
        break;
    case KEY_PASTED:
        take_paste(editor.keys.pasted.text ? editor.keys.pasted.text : "");
        break;
    case KEY_UNFINISHED:
        break;
    }
    uselocale(before);
    return editor.outcome;
}

/* ---- a line from its beginning to its end ---- */

bool line_editor_begin(const char *label) {
    if (editor.open)
        return true;
    if (!open_editor())
        return false;
    locale_t before = enter_locale();
    free(editor.label);
    editor.label = widened(label);
    fflush(stdout);
    el_wset(editor.libedit, EL_UNBUFFERED, 1);
    set_raw(true);
    uselocale(before);
    editor.open = true;
    terminal_set_above(line_editor_above);
    uv_signal_start(&editor.resized, on_resized, SIGWINCH);
    uv_signal_start(&editor.stopped, on_stopped, SIGTSTP);
    return true;
}

void line_editor_end(const char *last_words) {
    if (!editor.open)
        return;
    uv_timer_stop(&editor.gathering);
    show_gathered(&editor.gathering);
    uv_signal_stop(&editor.resized);
    uv_signal_stop(&editor.stopped);
    terminal_set_above(NULL);
    locale_t before = enter_locale();
    const LineInfoW *line = el_wline(editor.libedit);
    lift_line();
    line_search_end();
    el_cursor(editor.libedit, (int)(line->lastchar - line->cursor));
    lay_line();
    terminal_write(stdout, last_words, strlen(last_words));
    terminal_write(stdout, "\r\n", 2);
    el_wset(editor.libedit, EL_UNBUFFERED, 0);
    set_raw(false);
    uselocale(before);
    editor.open = editor.quoting = false;
}

char *line_editor_text(size_t *cursor) {
    text_buffer text = {0};
    text_add(&text, "", 0);
    if (editor.open) {
        locale_t before = enter_locale();
        const LineInfoW *line = el_wline(editor.libedit);
        add_wide(&text, line->buffer, line->cursor);
        *cursor = text.length;
        add_wide(&text, line->cursor, line->lastchar);
        uselocale(before);
    }
    return text.text;
}

void line_editor_insert(const char *text) {
    if (!editor.open)
        return;
    locale_t before = enter_locale();
    take_paste(text);
    uselocale(before);
}

void line_editor_remember(const char *line) {
    HistEventW event;
    if (!open_editor())
        return;
    locale_t before = enter_locale();
    wchar_t *wide = widened(line);
    if (wcslen(wide) < LONGEST_LINE / 2)
        history_w(editor.history, &event, H_ENTER, wide);
    free(wide);
    uselocale(before);
}
