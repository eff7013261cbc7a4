/* The SSH agent protocol (draft-miller-ssh-agent) over the agent's socket, on the loop.
 *
 * One connection to each agent serves all sessions; requests wait for each other, since a person may have to
 * confirm. */
#ifndef HOSTLER_SSH_AGENT_H
#define HOSTLER_SSH_AGENT_H

#include "ssh/wire.h"

typedef struct ssh_agent ssh_agent;

/* Gets the reply's type byte and the rest of it; type 0 when the agent did not answer. */
typedef void agent_reply(void *context, unsigned char type, const unsigned char *data, size_t length);

enum { AGENT_FAILURE = 5, AGENT_IDENTITIES = 12, AGENT_SIGNATURE = 14 };

/* The agent at this socket; connects with the first request. Lives until agents_close. */
ssh_agent *agent_at(const char *path);

/* Asks for the keys: the reply is AGENT_IDENTITIES, a count, and for each a blob and a comment. */
void agent_list(ssh_agent *agent, agent_reply *done, void *context);

/* Asks for a signature by this algorithm, such as "rsa-sha2-512": the reply is AGENT_SIGNATURE and a string.
 */
void agent_sign(ssh_agent *agent, const char *algorithm, const void *blob, size_t blob_length,
                const void *data, size_t length, agent_reply *done, void *context);

/* The context's requests are no longer waited for. */
void agent_forget(void *context);

/* Why the agent did not answer, for people; "" when it did. */
const char *agent_problem(const ssh_agent *agent);

/* Closes the connections; called at the end of the world. */
void agents_close(void);

#endif
