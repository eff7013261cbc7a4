/* How a connection comes up, until somebody is logged in. Internal to the ssh module. */
#ifndef HOSTLER_SSH_CONNECT_H
#define HOSTLER_SSH_CONNECT_H

#include "ssh/session.h"

void connect_begin(ssh_session *s);

/* Goes as far as it can; a failure is the session's. */
void connect_step(ssh_session *s);

/* The phase's time is over. */
void connect_timed_out(ssh_session *s);

/* Frees what only coming up needs. */
void connect_cleanup(ssh_session *s);

#endif
