/* A port of this machine whose connections go on from the host, over direct-tcpip channels (RFC 4254,
 * section 7.2). Internal to the ssh module. */
#ifndef HOSTLER_SSH_FORWARD_H
#define HOSTLER_SSH_FORWARD_H

#include "ssh/session.h"

typedef struct ssh_forward ssh_forward;

/* Listens on address and port (0: any free one) and returns it, owned by the caller; or NULL with an errno.
 */
ssh_forward *forward_open(ssh_session *s, const char *host, int port, const char *address, int local_port,
                          int *problem);

int forward_port(const ssh_forward *forward);

/* Why the last connection could not be carried, or "". */
const char *forward_problem(const ssh_forward *forward);

/* Closes the port and the connections. Nothing the second time. */
void forward_close(ssh_forward *forward);
void forward_unref(ssh_forward *forward);

#endif
