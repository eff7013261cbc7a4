/* hostler edit: see edit.lua. */
#include "command.h"

int command_edit(int argc, char **argv) {
    return command_run_lua("edit", argc, argv);
}
