/* hostler cancel: see cancel.lua. */
#include "command.h"

int command_cancel(int argc, char **argv) {
    return command_run_lua("cancel", argc, argv);
}
