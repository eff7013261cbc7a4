/* A bell between the processes of one machine: a file in a folder of its own, which is touched to ring. */
#ifndef HOSTLER_JOURNAL_FOLDER_BELL_H
#define HOSTLER_JOURNAL_FOLDER_BELL_H

#include <lua.h>

/* Adds to the table on top of the stack:
 *   ring_folder(directory)               the directory is made, and for its owner only
 *   hear_folder(directory, bell) -> ear  rings the bell whenever somebody has rung the folder, as long as the
 * ear is kept; nil, reason when it cannot be watched */
void folder_bell_add(lua_State *L);

#endif
