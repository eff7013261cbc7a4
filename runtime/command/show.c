/* hostler show: see show.lua. */
#include "command.h"

int command_show(int argc, char **argv) {
    return command_run_lua("show", argc, argv);
}
