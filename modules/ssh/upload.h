/* A file's way to the host. Internal to the ssh module. */
#ifndef HOSTLER_SSH_UPLOAD_H
#define HOSTLER_SSH_UPLOAD_H

#include "ssh/copy.h"

/* Makes the operation for these paths, which it copies. */
ssh_copy *upload_new(const char *local, const char *remote);

#endif
