/* hostler repl: see repl.lua. */
#include "command.h"

int command_repl(int argc, char **argv) {
    return command_run_lua("repl", argc, argv);
}
