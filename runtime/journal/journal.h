/* Where runs are kept: a store, which is a database that executes SQL and knows nothing of runs. What is
 * kept, and the statements for it, are those of the Lua files beside this.
 *
 * A store is a table of Lua functions. Any of them may wait, so a store may live behind a network; none of
 * them is ended by the task's cancellation, since a cancelled run has to record how it ended:
 *
 * - write(sql, ...) -> rows: everything given to later() before, then this, as one transaction. It is on disk
 *   when write returns; when it raises, nothing of this statement has happened.
 * - transaction(statements) -> rows of the last: the same of several statements, each { sql, ..., n = how
 * many parameters }. When it raises, nothing of them has happened.
 * - later(sql, ...): written in order, soon, and at the latest with the next write. Not worth a flush of its
 *   own: a power cut may lose it, a kill what is younger than a moment.
 * - read(sql, ...) -> rows: sees what was written and what was given to later().
 * - guard(matches, written, ...): from now on every transaction that writes begins with the statement
 *   `matches`, which changes or finds a row: where it has none, nothing is written, and code "fenced" is
 *   raised. Its parameters are these and, last, the number of the transaction, from 1 up. `written` is a
 *   query with the same parameters that finds a row when that transaction was committed: a store that lost
 *   the connection meanwhile asks it. guard() ends that.
 * - version() -> integer: of its tables; 0 when it has none yet.
 * - migrate(sql, version): runs these statements and sets the version, in one transaction; does nothing when
 *   another process has already brought the tables to that version.
 * - close()
 * - ring(): wakes who hears, in all processes that use the store, soon after what was written before. It may
 * be lost.
 * - ringing: SQL that does so when its transaction is committed; nil where there is none.
 * - hear(bell) -> what has to be kept as long as the bell of this process (task/bell.h) is to ring with it;
 * nil where it cannot.
 * - clock: SQL for the seconds since the epoch by the clock that all who share the store go by; nil when it
 * is not shared with other machines.
 * - waiting() -> seconds, text: where it is shared, for how long the call that is served has been, 0 when
 * none is, and what keeps it.
 *
 * A shared store may run an unguarded statement again when it lost the connection before it knew the end.
 *
 * Parameters are $1, $2 ...: nil, text, numbers, booleans. rows is a list of tables by column name; NULL is
 * absent. Statements are written in what SQLite and PostgreSQL have in common. Failures raise code "journal"
 * with a message that says what is wrong with the store, and a hint; "journal.away" when it could not be
 * reached, or others have it locked. A store that is away delays: what is guarded waits for it until the
 * run's lease is over. At first, a server that is about to let us in is waited for as long, and one that
 * cannot be reached only by those who say so (store.await). A file that was deleted, replaced or overwritten
 * since it was opened is written no more (sqlite_watch.h). */
#ifndef HOSTLER_JOURNAL_JOURNAL_H
#define HOSTLER_JOURNAL_JOURNAL_H

#include <lua.h>
#include <stdbool.h>

/* Pushes { sqlite, ring_folder, hear_folder = what sqlite.lua makes a store of, postgres = what
 * postgres/shared.lua makes one of }. The file's directory is made (0700), and the file, too (0600). */
int journal_open(lua_State *L);

/* For a process that makes one world after the other: whether the connection to its store outlives a
 * world, for the next one. `false` ends the one that is left. */
void journal_keep_connection(bool on);

/* How many descriptors belong to what is left of a world. */
int journal_kept_descriptors(void);

/* Raises "fenced": the guard matched no row. */
int journal_raise_fenced(lua_State *L);

#endif
