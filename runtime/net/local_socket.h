/* Sockets on this machine, between processes of one user: lines of text, both ways.
 *
 * The socket file is its owner's alone, and both sides ask the kernel who the other one is: the same user or
 * root, nobody else. What a peer sends is bounded by a line, what it does not read by a queue. */
#ifndef HOSTLER_NET_LOCAL_SOCKET_H
#define HOSTLER_NET_LOCAL_SOCKET_H

#include <lua.h>

/* Pushes a table:
 *   listen(directory, name) -> socket, or nil, reason     the directory is made, and for its owner only
 *   connect(directory, name) -> socket, or nil, reason
 *   remove(directory, name)
 *   pair() -> socket, descriptor    of both ends of a connection without a name; the descriptor is for
 * child.run adopt(descriptor) -> socket, or nil, reason     of one that this process was started with, which
 * stays open ready(socket)             waits until there is something to accept or to receive accept(socket)
 * -> socket, or nil when there is none, or a stranger's receive(socket) -> line, or nil when none is
 * complete, or false at the end send(socket, line) -> true, or false when the peer reads too little; never
 * waits queued(socket) -> bytes that the peer has not read yet close(socket)             what is still queued
 * is not sent */
int local_socket_open(lua_State *L);

#endif
