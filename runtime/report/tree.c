/* The live tree: what has ended scrolls up and stays, what is going on is drawn below it, ten times a second.
 *
 * Lines of a scope that ends go to its sink: the screen, when everything above it is open; else the notes of
 * the nearest scope around it that is still one line (a step, or one item of several), to be printed below
 * that line. */
#include "report/tree.h"
#include "report/reports.h"

#include <stdlib.h>
#include <string.h>

#define WIDEST 100 /* columns: a time far to the right of its name is hard to read */
#define MOST_NOTES (1024 * 1024)

/* ---- the tree ---- */

static char *copy_of(const char *text) {
    char *copy = strdup(text ? text : "");
    if (!copy)
        abort();
    return copy;
}

static node *find(tree *t, uint64_t scope) {
    return scope_find(&t->nodes, scope);
}

static void link_last(node *parent, node *child) {
    child->parent = parent;
    child->previous = parent->last;
    *(parent->last ? &parent->last->next : &parent->first) = child;
    parent->last = child;
}

static void unlink_node(node *n) {
    if (!n->parent)
        return;
    *(n->previous ? &n->previous->next : &n->parent->first) = n->next;
    *(n->next ? &n->next->previous : &n->parent->last) = n->previous;
}

static node *add_node(tree *t, node_kind kind, const event *e) {
    node *n = calloc(1, sizeof *n);
    if (!n)
        abort();
    n->kind = kind;
    n->name = copy_of(e->name);
    n->began = e->at;
    n->count = e->count;
    n->notes.colour = n->failures.colour = t->screen.lasting.colour;
    node *parent = find(t, e->parent);
    parent = parent ? parent : t->run;
    if (parent)
        link_last(parent, n);
    n->depth = parent ? parent->depth + 1 : 0;
    scope_add(&t->nodes, &n->entry, e->scope);
    return n;
}

static void free_node(node *n) {
    free(n->name);
    free(n->label);
    free(n->waiting);
    free(n->said);
    text_free(&n->notes);
    text_free(&n->failures);
    free(n);
}

static void remove_node(tree *t, node *n) {
    for (node *child = n->first, *next; child; child = next) {
        next = child->next;
        remove_node(t, child);
    }
    if (t->run == n)
        t->run = NULL;
    unlink_node(n);
    scope_remove(&t->nodes, n->entry.number);
    free_node(n);
}

/* The scope whose one line this one is hidden behind, or NULL. */
static node *hidden_behind(const node *n) {
    for (node *above = n->parent; above; above = above->parent)
        if (above->kind == NODE_STEP || (above->kind == NODE_ITEM && !above->open))
            return above;
    return NULL;
}

static text_buffer *sink_of(tree *t, const node *n) {
    node *above = hidden_behind(n);
    if (!above)
        return &t->screen.lasting;
    static text_buffer ignored;
    if (above->notes.length < MOST_NOTES)
        return &above->notes;
    text_clear(&ignored);
    return &ignored;
}

/* ---- lines that stay ---- */

static size_t indent_of(const node *n) {
    return n->depth > 0 ? (size_t)n->depth * 2 : 2;
}

static void add_symbol(tree *t, text_buffer *out, const char *status) {
    bool failed = status && strcmp(status, "failed") == 0,
         cancelled = status && strcmp(status, "cancelled") == 0;
    bool skipped = status && strcmp(status, "skipped") == 0;
    text_style(out, failed ? STYLE_RED : cancelled ? STYLE_YELLOW : skipped ? STYLE_DIM : STYLE_GREEN);
    text_puts(out, failed      ? t->symbols->failed
                   : cancelled ? t->symbols->cancelled
                   : skipped   ? t->symbols->waiting
                               : t->symbols->done);
    text_style(out, STYLE_NONE);
    text_puts(out, " ");
}

