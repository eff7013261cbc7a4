/* A libssh2 session that tells more than libssh2 does. Internal to the ssh module. */
#ifndef HOSTLER_SSH_OVERHEAR_H
#define HOSTLER_SSH_OVERHEAR_H

#include "ssh/session.h"

/* Makes one that keeps s->confirmed_channel and the operations' has_status. */
LIBSSH2_SESSION *overhear_new(ssh_session *s);

#endif
