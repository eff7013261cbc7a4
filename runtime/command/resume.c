/* hostler resume: see runtime/run/resume.lua. */
#include "command.h"

int command_resume(int argc, char **argv) {
    return command_run_lua("resume", argc, argv);
}
