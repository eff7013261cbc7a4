/* See table.h. */
#include "command/table.h"

#include <stddef.h>
#include <string.h>

const command commands[] = {
    {"run", "NAME [ARGUMENTS] [--option VALUE]", "run a playbook"},
    {"runs", "[--status STATUS] [--playbook NAME] [--since 7d] [--json] [--prune 90d]",
     "list the recorded runs"},
    {"log", "RUN [-f] [-v] [--json]", "show what a run did or does"},
    {"resume", "RUN [--code latest]", "go on with a run where it stopped"},
    {"debug", "RUN [--code latest]", "look into a run that has failed, at the place where it did"},
    {"attach", "RUN", "join a run that goes on: follow it, let it stop before a step, look at it"},
    {"undo", "RUN", "take back what a run did, newest first"},
    {"cancel", "RUN", "stop a run"},
    {"answer", "RUN VALUE", "answer a run's question, and go on with it"},
    {"repl", "[--write] [-e CODE] [FILE]", "a prompt with everything that playbooks have"},
    {"inbox", "[show ID | run ID [ARGUMENTS]] [--status STATUS] [--json] [--prune 90d]",
     "what came by webhooks, and what became of it"},
    {"webhook", "test NAME --file BODY [--header 'NAME: VALUE']", "say what would come of a delivery"},
    {"worker", "[--jobs N] [--once]", "go through the runs that were left to workers (run --queue)"},
    {"serve", "[--jobs N] [--socket PATH | --listen ADDRESS:PORT]",
     "answer webhooks, and go through the runs that come of them"},
    {"schedules", "[--install | --remove] [--force] [--json]",
     "what runs by itself and when, by systemd's timers"},
    {"list", "[--json]", "list the playbooks"},
    {"show", "NAME", "explain a playbook; also a module, a function, a global"},
    {"new", "NAME", "begin a playbook of your own"},
    {"edit", "NAME [--merged]", "change a playbook, a shipped one as a copy of your own; then check it"},
    {"diff", "NAME", "what you changed in a shipped playbook, and what hostler changed since"},
    {"check", "[NAME|FILE ...] [--json]", "look for mistakes in playbooks without running them"},
    {"stubs", "DIRECTORY", "write definition files for editors with lua-language-server"},
    {"doctor", "[--json]", "look whether everything is there that the playbooks need"},
    {"completion", "bash|zsh|fish", "print what makes the shell complete hostler's words"},
    {"version", "[--libraries]", "print the version"},
    {"help", "[COMMAND]", "this page, or one command's"},
    {NULL, NULL, NULL},
};

const command *command_find(const char *name) {
    for (const command *c = commands; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}
