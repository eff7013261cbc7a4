/* What happens while somebody works at a prompt: what is said, how items and steps end, what is waited for.
 * With verbosity 2, as `:trace on` has it, every effect with its time. A script at a pipe (verbosity -1) gets
 * only what is said. */
#include "base/text.h"
#include "report/reports.h"
#include "report/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    report face;
    FILE *out;
    int verbosity;
    bool colour;
} prompt_report;

static void print(prompt_report *p, text_buffer *line) {
    text_puts(line, "\n");
    terminal_print(p->out, line->text, line->length);
    text_free(line);
}

static void add_styled(text_buffer *line, text_style_name style, const char *text) {
    text_style(line, style);
    text_visible(line, text ? text : "");
    text_style(line, STYLE_NONE);
}

static void add_time(text_buffer *line, double seconds) {
    text_style(line, STYLE_DIM);
    text_puts(line, "  ");
    text_duration(line, seconds, false);
    text_style(line, STYLE_NONE);
}

/* The lines of what is said, as they are; a warning has a mark before its first. */
static void print_words(prompt_report *p, const event *e) {
    char *copy = strdup(e->text ? e->text : ""), *rest = copy;
    if (!copy)
        abort();
    size_t length = strlen(copy);
    if (length > 0 && copy[length - 1] == '\n')
        copy[length - 1] = '\0';
    bool first = true;
    for (char *part; (part = strsep(&rest, "\n")); first = false) {
        text_buffer line = {.colour = p->colour};
        if (e->type == EVENT_WARN)
            add_styled(&line, STYLE_YELLOW, first ? "! " : "  ");
        text_visible(&line, part);
        print(p, &line);
    }
    free(copy);
}

/* "done web1  3.2s", "failed create droplet: no room  0.1s" */
static void print_end(prompt_report *p, const event *e) {
    bool failed = e->status && strcmp(e->status, "done") != 0;
    text_buffer line = {.colour = p->colour};
    add_styled(&line, failed ? STYLE_RED : STYLE_GREEN, e->status ? e->status : "done");
    text_puts(&line, " ");
    text_visible(&line, e->name ? e->name : "");
    if (e->text && *e->text) {
        text_puts(&line, ": ");
        text_visible(&line, e->text);
    }
    add_time(&line, e->seconds);
    print(p, &line);
}

/* "read  ssh.run ada.meltanodata.com  uptime  0.03s" */
static void print_effect(prompt_report *p, const event *e) {
    text_buffer line = {.colour = p->colour};
    bool writes = e->kind && strcmp(e->kind, "write") == 0;
    add_styled(&line, writes ? STYLE_YELLOW : STYLE_DIM, e->kind ? e->kind : "effect");
    text_puts(&line, writes ? " " : "  ");
    text_visible(&line, e->name ? e->name : "");
    text_puts(&line, " ");
    text_visible(&line, e->target ? e->target : "");
    text_puts(&line, "  ");
    text_visible(&line, e->text ? e->text : "");
    if (e->status && strcmp(e->status, "done") != 0) {
        text_puts(&line, "  ");
        add_styled(&line, STYLE_RED, e->status);
    }
    add_time(&line, e->seconds);
    print(p, &line);
}

static void print_wait(prompt_report *p, const event *e) {
    text_buffer line = {.colour = p->colour};
    text_style(&line, STYLE_DIM);
    text_puts(&line, "waiting for ");
    text_visible(&line, e->text ? e->text : "");
    text_style(&line, STYLE_NONE);
    print(p, &line);
}

static void show(report *r, const event *e) {
    prompt_report *p = (prompt_report *)r;
    /* A step of the prompt's own only holds what was typed. */
    bool own = e->kind && strcmp(e->kind, "prompt") == 0;
    switch (e->type) {
    case EVENT_SAY:
    case EVENT_WARN:
        print_words(p, e);
        break;
    case EVENT_STEP_END:
    case EVENT_ITEM_END:
        if (p->verbosity >= 0 && !own)
            print_end(p, e);
        break;
    case EVENT_EFFECT_END:
        if (p->verbosity >= 2)
            print_effect(p, e);
        break;
    case EVENT_WAIT:
        if (p->verbosity >= 0 && e->count == 1 && !e->status)
            print_wait(p, e);
        break;
    default:
        break;
    }
}

static void close_report(report *r) {
    free(r);
}

report *report_prompt_new(FILE *out, int verbosity) {
    prompt_report *p = calloc(1, sizeof *p);
    if (!p)
        abort();
    p->face = (report){.event = show, .close = close_report};
    p->out = out;
    p->verbosity = verbosity;
    p->colour = isatty(fileno(out)) && terminal_wants_colour();
    return &p->face;
}
