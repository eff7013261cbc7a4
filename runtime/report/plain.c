/* One line an event, for pipes, logs and CI: time, what it is, where in the run, what happened. With
 * verbosity 1 also the writes, and the reads that failed; with 2 every effect.
 *
 *   12:03:04 step   ada/create droplet: done 3.2s
 *
 * The columns are stable, so that grep and awk work on them. Verbosity -1 is for scripts: only what say and
 * warn say, as it is. */
#include "base/text.h"
#include "report/reports.h"
#include "report/scope.h"
#include "report/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECONDS_BETWEEN_WAITS 30
#define WHAT_COLUMNS 6

/* What is known of a scope: where it is in the run, as "ada/create droplet". */
typedef struct {
    scope_entry entry;
    double waited_at;  /* when its last wait was printed */
    const char *group; /* the name of a group, which its end does not repeat; after the path */
    char path[];
} place;

typedef struct {
    report face;
    FILE *out;
    int verbosity;
    int planned;
    scope_table places;
} plain_report;

static const char *path_of(plain_report *p, uint64_t scope) {
    place *found = scope_find(&p->places, scope);
    return found ? found->path : "";
}

/* The run and its groups add nothing to the path; items and steps add their names. */
static void begin_place(plain_report *p, const event *e) {
    const char *above = path_of(p, e->parent);
    bool named = e->type == EVENT_ITEM_BEGIN || e->type == EVENT_STEP_BEGIN;
    const char *name = named && e->name ? e->name : "";
    const char *group = e->type == EVENT_GROUP_BEGIN && e->name ? e->name : "";
    size_t room = strlen(above) + strlen(name) + 2;
    place *here = calloc(1, sizeof *here + room + strlen(group) + 1);
    if (!here)
        abort();
    snprintf(here->path, room, "%s%s%s", above, *above && *name ? "/" : "", name);
    here->group = strcpy(here->path + room, group);
    scope_add(&p->places, &here->entry, e->scope);
}

static void end_place(plain_report *p, const event *e) {
    place *here = scope_find(&p->places, e->scope);
    scope_remove(&p->places, e->scope);
    free(here);
}

/* Begins a line: "12:03:04 step   ". */
static void add_head(text_buffer *line, const event *e, const char *what) {
    time_t seconds = (time_t)e->at;
    struct tm parts;
    char clock[16];
    localtime_r(&seconds, &parts);
    strftime(clock, sizeof clock, "%H:%M:%S", &parts);
    text_printf(line, "%s ", clock);
    size_t columns = text_visible(line, what);
    text_spaces(line, (columns < WHAT_COLUMNS ? WHAT_COLUMNS - columns : 0) + 1);
}

static void print_line(plain_report *p, text_buffer *line) {
    text_puts(line, "\n");
    terminal_print(p->out, line->text, line->length);
    text_free(line);
}

/* One line for each line of the text, all with the same beginning. */
static void print_lines(plain_report *p, const event *e, const char *what, const char *path,
                        const char *text) {
    char *copy = strdup(text), *rest = copy;
    if (!copy)
        abort();
    size_t length = strlen(copy);
    if (length > 0 && copy[length - 1] == '\n')
        copy[length - 1] = '\0';
    for (char *part; (part = strsep(&rest, "\n"));) {
        text_buffer line = {0};
        if (p->verbosity >= 0) {
            add_head(&line, e, what);
            text_visible(&line, path);
            text_puts(&line, *path ? ": " : "");
        }
        text_visible(&line, part);
        print_line(p, &line);
    }
    free(copy);
}

static void add_status(text_buffer *line, const event *e) {
    text_visible(line, e->status ? e->status : "done");
    text_puts(line, " ");
    text_duration(line, e->seconds, false);
}

/* "ada/create droplet: begin", "...: done 3.2s  RESULT" */
static void print_scope(plain_report *p, const event *e, const char *what, bool begin) {
    text_buffer line = {0};
    add_head(&line, e, what);
    place *here = scope_find(&p->places, e->scope);
    const char *path = here ? here->path : "", *group = here ? here->group : "";
    text_visible(&line, path);
    text_puts(&line, *path && *group ? "/" : "");
    text_visible(&line, *group ? group : *path ? "" : e->name ? e->name : "");
    text_puts(&line, ": ");
    if (begin)
        text_puts(&line, "begin");
    else
        add_status(&line, e);
    if (e->type == EVENT_GROUP_BEGIN && e->count >= 0)
        text_printf(&line, "  %ld items", e->count);
    if (e->text && *e->text) {
        text_puts(&line, "  ");
        text_visible(&line, e->text);
    }
    print_line(p, &line);
}

static bool has(const char *word, const char *wanted) {
    return word && strcmp(word, wanted) == 0;
}

