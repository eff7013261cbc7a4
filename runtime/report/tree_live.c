/* Draws the live part of the tree: running steps with what they do just now, and groups with a row an item.
 */
#include "report/tree.h"

#include <string.h>
#include <sys/time.h>

#define WIDEST 100
#define MOST_EFFECTS 3 /* shown of one step */
#define WIDEST_KEY 24  /* columns of an item's name in a row */

static double now(void) {
    struct timeval time;
    gettimeofday(&time, NULL);
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static size_t width_of(const tree *t) {
    return (size_t)(t->screen.columns < WIDEST ? t->screen.columns : WIDEST) - 1;
}

static void add_spinner(tree *t) {
    text_buffer *out = &t->screen.live;
    text_style(out, STYLE_CYAN);
    text_puts(out, t->symbols->spinner[t->frame % t->symbols->spinner_frames]);
    text_style(out, STYLE_NONE);
    text_puts(out, " ");
}

/* A line of parts. Each part is cut to what is left of the width, less what is kept for the clock. */
typedef struct {
    tree *tree;
    size_t used, limit;
} live_line;

static live_line begin_line(tree *t, size_t indent) {
    live_line line = {t, indent, width_of(t)};
    if (indent > line.limit)
        line.used = indent = line.limit;
    text_spaces(&t->screen.live, indent);
    return line;
}

static void add_part(live_line *line, text_style_name style, const char *text, size_t kept) {
    text_buffer *out = &line->tree->screen.live;
    if (line->used + kept >= line->limit)
        return;
    text_style(out, style);
    line->used += text_cut(out, text, line->limit - line->used - kept);
    text_style(out, STYLE_NONE);
}

static void end_line(live_line *line) {
    terminal_line(&line->tree->screen, line->used);
}

static void end_line_with_clock(live_line *line, double seconds) {
    text_buffer clock = {0}, *out = &line->tree->screen.live;
    text_duration(&clock, seconds, true);
    if (seconds >= 1 && line->used + clock.length + 1 <= line->limit) {
        text_spaces(out, line->limit - line->used - clock.length);
        line->used = line->limit;
        text_style(out, STYLE_DIM);
        text_puts(out, clock.text);
        text_style(out, STYLE_NONE);
    }
    text_free(&clock);
    end_line(line);
}

/* "waiting for ada.meltanodata.com to resolve (12 looks, 34s)"; who waits for a moment does not look. */
static void describe_wait(text_buffer *out, const node *n) {
    text_puts(out, "waiting for ");
    text_puts(out, n->waiting);
    text_puts(out, " (");
    if (n->looks > 0)
        text_printf(out, "%ld look%s, ", n->looks, n->looks == 1 ? "" : "s");
    text_duration(out, now() - n->waiting_since, true);
    text_puts(out, ")");
}

static void draw_detail(tree *t, size_t indent, text_style_name style, const char *text) {
    if (!terminal_has_room(&t->screen))
        return;
    live_line line = begin_line(t, indent);
    add_part(&line, style, text, 0);
    end_line(&line);
}

/* What a scope does just now: what it waits for, else its effects. */
static void draw_doing(tree *t, const node *n, size_t indent) {
    if (n->waiting) {
        text_buffer text = {0};
        describe_wait(&text, n);
        draw_detail(t, indent, STYLE_DIM, text.text);
        text_free(&text);
        return;
    }
    int shown = 0, more = 0;
    for (const node *effect = n->first; effect; effect = effect->next) {
        if (effect->kind != NODE_EFFECT)
            continue;
        if (shown < MOST_EFFECTS) {
            draw_detail(t, indent, STYLE_DIM, effect->label);
            shown++;
        } else {
            more++;
        }
    }
    if (more > 0) {
        text_buffer text = {0};
        text_printf(&text, "%s %d more", t->symbols->more, more);
        draw_detail(t, indent, STYLE_DIM, text.text);
        text_free(&text);
    }
}

static void draw_children(tree *t, const node *n);

static void draw_step(tree *t, const node *n) {
    size_t indent = (size_t)n->depth * 2;
    if (!terminal_has_room(&t->screen))
        return;
    live_line line = begin_line(t, indent);
    add_spinner(t);
    line.used += 2;
    add_part(&line, STYLE_NONE, n->name, 8);
    end_line_with_clock(&line, now() - n->began);
    if (n->said)
        draw_detail(t, indent + 2, STYLE_NONE, n->said);
    draw_doing(t, n, indent + 2);
    draw_children(t, n);
}

/* The innermost thing an item is busy with, in words: "upgrade · ssh  meltano upgrade". */
static void describe_item(tree *t, text_buffer *out, const node *n) {
    const node *step = NULL, *effect = NULL;
    for (const node *at = n->last; at; at = at->last) {
        step = at->kind == NODE_STEP ? at : step;
        effect = at->kind == NODE_EFFECT ? at : effect;
    }
    const node *waits = step && step->waiting ? step : n->waiting ? n : NULL;
    text_puts(out, step ? step->name : "");
    if (step && (waits || effect))
        text_puts(out, terminal_shows_unicode() ? " · " : " - ");
    if (waits)
        describe_wait(out, waits);
    else if (effect)
        text_puts(out, effect->label);
    (void)t;
}

static void draw_item(tree *t, const node *n, size_t key_columns) {
    live_line line = begin_line(t, (size_t)n->depth * 2);
    text_buffer doing = {0};
    text_add(&doing, "", 0);
    add_spinner(t);
    line.used += 2;
    size_t before = line.used;
    add_part(&line, STYLE_NONE, n->name, 10);
    size_t used = line.used - before;
    if (used < key_columns + 2 && line.used + key_columns + 2 - used < line.limit) {
        text_spaces(&t->screen.live, key_columns + 2 - used);
        line.used += key_columns + 2 - used;
    }
    describe_item(t, &doing, n);
    add_part(&line, STYLE_DIM, doing.text, 8);
    end_line_with_clock(&line, now() - n->began);
    text_free(&doing);
}

/* "⠹ 12 of 50 done · 2 failed · 28 waiting" */
static void draw_group_line(tree *t, const node *n) {
    const char *separator = terminal_shows_unicode() ? " · " : ", ";
    text_buffer text = {0};
    live_line line = begin_line(t, (size_t)n->depth * 2);
    add_spinner(t);
    line.used += 2;
    text_printf(&text, "%ld of %ld done", n->ended - n->failed, n->count);
    add_part(&line, STYLE_NONE, text.text, 8);
    text_clear(&text);
    if (n->count > n->begun) {
        text_printf(&text, "%s%ld waiting", separator, n->count - n->begun);
        add_part(&line, STYLE_DIM, text.text, 8);
    }
    if (n->failed > 0) {
        text_clear(&text);
        text_printf(&text, "%s%ld failed: ", separator, n->failed);
        text_puts(&text, n->failures.text);
        add_part(&line, STYLE_RED, text.text, 8);
    }
    end_line_with_clock(&line, now() - n->began);
    text_free(&text);
}

static size_t widest_key(const node *group) {
    size_t widest = 0;
    for (const node *item = group->first; item; item = item->next) {
        size_t columns = text_columns(item->name);
        widest = columns > widest ? columns : widest;
    }
    return widest < WIDEST_KEY ? widest : WIDEST_KEY;
}

static void draw_group(tree *t, const node *n) {
    size_t key_columns = widest_key(n);
    bool several = n->count > 1;
    int hidden = 0;
    for (const node *item = n->first; item; item = item->next) {
        if (item->open)
            draw_children(t, item);
        else if (t->screen.live_count < t->screen.rows - 5)
            draw_item(t, item, key_columns);
        else
            hidden++;
    }
    if (hidden > 0) {
        text_buffer text = {0};
        text_printf(&text, "%s %d more at work", t->symbols->more, hidden);
        draw_detail(t, (size_t)(n->depth + 1) * 2, STYLE_DIM, text.text);
        text_free(&text);
    }
    if (several && terminal_has_room(&t->screen))
        draw_group_line(t, n);
}

/* A scope's own effects stand before its steps: they are reads that decide what comes. */
static void draw_children(tree *t, const node *n) {
    if (n->open)
        draw_doing(t, n, (size_t)(n->depth + 1) * 2);
    for (const node *child = n->first; child; child = child->next) {
        if (child->kind == NODE_STEP)
            draw_step(t, child);
        else if (child->kind == NODE_GROUP)
            draw_group(t, child);
    }
}

void tree_draw(tree *t) {
    terminal_begin(&t->screen);
    if (t->run)
        draw_children(t, t->run);
    terminal_draw(&t->screen);
}
