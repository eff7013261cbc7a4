/* hostler help: the commands, from their table. */
#include "command.h"

#include <stdio.h>
#include <string.h>

static const char examples[] = "\nhostler list              what there is\n"
                               "hostler show setup        what it does and takes\n"
                               "hostler run setup -n ...  what it would do, without doing it\n";

int command_help(int argc, char **argv) {
    if (argc < 2) {
        puts("hostler runs playbooks: procedures of the operations handbook, written in Lua.\n");
        for (const command *c = commands; c->name; c++)
            printf("  hostler %-10s %s\n", c->name, c->summary);
        fputs(examples, stdout);
        return 0;
    }
    for (const command *c = commands; c->name; c++) {
        if (strcmp(c->name, argv[1]) != 0)
            continue;
        printf("usage: hostler %s %s\n\n%s\n", c->name, c->usage, c->summary);
        return strcmp(argv[1], "run") == 0 ? command_run_lua("help", 1, argv) : 0;
    }
    return command_unknown(argv[1]);
}