/* "read ada/create droplet: http.request api.example.com  GET /v2/droplets: done 0.2s" */
static void print_effect(plain_report *p, const event *e) {
    const char *path = path_of(p, e->parent);
    bool changes_nothing = has(e->kind, "read") && has(e->status, "done");
    if (p->verbosity < 1 || (p->verbosity < 2 && changes_nothing))
        return;
    text_buffer line = {0};
    add_head(&line, e, e->kind ? e->kind : "effect");
    text_visible(&line, path);
    text_puts(&line, *path ? ": " : "");
    text_visible(&line, e->name ? e->name : "");
    text_puts(&line, " ");
    text_visible(&line, e->target ? e->target : "");
    text_puts(&line, "  ");
    text_visible(&line, e->text ? e->text : "");
    text_puts(&line, ": ");
    add_status(&line, e);
    print_line(p, &line);
}

static void print_plan(plain_report *p, const event *e) {
    const char *path = path_of(p, e->parent);
    text_buffer line = {0};
    add_head(&line, e, "plan");
    text_visible(&line, path);
    text_printf(&line, "%s%d. ", *path ? ": " : "", ++p->planned);
    text_visible(&line, e->text ? e->text : "");
    print_line(p, &line);
    if (e->detail && *e->detail)
        print_lines(p, e, "diff", path, e->detail);
}

/* A log wants to know that a wait goes on, not about every look. */
static void print_wait(plain_report *p, const event *e) {
    place *here = scope_find(&p->places, e->parent);
    if (here && !e->status && e->count > 1 && e->at - here->waited_at < SECONDS_BETWEEN_WAITS)
        return;
    if (here)
        here->waited_at = e->at;
    const char *path = path_of(p, e->parent);
    text_buffer line = {0};
    add_head(&line, e, "wait");
    text_visible(&line, path);
    text_puts(&line, *path ? ": for " : "for ");
    text_visible(&line, e->text ? e->text : "");
    if (e->status) {
        text_puts(&line, ": ");
        add_status(&line, e);
    } else if (e->count > 0) {
        text_printf(&line, "  %ld look%s", e->count, e->count == 1 ? "" : "s");
    }
    print_line(p, &line);
}

static void print_run_end(plain_report *p, const event *e) {
    text_buffer line = {0};
    add_head(&line, e, "run");
    text_visible(&line, e->name ? e->name : "");
    text_puts(&line, ": ");
    add_status(&line, e);
    if (e->kind && strcmp(e->kind, "dry-run") == 0)
        text_printf(&line, "  dry run: %d change%s planned, none made", p->planned,
                    p->planned == 1 ? "" : "s");
    else if (e->count >= 0)
        text_printf(&line, "  %ld change%s", e->count, e->count == 1 ? "" : "s");
    if (e->text && *e->text) {
        text_puts(&line, "  ");
        text_visible(&line, e->text);
    }
    print_line(p, &line);
}

static void print_event(plain_report *p, const event *e) {
    switch (e->type) {
    case EVENT_RUN_BEGIN:
        print_scope(p, e, "run", true);
        break;
    case EVENT_RUN_END:
        print_run_end(p, e);
        break;
    case EVENT_GROUP_BEGIN:
    case EVENT_GROUP_END:
        print_scope(p, e, "group", e->type == EVENT_GROUP_BEGIN);
        break;
    case EVENT_ITEM_BEGIN:
    case EVENT_ITEM_END:
        print_scope(p, e, "item", e->type == EVENT_ITEM_BEGIN);
        break;
    case EVENT_STEP_BEGIN:
    case EVENT_STEP_END:
        print_scope(p, e, "step", e->type == EVENT_STEP_BEGIN);
        break;
    case EVENT_EFFECT_END:
        print_effect(p, e);
        break;
    case EVENT_PLAN:
        print_plan(p, e);
        break;
    case EVENT_WAIT:
        print_wait(p, e);
        break;
    case EVENT_EFFECT_BEGIN:
    default:
        break;
    }
}

static void show(report *r, const event *e) {
    plain_report *p = (plain_report *)r;
    bool says = e->type == EVENT_SAY || e->type == EVENT_WARN;
    if (e->type == EVENT_RUN_BEGIN || e->type == EVENT_GROUP_BEGIN || e->type == EVENT_ITEM_BEGIN ||
        e->type == EVENT_STEP_BEGIN)
        begin_place(p, e);
    if (says)
        print_lines(p, e, e->type == EVENT_SAY ? "say" : "warn", path_of(p, e->parent),
                    e->text ? e->text : "");
    else if (p->verbosity >= 0)
        print_event(p, e);
    if (e->type == EVENT_RUN_END || e->type == EVENT_GROUP_END || e->type == EVENT_ITEM_END ||
        e->type == EVENT_STEP_END)
        end_place(p, e);
}

static void close_report(report *r) {
    plain_report *p = (plain_report *)r;
    for (place *left; (left = scope_take(&p->places));)
        free(left);
    free(p);
}

report *report_plain_new(FILE *out, int verbosity) {
    plain_report *p = calloc(1, sizeof *p);
    if (!p)
        abort();
    p->face = (report){.event = show, .close = close_report};
    p->out = out;
    p->verbosity = verbosity;
    return &p->face;
}
