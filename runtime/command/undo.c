/* hostler undo: see runtime/run/undo.lua. */
#include "command.h"

int command_undo(int argc, char **argv) {
    return command_run_lua("undo", argc, argv);
}
