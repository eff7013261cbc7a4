/* hostler doctor: see doctor.lua. */
#include "command.h"

int command_doctor(int argc, char **argv) {
    return command_run_lua("doctor", argc, argv);
}
