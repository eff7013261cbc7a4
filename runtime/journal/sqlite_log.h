/* SQLite's write-ahead log and the index of it, as they lie in their files: https://sqlite.org/walformat.html
 * and https://sqlite.org/fileformat2.html, section 4. Read through SQLite's own descriptors: closing another
 * one would end the locks that this process has on the file (fcntl(2)). Internal to the journal. */
#ifndef HOSTLER_JOURNAL_SQLITE_LOG_H
#define HOSTLER_JOURNAL_SQLITE_LOG_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

/* How far the log is, as the index has it. */
typedef struct {
    uint32_t changes;           /* how many transactions, since the index was made */
    uint32_t frames;            /* how many pages are in the log; 0: it counts as empty */
    uint32_t page_size;         /* in bytes */
    uint32_t checksum[2];       /* of all frames up to the last */
    uint8_t salt[8];            /* changes whenever the log is begun anew */
    uint32_t copied, attempted; /* frames that a checkpoint has copied, or tried to copy, into the database */
    bool is_swapped;            /* its checksums are made of the other byte order than this machine's */
} sqlite_log;

/* Reads it; the database must have been read from before. False while there is none that holds. */
bool sqlite_log_read(sqlite3 *database, sqlite_log *state);

/* Whether it is the same log, with the same frames. */
bool sqlite_log_is_same(const sqlite_log *a, const sqlite_log *b);

/* Whether the log was not begun anew between these. */
bool sqlite_log_goes_on(const sqlite_log *a, const sqlite_log *b);

/* Whether nothing was copied into the database between these, nor may be at this moment. */
bool sqlite_log_is_settled(const sqlite_log *a, const sqlite_log *b);

/* Whether whoever opens the database after a crash finds the frames after `from` up to `to` in the log's
 * file; without `from` all of them. */
bool sqlite_log_holds(sqlite3 *database, const sqlite_log *from, const sqlite_log *to);

#endif
