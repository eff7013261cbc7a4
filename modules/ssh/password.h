/* Logging in with a password, by either of the two methods that take one: "password" (RFC 4252, section 8)
 * and "keyboard-interactive" (RFC 4256). Internal to the ssh module. */
#ifndef HOSTLER_SSH_PASSWORD_H
#define HOSTLER_SSH_PASSWORD_H

#include "ssh/session.h"

struct password_talk {
    int rounds;      /* of questions */
    bool given;      /* the password, as an answer */
    char asked[160]; /* a question that has no answer here, fit to be shown */
};

/* One turn: EAGAIN, 0 when it logged in, or libssh2's error. The session has a talk and its target a
 * password. */
int password_step(ssh_session *s);
int password_step_interactive(ssh_session *s);

#endif
