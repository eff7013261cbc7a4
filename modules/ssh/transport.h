/* What is below libssh2: a TCP socket, or a channel of the jump host. Internal to the ssh module. */
#ifndef HOSTLER_SSH_TRANSPORT_H
#define HOSTLER_SSH_TRANSPORT_H

#include "ssh/session.h"

/* Makes s->ssh2. False when libssh2 cannot start. */
bool transport_attach(ssh_session *s);

/* Replaces the socket. When it turns out to be writable while dialling, s->dial_ended is set. */
bool transport_watch(ssh_session *s, int fd);

/* Sends what waits to be sent, as far as it goes. */
void transport_flush(ssh_session *s);

/* Watches for what the session waits for now. */
void transport_update(ssh_session *s);

/* True when the peer sent something that nobody has read since the last call. */
bool transport_has_news(ssh_session *s);

void transport_close(ssh_session *s);

#endif
