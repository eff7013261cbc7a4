/* The open file of a journal in SQLite: its statements, and keeping it from one world to
 * the next. Internal to the journal; codes are SQLite's. */
#ifndef HOSTLER_JOURNAL_SQLITE_FILE_H
#define HOSTLER_JOURNAL_SQLITE_FILE_H

#include "journal/sqlite_watch.h"

#include <sqlite3.h>
#include <stdbool.h>

#define SQLITE_FILE_MOST_STATEMENTS 128

/* Zeroed, it is closed. */
typedef struct {
    sqlite3 *database;
    char *path; /* as people gave it */
    sqlite_watch watch;
    struct {
        char *sql;
        sqlite3_stmt *statement;
    } statements[SQLITE_FILE_MOST_STATEMENTS];
    int statement_count;
    bool full_sync; /* a commit waits for the disk */
} sqlite_file;

/* Makes the file (0600) where there is none, with its directory (0700). Returns 0 or an errno. */
int sqlite_file_make(const char *path);

/* Opens it; while others have it locked, SQLite waits so long. What a failure leaves is for
 * sqlite_file_close. */
int sqlite_file_open(sqlite_file *f, const char *path, int busy_ms);
void sqlite_file_close(sqlite_file *f);

/* Why the system has refused something last, in the log or in the file; 0: it has not. */
int sqlite_file_errno(sqlite_file *f);

int sqlite_file_execute(sqlite_file *f, const char *sql);

/* The prepared statement of this SQL text, made once. SQLITE_NOMEM also when there are too many different
 * ones, which no caller has. */
int sqlite_file_prepare(sqlite_file *f, const char *sql, sqlite3_stmt **statement);

/* Has the next file that is left kept open, or closes what is kept. Between two transactions a connection is
 * as good as new; and the file must not be opened beside one that is kept: closing that would end the locks
 * of both, as fcntl(2) says. */
void sqlite_file_keep(bool on);

/* Closes the file, or keeps it where that is wanted and nothing is half-done. */
void sqlite_file_leave(sqlite_file *f);

/* Takes over what was kept, if it is the file that is at this place now. */
bool sqlite_file_take_kept(sqlite_file *f, const char *path);

/* How many descriptors what is kept has. */
int sqlite_file_kept_descriptors(void);

#endif
