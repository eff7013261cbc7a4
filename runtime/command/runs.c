/* hostler runs: see runs.lua. */
#include "command.h"

int command_runs(int argc, char **argv) {
    return command_run_lua("runs", argc, argv);
}
