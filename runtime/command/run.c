/* hostler run: see run.lua. */
#include "command.h"

int command_run(int argc, char **argv) {
    return command_run_lua("run", argc, argv);
}
