/* The commands: what they are called and what they are for. What a command does is the function
 * main(argv, commands) of NAME.lua beside this, which also knows what it takes; version and help need no Lua.
 */
#ifndef HOSTLER_COMMAND_TABLE_H
#define HOSTLER_COMMAND_TABLE_H

typedef struct {
    const char *name;
    const char *summary; /* one line for `hostler help` */
} command;

/* In the order of the help page; ends with a NULL name. */
extern const command commands[];

/* The command of this name, or NULL. */
const command *command_find(const char *name);

#endif
