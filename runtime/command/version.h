/* hostler version. */
#ifndef HOSTLER_COMMAND_VERSION_H
#define HOSTLER_COMMAND_VERSION_H

/* Prints the version, with --libraries those of the libraries too; returns the exit status. */
int version_main(int argc, char **argv);

/* Prints what it takes; returns the exit status. */
int version_help(void);

#endif
