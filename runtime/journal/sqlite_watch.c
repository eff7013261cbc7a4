/* See sqlite_watch.h. */
#define _GNU_SOURCE /* asprintf */
#include "journal/sqlite_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES 100 /* while other processes begin the log anew */

static bool spoil(sqlite_watch *w, int state, const char *problem) {
    w->state = state;
    w->problem = problem;
    return false;
}

/* ---- the files ---- */

static bool look(const char *place, watched_file *found) {
    struct stat status;
    if (stat(place, &status))
        return false;
    *found = (watched_file){status.st_dev, status.st_ino, status.st_size, status.st_mtim};
    return true;
}

static bool is_same_file(const watched_file *known, const watched_file *found) {
    return known->inode == 0 || (known->inode == found->inode && known->device == found->device);
}

/* Looks at a file again; false: it is another one now. */
static bool look_again(const char *place, const watched_file *known, watched_file *found) {
    return look(place, found) && is_same_file(known, found);
}

static bool is_unchanged(const watched_file *known, const watched_file *found) {
    return known->size == found->size && known->changed.tv_sec == found->changed.tv_sec &&
           known->changed.tv_nsec == found->changed.tv_nsec;
}

bool sqlite_watch_begin(sqlite_watch *w, const char *path) {
    w->place = realpath(path, NULL);
    if (!w->place)
        return false;
    if (asprintf(&w->log_place, "%s-wal", w->place) < 0 || asprintf(&w->index_place, "%s-shm", w->place) < 0)
        abort();
    return look(w->place, &w->file);
}

void sqlite_watch_end(sqlite_watch *w) {
    free(w->place);
    free(w->log_place);
    free(w->index_place);
    memset(w, 0, sizeof *w);
}

/* ---- before the database is used ---- */

/* The log and its index are there once the database was read from. Of the index nothing is touched before:
 * where its file was cut short, the memory that it is mapped to is gone. */
static bool check_places(sqlite_watch *w, watched_file *file) {
    static const char replaced[] = "another or no file is there now";
    watched_file log, index;
    if (!look_again(w->place, &w->file, file))
        return spoil(w, WATCH_REPLACED, replaced);
    if (!w->knows_file)
        return true;
    if (!look_again(w->log_place, &w->log, &log))
        return spoil(w, WATCH_REPLACED, "another or no log, FILE-wal, is there now");
    if (!look_again(w->index_place, &w->index, &index))
        return spoil(w, WATCH_REPLACED, "another or no index of its log, FILE-shm, is there now");
    if (index.size < w->index.size)
        return spoil(w, WATCH_SPOILED, "the index of its log, FILE-shm, was cut short");
    w->index.size = index.size;
    return true;
}

/* The time between two looks at the index tells whether the file was looked at amid a checkpoint. */
static bool check_file(sqlite_watch *w, sqlite3 *database) {
    sqlite_log before, after;
    watched_file file;
    if (!sqlite_log_read(database, &before) || !look_again(w->place, &w->file, &file) ||
        !sqlite_log_read(database, &after))
        return true; /* SQLite mends the index, or says what is wrong */
    if (w->knows_file && !is_unchanged(&w->file, &file) && sqlite_log_is_settled(&before, &after) &&
        sqlite_log_is_settled(&w->checkpoint, &after))
        return spoil(w, WATCH_SPOILED, "its file was written to by something else");
    if (memcmp(before.salt, after.salt, sizeof before.salt) == 0 && before.attempted == after.attempted &&
        before.copied == after.copied) {
        w->file = file;
        w->checkpoint = after;
        w->knows_file = true;
    }
    return true;
}

bool sqlite_watch_before(sqlite_watch *w, sqlite3 *database) {
    watched_file file;
    if (w->state != WATCH_GOOD || !check_places(w, &file))
        return false;
    return !w->knows_file || is_unchanged(&w->file, &file) || check_file(w, database);
}

/* ---- in a transaction, and after it ---- */

static bool spoil_log(sqlite_watch *w) {
    return spoil(w, WATCH_SPOILED, "its log, FILE-wal, was written to or cut short by something else");
}

/* Which files the log and its index are, once SQLite has opened them. */
static bool meet_files(sqlite_watch *w) {
    return w->knows_file || (look(w->log_place, &w->log) && look(w->index_place, &w->index));
}

bool sqlite_watch_begun(sqlite_watch *w, sqlite3 *database) {
    watched_file log;
    if (!meet_files(w))
        return spoil(w, WATCH_REPLACED, "its log, FILE-wal, or the index of that, FILE-shm, is not there");
    if (!sqlite_watch_before(w, database) || !check_file(w, database))
        return false;
    if (!sqlite_log_read(database, &w->begun) || !look(w->log_place, &log))
        return spoil_log(w);
    bool known = w->knows_log && is_unchanged(&w->log, &log) && sqlite_log_is_same(&w->committed, &w->begun);
    return known || sqlite_log_holds(database, NULL, &w->begun) || spoil_log(w);
}

/* After the log was recovered the index tells of no checkpoint, and so of nothing that the database's file
 * could be compared with: then there has to be one. */
static bool settle(sqlite_watch *w, sqlite3 *database) {
    if (w->checkpoint.copied == w->checkpoint.attempted)
        return true;
    sqlite3_wal_checkpoint_v2(database, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return check_file(w, database);
}

/* Whether the log holds what the index says; without `from` all of it. Other processes may write meanwhile,
 * and begin the log anew when all of it was copied. `now` is the log that was read, `file` what its file was
 * then. */
static bool check_log(sqlite_watch *w, sqlite3 *database, const sqlite_log *from, sqlite_log *now,
                      watched_file *file) {
    sqlite_log after;
    for (int i = 0; i < TRIES; i++) {
        if (!sqlite_log_read(database, now))
            return false;
        if (sqlite_log_holds(database, from, now))
            return look_again(w->log_place, &w->log, file);
        if (sqlite_log_read(database, &after) && sqlite_log_goes_on(now, &after))
            return false;
    }
    return false;
}

bool sqlite_watch_committed(sqlite_watch *w, sqlite3 *database) {
    sqlite_log now, after;
    watched_file log;
    /* Also where the file is as it was: the log may have been begun anew. */
    if (!sqlite_watch_before(w, database) || !check_file(w, database))
        return false;
    w->knows_log = check_log(w, database, &w->begun, &now, &log);
    if (!w->knows_log)
        return spoil_log(w);
    w->log = log;
    w->committed = now;
    w->knows_log = sqlite_log_read(database, &after) && sqlite_log_is_same(&now, &after);
    return settle(w, database);
}

bool sqlite_watch_explain(sqlite_watch *w, sqlite3 *database) {
    sqlite_log now;
    watched_file log;
    return sqlite_watch_before(w, database) &&
           (!w->knows_file || check_log(w, database, NULL, &now, &log) || spoil_log(w));
}
