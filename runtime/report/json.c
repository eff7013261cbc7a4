/* One JSON object a line, for programs: every field of the event that is set, and always valid UTF-8. */
#include "base/text.h"
#include "report/reports.h"
#include "report/terminal.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

typedef struct {
    report face;
    FILE *out;
} json_report;

static void add_text(cJSON *object, const char *field, const char *text) {
    if (!text)
        return;
    text_buffer clean = {0};
    text_add(&clean, "", 0);
    text_utf8(&clean, text);
    cJSON_AddStringToObject(object, field, clean.text);
    text_free(&clean);
}

static void add_data(cJSON *object, const char *text) {
    cJSON *data = text ? cJSON_Parse(text) : NULL;
    if (data)
        cJSON_AddItemToObject(object, "data", data);
}

static void add_number(cJSON *object, const char *field, double number, double least) {
    if (number >= least)
        cJSON_AddNumberToObject(object, field, number);
}

/* RFC 3339, in UTC, with milliseconds. */
static void add_time(cJSON *object, double at) {
    long long milliseconds = llround(at * 1000);
    time_t seconds = (time_t)(milliseconds / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    char day[32], text[48];
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text, sizeof text, "%s.%03dZ", day, (int)(milliseconds % 1000));
    cJSON_AddStringToObject(object, "time", text);
}

static void show(report *r, const event *e) {
    cJSON *object = cJSON_CreateObject();
    add_time(object, e->at);
    add_text(object, "event", event_name(e->type));
    add_number(object, "scope", (double)e->scope, 1);
    add_number(object, "parent", (double)e->parent, 1);
    add_text(object, "name", e->name);
    add_text(object, "kind", e->kind);
    add_text(object, "target", e->target);
    add_text(object, "text", e->text);
    add_text(object, "status", e->status);
    add_number(object, "seconds", e->seconds < 0 ? -1 : round(e->seconds * 1000) / 1000, 0);
    add_number(object, "count", (double)e->count, 0);
    add_text(object, "detail", e->detail);
    add_data(object, e->data);
    char *line = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    if (!line)
        abort();
    text_buffer shown = {0};
    text_json(&shown, line);
    text_puts(&shown, "\n");
    terminal_print(((json_report *)r)->out, shown.text, shown.length);
    text_free(&shown);
    free(line);
}

static void close_report(report *r) {
    free(r);
}

report *report_json_new(FILE *out) {
    json_report *j = calloc(1, sizeof *j);
    if (!j)
        abort();
    j->face = (report){.event = show, .close = close_report};
    j->out = out;
    return &j->face;
}
