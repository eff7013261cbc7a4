/* See sqlite_file.h. */
#include "journal/sqlite_file.h"

#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEPT_DESCRIPTORS 3 /* the file, its log, and the index of that */

/* ---- what went wrong ---- */

/* sqlite3_system_errno() is what errno is when SQLite has cleaned up: it is asked where nothing else tells.
 */
int sqlite_file_errno(sqlite_file *f) {
    static const int pointers[] = {SQLITE_FCNTL_JOURNAL_POINTER, SQLITE_FCNTL_FILE_POINTER};
    int reason = 0;
    for (int i = 0; i < 2 && reason == 0; i++) {
        sqlite3_file *file = NULL;
        if (sqlite3_file_control(f->database, "main", pointers[i], &file) == SQLITE_OK && file->pMethods)
            file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &reason);
    }
    return reason ? reason : sqlite3_system_errno(f->database);
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
    if (code == SQLITE_OK && !sqlite_watch_begin(&f->watch, path))
        code = SQLITE_CANTOPEN;
    return code == SQLITE_OK ? configure(f) : code;
}

void sqlite_file_close(sqlite_file *f) {
    for (int i = 0; i < f->statement_count; i++) {
        sqlite3_finalize(f->statements[i].statement);
        free(f->statements[i].sql);
    }
    /* The last one that closes it copies the log into it: never into a file that is no longer its own. */
    if (f->database && !sqlite_watch_before(&f->watch, f->database))
        sqlite3_db_config(f->database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(f->database);
    sqlite_watch_end(&f->watch);
    free(f->path);
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
        sqlite_watch_before(&f->watch, f->database)) {
        kept.file = *f;
        memset(f, 0, sizeof *f);
    } else {
        sqlite_file_close(f);
    }
}

bool sqlite_file_take_kept(sqlite_file *f, const char *path) {
    *f = kept.file;
    memset(&kept.file, 0, sizeof kept.file);
    if (f->database && strcmp(f->path, path) == 0 && sqlite_watch_before(&f->watch, f->database))
        return true;
    sqlite_file_close(f);
    return false;
}

int sqlite_file_kept_descriptors(void) {
    return kept.file.database ? KEPT_DESCRIPTORS : 0;
}
