/* hostler answer: see answer.lua. */
#include "command.h"

int command_answer(int argc, char **argv) {
    return command_run_lua("answer", argc, argv);
}