/* Ends a line that has `used` columns with the time at the right. */
static void end_with_time(tree *t, text_buffer *out, size_t used, double seconds) {
    text_buffer clock = {0};
    text_duration(&clock, seconds, false);
    size_t width = (size_t)(t->screen.columns < WIDEST ? t->screen.columns : WIDEST) - 1;
    text_spaces(out, used + clock.length + 2 < width ? width - used - clock.length : 2);
    text_style(out, STYLE_DIM);
    text_puts(out, clock.text);
    text_style(out, STYLE_NONE);
    text_puts(out, "\n");
    text_free(&clock);
}

/* Text of several lines, indented, in one style. */
static void add_block(text_buffer *out, size_t indent, text_style_name style, const char *text) {
    char *copy = copy_of(text), *rest = copy;
    size_t length = strlen(copy);
    if (length > 0 && copy[length - 1] == '\n')
        copy[length - 1] = '\0';
    for (char *line; (line = strsep(&rest, "\n"));) {
        text_spaces(out, indent);
        text_style(out, style);
        text_visible(out, line);
        text_style(out, STYLE_NONE);
        text_puts(out, "\n");
    }
    free(copy);
}

/* A unified diff, in the colours everyone knows. */
static void add_diff(text_buffer *out, size_t indent, const char *text) {
    char *copy = copy_of(text), *rest = copy;
    for (char *line; (line = strsep(&rest, "\n")) && (rest || *line);) {
        bool heading = strncmp(line, "+++", 3) == 0 || strncmp(line, "---", 3) == 0;
        text_style_name style = heading          ? STYLE_DIM
                                : line[0] == '+' ? STYLE_GREEN
                                : line[0] == '-' ? STYLE_RED
                                : line[0] == '@' ? STYLE_CYAN
                                                 : STYLE_NONE;
        add_block(out, indent, style, line);
    }
    free(copy);
}

static bool has_status(const event *e, const char *status) {
    return e->status && strcmp(e->status, status) == 0;
}

/* "  ✓ create droplet  198.18.0.2                3.2s" and below it the notes. */
static void print_step(tree *t, node *n, const event *e) {
    text_buffer *out = sink_of(t, n);
    bool failed = has_status(e, "failed"), shows_text = e->text && *e->text && !failed;
    if (t->dry_run && !failed && n->notes.length == 0)
        return;
    text_spaces(out, indent_of(n));
    if (t->dry_run && !failed)
        text_printf(out, "%s ", t->symbols->waiting);
    else
        add_symbol(t, out, e->status);
    size_t used = indent_of(n) + 2 + text_visible(out, n->name);
    text_style(out, STYLE_DIM);
    if (has_status(e, "cancelled") || has_status(e, "unchanged") || has_status(e, "skipped")) {
        text_printf(out, "  %s", e->status);
        used += 2 + strlen(e->status);
    } else if (shows_text && !t->dry_run) {
        text_puts(out, "  ");
        used += 2 + text_visible(out, e->text);
    }
    text_style(out, STYLE_NONE);
    if (t->dry_run && !failed)
        text_puts(out, "\n");
    else
        end_with_time(t, out, used, e->seconds);
    text_add(out, n->notes.length ? n->notes.text : "", n->notes.length);
    if (failed && e->text)
        add_block(out, indent_of(n) + 2, STYLE_RED, e->text);
}

static void count_step(node *n, const event *e) {
    node *above = hidden_behind(n);
    if (above && above->kind == NODE_ITEM && has_status(e, "done"))
        above->steps++;
}

static void print_item_head(text_buffer *out, const node *n) {
    text_spaces(out, indent_of(n));
    text_style(out, STYLE_BOLD);
    text_visible(out, n->name);
    text_style(out, STYLE_NONE);
    text_puts(out, "\n");
}

