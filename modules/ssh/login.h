/* Logging in, with public keys and passwords. Internal to the ssh module. */
#ifndef HOSTLER_SSH_LOGIN_H
#define HOSTLER_SSH_LOGIN_H

#include "ssh/session.h"

/* Logs in: EAGAIN, 0 when done, or an error with s->failure set. */
int login_step(ssh_session *s);

/* Frees what logging in needed, and wipes the password. */
void login_free(ssh_session *s);

/* Forgets the key files and closes the agents' connections; called at the end of the world. */
void login_close(void);

#endif
