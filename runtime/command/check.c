/* hostler check: see check.lua. */
#include "command.h"

int command_check(int argc, char **argv) {
    return command_run_lua("check", argc, argv);
}