/* One line an item; what happened in it only when it failed, or when the person wants to see more. */
static void print_item(tree *t, node *n, const event *e) {
    text_buffer *out = sink_of(t, n);
    bool failed = has_status(e, "failed");
    if (t->dry_run && !failed) {
        if (n->notes.length > 0) {
            print_item_head(out, n);
            text_add(out, n->notes.text, n->notes.length);
        }
        return;
    }
    text_spaces(out, indent_of(n));
    add_symbol(t, out, e->status);
    size_t used = indent_of(n) + 2 + text_visible(out, n->name);
    if (n->steps > 0 && !failed) {
        text_buffer steps = {0};
        text_printf(&steps, "  %ld step%s", n->steps, n->steps == 1 ? "" : "s");
        text_style(out, STYLE_DIM);
        used += text_visible(out, steps.text);
        text_free(&steps);
    }
    end_with_time(t, out, used, e->seconds);
    bool told = failed && n->notes.length > 0;
    if (failed || t->verbosity > 0)
        text_add(out, n->notes.length ? n->notes.text : "", n->notes.length);
    if (failed && e->text && !(told && strstr(n->notes.text, e->text)))
        add_block(out, indent_of(n) + 2, STYLE_RED, e->text);
}

static void end_item(tree *t, node *n, const event *e) {
    node *group = n->parent;
    if (group && group->kind == NODE_GROUP) {
        group->ended++;
        if (has_status(e, "failed")) {
            text_puts(&group->failures, group->failed++ ? ", " : "");
            text_visible(&group->failures, n->name);
        }
    }
    if (!n->open)
        print_item(t, n, e);
    else if (has_status(e, "failed") && e->text && t->last_failure && strcmp(t->last_failure, e->text) != 0)
        add_block(sink_of(t, n), indent_of(n) + 2, STYLE_RED, e->text);
}

/* "each" is what a group without a name of its own is called. */
static void print_group_head(tree *t, node *n) {
    if (n->count <= 1)
        return;
    text_buffer *out = sink_of(t, n);
    text_spaces(out, indent_of(n));
    if (strcmp(n->name, "each") != 0) {
        text_visible(out, n->name);
        text_puts(out, " ");
    }
    text_style(out, STYLE_DIM);
    text_printf(out, "%ld items", n->count);
    text_style(out, STYLE_NONE);
    text_puts(out, "\n");
}

static void print_group_end(tree *t, node *n, const event *e) {
    if (n->count <= 1 || t->dry_run)
        return;
    text_buffer *out = sink_of(t, n), summary = {0};
    text_spaces(out, indent_of(n));
    add_symbol(t, out, e->status);
    text_printf(&summary, "%ld of %ld done", n->ended - n->failed, n->count);
    if (n->failed > 0)
        text_printf(&summary, ", %ld failed", n->failed);
    if (n->count > n->ended)
        text_printf(&summary, ", %ld not begun", n->count - n->ended);
    size_t used = indent_of(n) + 2 + text_visible(out, summary.text);
    end_with_time(t, out, used, e->seconds);
    text_free(&summary);
}

/* ---- events ---- */

/* "ssh 198.18.0.2  meltano user add ada": the module, whom it reaches, what. */
static char *effect_label(const event *e) {
    const char *name = e->name ? e->name : "", *target = e->target ? e->target : "",
               *text = e->text ? e->text : "";
    text_buffer label = {0};
    text_add(&label, name, strcspn(name, "."));
    if (*target && strcmp(target, "localhost") != 0 && !strstr(text, target)) {
        text_puts(&label, " ");
        text_puts(&label, target);
    }
    text_puts(&label, "  ");
    text_puts(&label, text);
    return label.text;
}

static void begin_effect(tree *t, const event *e) {
    node *n = add_node(t, NODE_EFFECT, e);
    n->label = effect_label(e);
    bool writes = !e->kind || strcmp(e->kind, "write") == 0;
    if (writes && n->parent) {
        free(n->parent->waiting);
        n->parent->waiting = NULL;
    }
}

static void end_effect(tree *t, node *n, const event *e) {
    bool failed = has_status(e, "failed");
    if (t->verbosity < 1)
        return;
    text_buffer *out = sink_of(t, n);
    size_t indent = indent_of(n);
    text_spaces(out, indent);
    text_style(out, failed ? STYLE_RED : STYLE_DIM);
    size_t used = indent + text_visible(out, n->label);
    text_style(out, STYLE_NONE);
    end_with_time(t, out, used, e->seconds);
}

