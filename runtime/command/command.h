/* The subcommands. Each takes argv from its own name on and returns the exit status. */
#ifndef HOSTLER_COMMAND_H
#define HOSTLER_COMMAND_H

typedef struct {
    const char *name;
    const char *usage;   /* after "hostler NAME " */
    const char *summary; /* one line for `hostler help` */
    int (*run)(int argc, char **argv);
} command;

/* Ends with a NULL name. */
extern const command commands[];

/* Runs runtime/lua/FILE.lua's main(arguments) in a fresh world. */
int command_run_lua(const char *file, int argc, char **argv);

/* Says that there is no such command and what may have been meant. */
int command_unknown(const char *word);

int command_answer(int argc, char **argv);
int command_attach(int argc, char **argv);
int command_cancel(int argc, char **argv);
int command_check(int argc, char **argv);
int command_completion(int argc, char **argv);
int command_debug(int argc, char **argv);
int command_diff(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_edit(int argc, char **argv);
int command_help(int argc, char **argv);
int command_list(int argc, char **argv);
int command_log(int argc, char **argv);
int command_new(int argc, char **argv);
int command_repl(int argc, char **argv);
int command_resume(int argc, char **argv);
int command_run(int argc, char **argv);
int command_runs(int argc, char **argv);
int command_show(int argc, char **argv);
int command_stubs(int argc, char **argv);
int command_undo(int argc, char **argv);
int command_version(int argc, char **argv);
int command_worker(int argc, char **argv);

#endif
