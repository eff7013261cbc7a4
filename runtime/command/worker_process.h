/* A process that a worker keeps for runs: one after the other, each in a world of its own. */
#ifndef HOSTLER_COMMAND_WORKER_PROCESS_H
#define HOSTLER_COMMAND_WORKER_PROCESS_H

/* Descriptor 3 is the connection to the worker. Returns an exit status, when the worker is gone or when
 * another process should take this one's place. */
int worker_process_main(void);

#endif
