/* What this machine says about how to connect: OpenSSH's configuration files, `ssh -G`, the environment. */
#ifndef HOSTLER_SSH_SETTINGS_H
#define HOSTLER_SSH_SETTINGS_H

#include <lua.h>

/* Adds to the table on top of the stack: environment user home machine config_files resolve read_file
 * write_file. */
void settings_register(lua_State *L);

#endif
