/* A file's way from the host. Internal to the ssh module. */
#ifndef HOSTLER_SSH_DOWNLOAD_H
#define HOSTLER_SSH_DOWNLOAD_H

#include "ssh/copy.h"

/* Makes the operation for these paths, which it copies. */
ssh_copy *download_new(const char *local, const char *remote);

#endif
