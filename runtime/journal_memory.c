/* A journal that lives and dies with the process. Steps are kept in a list: it is searched once a step. */
#include "journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct step step;
struct step {
    step *next;
    char *path, *result;
    step_state state;
};

typedef struct {
    journal face;
    char id[32];
    step *steps;
    int64_t effects;
} memory_journal;

static step *find(memory_journal *j, const char *path) {
    for (step *s = j->steps; s; s = s->next)
        if (strcmp(s->path, path) == 0)
            return s;
    return NULL;
}

static const char *run_begin(journal *face, const char *playbook, const char *parameters_json) {
    (void)playbook, (void)parameters_json;
    memory_journal *j = (memory_journal *)face;
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    size_t used = strftime(j->id, sizeof j->id, "%m%d-%H%M%S-", &utc);
    snprintf(j->id + used, sizeof j->id - used, "%x", (unsigned)getpid());
    return j->id;
}

static int run_end(journal *face, const char *status, const char *error_json) {
    (void)face, (void)status, (void)error_json;
    return 0;
}

static int step_find(journal *face, const char *path, step_state *state, const char **result_json) {
    step *s = find((memory_journal *)face, path);
    *state = s ? s->state : STEP_NEW;
    *result_json = s ? s->result : NULL;
    return 0;
}

static int step_begin(journal *face, const char *path) {
    memory_journal *j = (memory_journal *)face;
    step *s = find(j, path);
    if (!s) {
        s = calloc(1, sizeof *s);
        if (!s || !(s->path = strdup(path))) {
            free(s);
            return -1;
        }
        s->next = j->steps;
        j->steps = s;
    }
    s->state = STEP_AMBIGUOUS;
    return 0;
}

static int step_end(journal *face, const char *path, const char *status, const char *result_json) {
    step *s = find((memory_journal *)face, path);
    if (!s)
        return -1;
    free(s->result);
    s->result = result_json ? strdup(result_json) : NULL;
    s->state = strcmp(status, "done") == 0 ? STEP_FINISHED : STEP_AMBIGUOUS;
    return 0;
}

static int64_t effect_begin(journal *face, const char *step_path, const char *name, const char *kind,
                            const char *target, const char *summary) {
    (void)step_path, (void)name, (void)kind, (void)target, (void)summary;
    return ++((memory_journal *)face)->effects;
}

static int effect_end(journal *face, int64_t effect, const char *status) {
    (void)face, (void)effect, (void)status;
    return 0;
}

static const char *last_error(journal *face) {
    (void)face;
    return "out of memory";
}

static void close_journal(journal *face) {
    memory_journal *j = (memory_journal *)face;
    while (j->steps) {
        step *s = j->steps;
        j->steps = s->next;
        free(s->path);
        free(s->result);
        free(s);
    }
    free(j);
}

journal *journal_memory_new(void) {
    memory_journal *j = calloc(1, sizeof *j);
    if (!j)
        return NULL;
    j->face = (journal){run_begin,    run_end,    step_find,  step_begin,   step_end,
                        effect_begin, effect_end, last_error, close_journal};
    return &j->face;
}