static void plan(tree *t, const event *e) {
    node *above = find(t, e->parent);
    text_buffer *out = above && above->kind == NODE_STEP ? &above->notes : &t->screen.lasting;
    size_t indent = above ? indent_of(above) + 2 : 2;
    text_spaces(out, indent);
    text_style(out, STYLE_DIM);
    text_printf(out, "%3d. ", ++t->planned);
    text_style(out, STYLE_NONE);
    text_visible(out, e->text ? e->text : "");
    text_puts(out, "\n");
    if (e->detail && *e->detail)
        add_diff(out, indent + 5, e->detail);
}

/* In a step its words stay below its line; in one item of several they are shown at once, with the item's
 * name. */
static void say(tree *t, const event *e) {
    node *above = find(t, e->parent);
    bool warns = e->type == EVENT_WARN;
    const node *item = above;
    while (item && !(item->kind == NODE_ITEM && !item->open))
        item = item->parent;
    bool in_step = above && above->kind == NODE_STEP && !item;
    text_buffer *out = in_step ? &above->notes : &t->screen.lasting, text = {0};
    if (warns)
        text_puts(&text, "! ");
    if (item)
        text_visible(&text, item->name);
    text_puts(&text, item ? ": " : "");
    text_puts(&text, e->text ? e->text : "");
    size_t indent = item ? indent_of(item) : above && above->depth > 0 ? indent_of(above) + 2 : 2;
    add_block(out, indent, warns ? STYLE_YELLOW : STYLE_NONE, text.text);
    if (in_step) {
        free(above->said);
        above->said = copy_of(text.text);
    }
    text_free(&text);
}

/* A wait inside a step is part of its line; any other has one of its own, once it is over. */
static void end_wait(tree *t, node *n, const event *e) {
    free(n->waiting);
    n->waiting = NULL;
    if (n->kind == NODE_STEP)
        return;
    text_buffer *out = n->kind == NODE_ITEM && !n->open ? &n->notes : sink_of(t, n);
    size_t indent = n->depth > 0 ? indent_of(n) + 2 : 2;
    text_spaces(out, indent);
    add_symbol(t, out, e->status);
    text_puts(out, "wait for ");
    size_t used = indent + 2 + strlen("wait for ") + text_visible(out, e->text ? e->text : "");
    end_with_time(t, out, used, e->seconds);
}

static void note_wait(tree *t, const event *e) {
    node *n = find(t, e->parent);
    if (!n)
        return;
    if (e->status) {
        end_wait(t, n, e);
        return;
    }
    if (!n->waiting || !e->text || strcmp(n->waiting, e->text) != 0) {
        free(n->waiting);
        n->waiting = copy_of(e->text);
        n->waiting_since = e->at;
    }
    n->looks = e->count;
}

/* What a run that is followed has begun and its process did not live to end goes when the run is taken up
 * again. */
static void begin_run(tree *t, const event *e) {
    if (t->run)
        remove_node(t, t->run);
    t->run = add_node(t, NODE_RUN, e);
    t->run->open = true;
    t->dry_run = e->kind && strcmp(e->kind, "dry-run") == 0;
    text_buffer *out = &t->screen.lasting;
    text_style(out, STYLE_BOLD);
    text_visible(out, e->text && *e->text ? e->text : t->run->name);
    text_style(out, STYLE_NONE);
    text_style(out, STYLE_DIM);
    if (t->dry_run)
        text_puts(out, "  (dry run: nothing is changed)");
    else if (e->kind && strcmp(e->kind, "read-only") == 0)
        text_puts(out, "  (reads only)");
    text_style(out, STYLE_NONE);
    text_puts(out, "\n");
}

static void end_run(tree *t, const event *e) {
    text_buffer *out = &t->screen.lasting;
    add_symbol(t, out, e->status);
    text_visible(out, e->name ? e->name : t->run ? t->run->name : "");
    if (has_status(e, "done"))
        text_puts(out, t->dry_run ? ": " : " done in ");
    else
        text_puts(out, has_status(e, "cancelled") ? " stopped after " : " failed after ");
    if (!t->dry_run || !has_status(e, "done"))
        text_duration(out, e->seconds, false);
    text_style(out, STYLE_DIM);
    if (t->dry_run)
        text_printf(out, "%d change%s planned, none made", t->planned, t->planned == 1 ? "" : "s");
    else if (e->count >= 0)
        text_printf(out, ", %ld change%s", e->count, e->count == 1 ? "" : "s");
    text_style(out, STYLE_NONE);
    text_puts(out, "\n");
}

