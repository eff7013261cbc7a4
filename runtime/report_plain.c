/* One line an event, for pipes, logs and CI. */
#include "event.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    report face;
    FILE *out;
    int verbosity;
} plain_report;

static void show(report *r, const event *e) {
    plain_report *p = (plain_report *)r;
    const char *text = e->text ? e->text : "";
    switch (e->type) {
    case EVENT_STEP_BEGIN:
        fprintf(p->out, "step %s\n", e->name);
        break;
    case EVENT_STEP_END:
        fprintf(p->out, "step %s: %s %.1f s %s\n", e->name, e->status, e->seconds, text);
        break;
    case EVENT_SAY:
    case EVENT_WARN:
        fprintf(p->out, "%s\n", text);
        break;
    case EVENT_PLAN:
        fprintf(p->out, "would %s\n", text);
        break;
    default:
        if (p->verbosity > 0)
            fprintf(p->out, "%s %s %s\n", event_name(e->type), e->name ? e->name : "", text);
    }
    fflush(p->out);
}

static void close_report(report *r) {
    free(r);
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
