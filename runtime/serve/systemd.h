/* systemd's part in a service: the sockets that it hands over, and what it is told by them.
 *
 * Both are plain interfaces that are promised to stay, and meant to be spoken without its library: see
 * sd_listen_fds(3) and sd_notify(3), whose notes say so. libsystemd would be loaded by each command. */
#ifndef HOSTLER_SERVE_SYSTEMD_H
#define HOSTLER_SERVE_SYSTEMD_H

#include <lua.h>

/* Adds to the table on top of the stack:
 * - inherited() -> a list, in their order, of { fd, name, family = "ip"|"unix"|"other", address, port, path
 * }: the sockets that this process was started with. address and port are of an IP socket, path is a unix
 * socket's. What it starts does not get them.
 * - notify(text) -> true, or false when nobody listens: tells the service manager, lines of VARIABLE=VALUE.
 * - watchdog() -> the seconds within which it has to hear "WATCHDOG=1" again, or nil when it does not mind.
 */
void systemd_add(lua_State *L);

#endif
