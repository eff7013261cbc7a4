/* hostler list: see list.lua. */
#include "command.h"

int command_list(int argc, char **argv) {
    return command_run_lua("list", argc, argv);
}
