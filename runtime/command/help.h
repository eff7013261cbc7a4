/* hostler help. */
#ifndef HOSTLER_COMMAND_HELP_H
#define HOSTLER_COMMAND_HELP_H

/* Prints the page of all commands, or that of the one in argv[1]; returns the exit status. */
int help_main(int argc, char **argv);

/* Says that there is no such command and what may have been meant. */
int help_unknown(const char *word);

#endif
