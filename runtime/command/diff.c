/* hostler diff: see diff.lua. */
#include "command.h"

int command_diff(int argc, char **argv) {
    return command_run_lua("diff", argc, argv);
}
