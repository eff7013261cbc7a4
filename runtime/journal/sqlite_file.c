/* See sqlite_file.h. */
#define _GNU_SOURCE /* asprintf */
#include "journal/sqlite_file.h"

#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEPT_DESCRIPTORS 3 /* the file, its log, and the index of that */

/* ---- which file ---- */

static bool is_same(file_identity *known, const char *place) {
    struct stat status;
    if (stat(place, &status))
        return false;
    if (known->inode == 0)
        *known = (file_identity){status.st_dev, status.st_ino};
    return known->inode == status.st_ino && known->device == status.st_dev;
}

bool sqlite_file_is_in_place(sqlite_file *f) {
    return is_same(&f->file, f->place) && is_same(&f->log, f->log_place);
}

/* Remembers which file this is. Whoever has changed the directory meanwhile means it as well. */
static int note_place(sqlite_file *f) {
    f->place = realpath(f->path, NULL);
    if (!f->place || asprintf(&f->log_place, "%s-wal", f->place) < 0)
        return SQLITE_CANTOPEN;
    return is_same(&f->file, f->place) ? SQLITE_OK : SQLITE_CANTOPEN;
}

/* ---- statements ---- */

int sqlite_file_execute(sqlite_file *f, const char *sql) {
    return sqlite3_exec(f->database, sql, NULL, NULL, NULL);
}

int sqlite_file_prepare(sqlite_file *f, const char *sql, sqlite3_stmt **statement) {
    for (int i = 0; i < f->statement_count; i++) {
        if (strcmp(f->statements[i].sql, sql) == 0) {
            *statement = f->statements[i].statement;
            return SQLITE_OK;
        }
    }
    int code = sqlite3_prepare_v3(f->database, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
    if (code != SQLITE_OK)
        return code;
    char *copy = f->statement_count < SQLITE_FILE_MOST_STATEMENTS ? strdup(sql) : NULL;
    if (!copy) {
        sqlite3_finalize(*statement);
        return SQLITE_NOMEM;
    }
    f->statements[f->statement_count].sql = copy;
    f->statements[f->statement_count++].statement = *statement;
    return SQLITE_OK;
}

/* ---- opening and closing ---- */

/* SQLite gives its log the mode of the file, so the file is made before SQLite sees it. */
static int make_private(const char *path) {
    int fd, problem = files_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, &fd);
    if (problem)
        return problem;
    struct stat status;
    int failed = fstat(fd, &status) || ((status.st_mode & 077) && fchmod(fd, 0600)) ? errno : 0;
    close(fd);
    return failed;
}

int sqlite_file_make(const char *path) {
    int failed = files_make_private_parent(path);
    return failed ? failed : make_private(path);
}

static int configure(sqlite_file *f) {
    int code = sqlite_file_execute(f, "PRAGMA journal_mode = WAL");
    if (code == SQLITE_OK)
        code = sqlite_file_execute(f, "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON");
    f->full_sync = true;
    return code;
}

int sqlite_file_open(sqlite_file *f, const char *path, int busy_ms) {
    f->path = strdup(path);
    int code = sqlite3_open_v2(path, &f->database, SQLITE_OPEN_READWRITE, NULL);
    sqlite3_busy_timeout(f->database, busy_ms);
    if (code == SQLITE_OK)
        code = note_place(f);
    return code == SQLITE_OK ? configure(f) : code;
}

void sqlite_file_close(sqlite_file *f) {
    for (int i = 0; i < f->statement_count; i++) {
        sqlite3_finalize(f->statements[i].statement);
        free(f->statements[i].sql);
    }
    sqlite3_close(f->database);
    free(f->path);
    free(f->place);
    free(f->log_place);
    memset(f, 0, sizeof *f);
}

/* ---- keeping it ---- */

static struct {
    bool wanted;
    sqlite_file file;
} kept;

void sqlite_file_keep(bool on) {
    kept.wanted = on;
    if (!on)
        sqlite_file_close(&kept.file);
}

void sqlite_file_leave(sqlite_file *f) {
    if (kept.wanted && !kept.file.database && sqlite3_get_autocommit(f->database) &&
        sqlite_file_is_in_place(f)) {
        kept.file = *f;
        memset(f, 0, sizeof *f);
    } else {
        sqlite_file_close(f);
    }
}

bool sqlite_file_take_kept(sqlite_file *f, const char *path) {
    *f = kept.file;
    memset(&kept.file, 0, sizeof kept.file);
    if (f->database && strcmp(f->path, path) == 0 && sqlite_file_is_in_place(f))
        return true;
    sqlite_file_close(f);
    return false;
}

int sqlite_file_kept_descriptors(void) {
    return kept.file.database ? KEPT_DESCRIPTORS : 0;
}
