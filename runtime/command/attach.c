/* hostler attach: see attach.lua. */
#include "command.h"

int command_attach(int argc, char **argv) {
    return command_run_lua("attach", argc, argv);
}
