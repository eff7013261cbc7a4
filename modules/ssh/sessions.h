/* The sessions that are open: tasks with equal targets share one. Internal to the ssh module. */
#ifndef HOSTLER_SSH_SESSIONS_H
#define HOSTLER_SSH_SESSIONS_H

#include "ssh/session.h"

/* The session for this target: an open one with the same key, or a new one that begins to connect. Takes over
 * the target's memory. The caller owns a reference. `via` may be NULL. */
ssh_session *sessions_find(ssh_target *target, ssh_session *via);

/* Nobody uses it any more: it closes as soon as nobody waits for what it carries. sessions_find takes that
 * back.
 */
void sessions_release(ssh_session *s);

/* Says goodbye and closes. */
void sessions_close(ssh_session *s, const char *code, const char *reason);
void sessions_close_all(void);

#endif
