/* hostler completion: see completion.lua, which is told the commands. */
#include "command.h"

#include <stdlib.h>

int command_completion(int argc, char **argv) {
    int count = 0;
    for (const command *c = commands; c->name; c++)
        count++;
    char **arguments = calloc(3 + 2 * (size_t)count, sizeof *arguments);
    if (!arguments)
        return 1;
    arguments[0] = argv[0];
    arguments[1] = argc > 1 ? argv[1] : "";
    arguments[2] = argc > 2 ? argv[2] : "";
    int used = 3;
    for (const command *c = commands; c->name; c++) {
        arguments[used++] = (char *)c->name;
        arguments[used++] = (char *)c->summary;
    }
    int status = command_run_lua("completion", used, arguments);
    free(arguments);
    return status;
}
