/* See core_dump.h. The kernel asks for the flag, whatever /proc/sys/kernel/core_pattern says; the limit is
 * for the programs that are started from here, which are given secrets too: a new program has the flag of its
 * own. */
#include "base/core_dump.h"

#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

void core_dump_forbid(void) {
    const char *wanted = getenv("HOSTLER_CORE");
    if (wanted && *wanted)
        return;
    struct rlimit limit;
    if (getrlimit(RLIMIT_CORE, &limit) == 0) {
        limit.rlim_cur = 0;
        setrlimit(RLIMIT_CORE, &limit);
    }
    prctl(PR_SET_DUMPABLE, 0);
}
