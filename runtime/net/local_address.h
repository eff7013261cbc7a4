/* Addresses of sockets in the file system. */
#ifndef HOSTLER_NET_LOCAL_ADDRESS_H
#define HOSTLER_NET_LOCAL_ADDRESS_H

#include <sys/socket.h>
#include <sys/un.h>

/* Sets the address of this name in this directory, also where the path is longer than an address may be: it
 * then goes by the directory's descriptor, which is returned and has to stay open while the address is used;
 * or -1 with errno. */
int local_address(const char *directory, const char *name, struct sockaddr_un *address);

#endif
