/* A jump host's channel as the transport of another session. Internal to the ssh module. */
#ifndef HOSTLER_SSH_TUNNEL_H
#define HOSTLER_SSH_TUNNEL_H

#include "ssh/session.h"

/* Begins to open the channel from inner->via to the inner session's target, and carries it from then on. */
void tunnel_begin(ssh_session *inner);

#endif
