/* argv -> command. */
#include "command/command.h"
#include "host.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#define EXIT_USAGE 2

const command commands[] = {
    {"run", "NAME [ARGUMENTS] [--option VALUE]", "run a playbook", command_run},
    {"runs", "[--status STATUS] [--playbook NAME] [--since 7d] [--json] [--prune 90d]",
     "list the recorded runs", command_runs},
    {"log", "RUN [-f] [-v] [--json]", "show what a run did or does", command_log},
    {"resume", "RUN [--code latest]", "go on with a run where it stopped", command_resume},
    {"undo", "RUN", "take back what a run did, newest first", command_undo},
    {"cancel", "RUN", "stop a run", command_cancel},
    {"answer", "RUN VALUE", "answer a run's question, and go on with it", command_answer},
    {"list", "[--json]", "list the playbooks", command_list},
    {"show", "NAME", "explain a playbook: what it does and takes", command_show},
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
    int status = host_call(L, file, "main", 1);
    host_close(L);
    return status;
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

static int unknown_command(const char *name) {
    char *arguments[] = {"unknown", (char *)name};
    return command_run_lua("unknown", 2, arguments);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        command_help(1, argv);
        return EXIT_USAGE;
    }
    const command *c = find(spelled(argv[1]));
    if (!c)
        return unknown_command(argv[1]);
    for (int i = 2; c->run != command_run && i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return command_help(2, (char *[]){"help", argv[1]});
    return c->run(argc - 1, argv + 1);
}
