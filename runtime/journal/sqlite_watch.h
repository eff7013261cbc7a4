/* Whether the files of a journal in SQLite are as SQLite left them. SQLite trusts its files: one that is
 * overwritten, cut short or taken away while it is open is written to as before, and who opens it later does
 * not find what was written. So before each use the files are compared with what they were, and after each
 * transaction what it has written is read again:
 *
 * - the database, its log and the index of that are the files that were opened;
 * - the database changes only by a checkpoint, of which the index tells;
 * - the log changes only by a transaction; after one of another process, all of it is read again, and after
 *   one of ours what that has added. Its checksums are a chain, so that the last one stands for all.
 *
 * What this does not see: a file that is written to within the same tick of the kernel's clock (some
 * milliseconds) as the last transaction or checkpoint keeps its time; and of a database's file that another
 * process has copied the log into since this one looked, nothing is known: that process has looked.
 * Internal to the journal. */
#ifndef HOSTLER_JOURNAL_SQLITE_WATCH_H
#define HOSTLER_JOURNAL_SQLITE_WATCH_H

#include "journal/sqlite_log.h"

#include <sys/stat.h>

/* A file as it was; inode 0: not looked at yet. */
typedef struct {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
} watched_file;

/* Zeroed, it watches nothing. */
typedef struct {
    char *place, *log_place, *index_place;
    watched_file file, log, index;
    sqlite_log checkpoint; /* when `file` was looked at; */
    sqlite_log committed;  /* when `log` was; */
    sqlite_log begun;      /* when the transaction began */
    bool knows_file, knows_log;
    enum { WATCH_GOOD, WATCH_REPLACED, WATCH_SPOILED } state; /* what is spoiled stays so */
    const char *problem;                                      /* what has been found */
} sqlite_watch;

/* Remembers which file this is. Whoever changes the directory later means the same. False: there is none. */
bool sqlite_watch_begin(sqlite_watch *w, const char *path);
void sqlite_watch_end(sqlite_watch *w);

/* Each returns whether all is well so far: before the database is used, holding no lock; in a transaction
 * that nobody else writes beside; after it was committed. */
bool sqlite_watch_before(sqlite_watch *w, sqlite3 *database);
bool sqlite_watch_begun(sqlite_watch *w, sqlite3 *database);
bool sqlite_watch_committed(sqlite_watch *w, sqlite3 *database);
/* After SQLite has failed, and holding no lock: all of it is looked at. */
bool sqlite_watch_explain(sqlite_watch *w, sqlite3 *database);

#endif
