/* hostler new: see new.lua. */
#include "command.h"

int command_new(int argc, char **argv) {
    return command_run_lua("new", argc, argv);
}
