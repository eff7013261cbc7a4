/* Files of this machine that a person may name and that are no ordinary ones: pipes, FIFOs, terminals,
 * devices. They are read and written through the loop, so that Ctrl-C and deadlines are heard while others
 * keep us waiting. What is known to be an ordinary file is for base/files.h. */
#ifndef HOSTLER_TASK_STREAM_H
#define HOSTLER_TASK_STREAM_H

#include <lua.h>
#include <stdbool.h>

/* read(path, most bytes) -> what the file holds, to its end, or nil, reason. An ordinary one is read at once.
 * Waits: to be registered with task_register. */
int stream_read_lua(lua_State *L);

/* write(path, text) -> true, or nil, reason. Only into what stream_is says. Waits. */
int stream_write_lua(lua_State *L);

/* hold(path) -> what keeps it open for writing until it is collected, so that whoever reads sees no end
 * between two writes; or nil, reason. */
int stream_hold_lua(lua_State *L);

/* is(path) -> what stream_is says. */
int stream_is_lua(lua_State *L);

/* Whether a path leads to what one writes into, and that stays what it is: a FIFO, a pipe, a terminal, a
 * device. */
bool stream_is(const char *path);

/* Makes what the two functions need; once a world. */
void stream_open(lua_State *L);

#endif