static void begin(tree *t, const event *e) {
    node *n;
    switch (e->type) {
    case EVENT_GROUP_BEGIN:
        n = add_node(t, NODE_GROUP, e);
        if (n->count <= 1 && n->depth > 0) /* no line of its own, so no indent */
            n->depth--;
        print_group_head(t, n);
        break;
    case EVENT_ITEM_BEGIN:
        n = add_node(t, NODE_ITEM, e);
        n->open = n->parent && n->parent->count == 1;
        if (n->parent)
            n->parent->begun++;
        if (n->open)
            print_item_head(sink_of(t, n), n);
        break;
    case EVENT_STEP_BEGIN:
        n = add_node(t, NODE_STEP, e);
        if (n->parent) {
            free(n->parent->waiting);
            n->parent->waiting = NULL;
        }
        break;
    default:
        begin_effect(t, e);
    }
}

static void end(tree *t, const event *e) {
    node *n = find(t, e->scope);
    if (!n)
        return;
    switch (e->type) {
    case EVENT_GROUP_END:
        print_group_end(t, n, e);
        break;
    case EVENT_ITEM_END:
        end_item(t, n, e);
        break;
    case EVENT_STEP_END:
        count_step(n, e);
        print_step(t, n, e);
        break;
    default:
        end_effect(t, n, e);
    }
    if (has_status(e, "failed") && e->text) {
        free(t->last_failure);
        t->last_failure = copy_of(e->text);
    }
    remove_node(t, n);
}

static void show(report *r, const event *e) {
    tree *t = (tree *)r;
    switch (e->type) {
    case EVENT_RUN_BEGIN:
        begin_run(t, e);
        tree_draw(t);
        break;
    case EVENT_RUN_END:
        end_run(t, e);
        if (t->run)
            remove_node(t, t->run);
        tree_draw(t);
        break;
    case EVENT_GROUP_BEGIN:
    case EVENT_ITEM_BEGIN:
    case EVENT_STEP_BEGIN:
    case EVENT_EFFECT_BEGIN:
        begin(t, e);
        break;
    case EVENT_GROUP_END:
    case EVENT_ITEM_END:
    case EVENT_STEP_END:
    case EVENT_EFFECT_END:
        end(t, e);
        break;
    case EVENT_PLAN:
        plan(t, e);
        break;
    case EVENT_WAIT:
        note_wait(t, e);
        break;
    default:
        say(t, e);
    }
}

/* ---- the report ---- */

static void tick(report *r) {
    tree *t = (tree *)r;
    t->frame++;
    tree_draw(t);
}

static void suspend(report *r) {
    tree *t = (tree *)r;
    terminal_hold(&t->screen);
}

static void resume(report *r) {
    tree *t = (tree *)r;
    terminal_release(&t->screen);
    tree_draw(t);
}

static void close_report(report *r) {
    tree *t = (tree *)r;
    terminal_close(&t->screen);
    for (node *left; (left = scope_take(&t->nodes));)
        free_node(left);
    free(t->last_failure);
    free(t);
}

report *report_tree_new(FILE *out, int verbosity) {
    static const tree_symbols unicode = {
        "✓", "✗", "■", "○", "…", {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}, 10};
    static const tree_symbols ascii = {"+", "x", "#", "o", "...", {"|", "/", "-", "\\"}, 4};
    tree *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    t->face =
        (report){.event = show, .tick = tick, .suspend = suspend, .resume = resume, .close = close_report};
    t->verbosity = verbosity;
    t->symbols = terminal_shows_unicode() ? &unicode : &ascii;
    terminal_open(&t->screen, out);
    return &t->face;
}
