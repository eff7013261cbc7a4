/* hostler worker: see worker.lua. */
#include "command.h"

int command_worker(int argc, char **argv) {
    return command_run_lua("worker", argc, argv);
}
