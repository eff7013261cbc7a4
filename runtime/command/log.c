/* hostler log: see log.lua. */
#include "command.h"

int command_log(int argc, char **argv) {
    return command_run_lua("log", argc, argv);
}
