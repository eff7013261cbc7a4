/* hostler debug: see debug.lua. */
#include "command.h"

int command_debug(int argc, char **argv) {
    return command_run_lua("debug", argc, argv);
}
