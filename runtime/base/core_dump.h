/* A core dump would write the secrets that this process holds into a file. */
#ifndef HOSTLER_BASE_CORE_DUMP_H
#define HOSTLER_BASE_CORE_DUMP_H

/* From now on this process leaves no core dump, and other processes of its user, debuggers too, cannot read
 * its memory. For those who work on hostler, HOSTLER_CORE=1 in the environment leaves both as they are. */
void core_dump_forbid(void);

#endif
