/* argv -> command. */
#include "base/output.h"
#include "command/command.h"
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXIT_FAILED 1
#define EXIT_USAGE 2

const command commands[] = {
    {"run", "NAME [ARGUMENTS] [--option VALUE]", "run a playbook", command_run},
    {"runs", "[--status STATUS] [--playbook NAME] [--since 7d] [--json] [--prune 90d]",
     "list the recorded runs", command_runs},
    {"log", "RUN [-f] [-v] [--json]", "show what a run did or does", command_log},
    {"resume", "RUN [--code latest]", "go on with a run where it stopped", command_resume},
    {"debug", "RUN [--code latest]", "look into a run that has failed, at the place where it did",
     command_debug},
    {"attach", "RUN", "join a run that goes on: follow it, let it stop before a step, look at it",
     command_attach},
    {"undo", "RUN", "take back what a run did, newest first", command_undo},
    {"cancel", "RUN", "stop a run", command_cancel},
    {"answer", "RUN VALUE", "answer a run's question, and go on with it", command_answer},
    {"repl", "[--write] [-e CODE] [FILE]", "a prompt with everything that playbooks have", command_repl},
    {"worker", "[--jobs N] [--once]", "go through the queue of a store that controllers share",
     command_worker},
    {"list", "[--json]", "list the playbooks", command_list},
    {"show", "NAME", "explain a playbook; also a module, a function, a global", command_show},
    {"new", "NAME", "begin a playbook of your own", command_new},
    {"edit", "NAME [--merged]", "change a playbook, a shipped one as a copy of your own; then check it",
     command_edit},
    {"diff", "NAME", "what you changed in a shipped playbook, and what hostler changed since", command_diff},
    {"check", "[NAME|FILE ...] [--json]", "look for mistakes in playbooks without running them",
     command_check},
    {"stubs", "DIRECTORY", "write definition files for editors with lua-language-server", command_stubs},
    {"doctor", "[--json]", "look whether everything is there that the playbooks need", command_doctor},
    {"completion", "bash|zsh|fish", "print what makes the shell complete hostler's words",
     command_completion},
    {"version", "[--libraries]", "print the version", command_version},
    {"help", "[COMMAND]", "this page, or one command's", command_help},
    {NULL, NULL, NULL, NULL},
};

int command_run_lua(const char *file, int argc, char **argv) {
    lua_State *L = host_open();
    lua_createtable(L, argc, 0);
    for (int i = 1; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    char name[64];
    snprintf(name, sizeof name, "command/%s", file);
    int status = host_call(L, name, "main", 1);
    host_close(L);
    return status;
}

int command_unknown(const char *word) {
    char *arguments[sizeof commands / sizeof *commands + 1] = {"unknown", (char *)word};
    int count = 2;
    for (const command *c = commands; c->name; c++)
        arguments[count++] = (char *)c->name;
    return command_run_lua("unknown", count, arguments);
}

static const command *find(const char *name) {
    for (const command *c = commands; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

/* A lone option that stands for a command, as people are used to. */
static const char *spelled(const char *word) {
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return "help";
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
        return "version";
    return word;
}

/* Descriptors 0 to 2 that are closed would be given to the first socket or file that is opened. */
static void open_standard_files(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd)
            _exit(EXIT_FAILED);
}

/* A reader that has gone away is told nothing. */
static int check_output(int status) {
    int error = output_error();
    if (!error)
        return status;
    if (error != EPIPE)
        fprintf(stderr, "hostler: cannot write to standard output: %s\n", strerror(error));
    return status ? status : EXIT_FAILED;
}

static int dispatch(int argc, char **argv) {
    if (argc < 2) {
        command_help(1, argv);
        return EXIT_USAGE;
    }
    const command *c = find(spelled(argv[1]));
    if (!c)
        return command_unknown(argv[1]);
    for (int i = 2; c->run != command_run && i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return command_help(2, (char *[]){"help", argv[1]});
    return c->run(argc - 1, argv + 1);
}

int main(int argc, char **argv) {
    open_standard_files();
    return check_output(dispatch(argc, argv));
}
