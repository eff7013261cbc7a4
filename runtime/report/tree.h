/* What the two halves of the live tree share: tree.c keeps it and prints what has ended,
 * tree_live.c draws what is going on. */
#ifndef HOSTLER_REPORT_TREE_H
#define HOSTLER_REPORT_TREE_H

#include "event/event.h"
#include "report/scope.h"
#include "report/terminal.h"

typedef enum { NODE_RUN, NODE_GROUP, NODE_ITEM, NODE_STEP, NODE_EFFECT } node_kind;

/* A scope that has begun and not ended. */
typedef struct node node;
struct node {
    scope_entry entry;
    node_kind kind;
    node *parent, *first, *last, *next, *previous; /* children in the order in which they began */
    int depth;
    bool open; /* a run, or the only item of its group: its steps stand on lines of their own */
    char *name;
    char *label;                 /* an effect, in words */
    char *waiting;               /* what it waits for now, or NULL */
    char *said;                  /* a step's last words */
    double began, waiting_since; /* seconds since the epoch */
    long looks;
    text_buffer notes;                /* lines to be printed below its own line when it has ended */
    long count, begun, ended, failed; /* a group's items */
    text_buffer failures;             /* the names of those that failed */
    long steps;                       /* that an item has finished */
};

typedef struct {
    const char *done, *failed, *cancelled, *waiting, *more;
    const char *spinner[10];
    unsigned spinner_frames;
} tree_symbols;

typedef struct {
    report face;
    terminal screen;
    scope_table nodes;
    node *run;
    const tree_symbols *symbols;
    int verbosity;
    int planned;
    bool dry_run;
    unsigned frame;
    char *last_failure;
} tree;

/* Shows the lines that stay, and below them what is going on. */
void tree_draw(tree *t);

#endif
