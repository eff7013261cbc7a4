/* hostler stubs: see stubs.lua. */
#include "command.h"

int command_stubs(int argc, char **argv) {
    return command_run_lua("stubs", argc, argv);
}
