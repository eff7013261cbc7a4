/* Commands that are written in Lua. */
#ifndef HOSTLER_COMMAND_LUA_MAIN_H
#define HOSTLER_COMMAND_LUA_MAIN_H

/* Runs main(argv, commands) of NAME.lua in a fresh world and returns the exit status. The arguments are those
 * after argv[0]; the commands are a list of { name =, summary = }. */
int lua_main(const char *name, int argc, char **argv);

#endif
