/* See table.h. */
#include "command/table.h"

#include <stddef.h>
#include <string.h>

const command commands[] = {
    {"run", "run a playbook"},
    {"runs", "list the recorded runs"},
    {"log", "show what a run did or does"},
    {"resume", "go on with a run where it stopped"},
    {"debug", "look into a run that has failed, at the place where it did"},
    {"attach", "join a run that goes on: follow it, let it stop before a step, look at it"},
    {"undo", "take back what a run did, newest first"},
    {"cancel", "stop a run"},
    {"answer", "answer a run's question, and go on with it"},
    {"repl", "a prompt with everything that playbooks have"},
    {"inbox", "what came by webhooks, and what became of it"},
    {"webhook", "say what would come of a delivery"},
    {"worker", "go through the runs that were left to workers (run --queue)"},
    {"serve", "answer webhooks, and go through the runs that come of them"},
    {"schedules", "what runs by itself and when, by systemd's timers"},
    {"list", "list the playbooks"},
    {"show", "explain a playbook; also a module, a function, a global"},
    {"new", "begin a playbook or a webhook of your own"},
    {"edit", "change a playbook, a shipped one as a copy of your own; then check it"},
    {"diff", "what you changed in a shipped playbook, and what hostler changed since"},
    {"check", "look for mistakes in playbooks without running them"},
    {"stubs", "write definition files for editors with lua-language-server"},
    {"doctor", "look whether everything is there that the playbooks need"},
    {"completion", "print what makes a shell complete hostler's words: source <(hostler completion bash)"},
    {"version", "print the version"},
    {"help", "this page, or one command's"},
    {NULL, NULL},
};

const command *command_find(const char *name) {
    for (const command *c = commands; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}
