/* hostler help: the commands, from their table. What one of them takes its Lua file says. */
#include "command/help.h"

#include "command/lua_main.h"
#include "command/table.h"
#include "command/version.h"
#include "report/terminal.h"

#include <stdio.h>
#include <string.h>

static const char examples[] = "\nhostler help run          what a command takes, each option explained\n"
                               "hostler list              what there is\n"
                               "hostler show setup        what it does and takes\n"
                               "hostler run setup -n ...  what it would do, without doing it\n";

int help_unknown(const char *word) {
    return lua_main("unknown", 2, (char *[]){"unknown", (char *)word});
}

static int print_page(void) {
    text_buffer page = {0};
    text_puts(&page, "hostler runs playbooks: procedures of the operations handbook, written in Lua.\n\n");
    for (const command *c = commands; c->name; c++)
        text_printf(&page, "  hostler %-10s  %s\n", c->name, c->summary);
    text_puts(&page, examples);
    terminal_page(stdout, page.text);
    text_free(&page);
    return 0;
}

static void print_heading(const command *c) {
    text_buffer line = {0};
    text_printf(&line, "hostler %s — %s\n\n", c->name, c->summary);
    terminal_page(stdout, line.text);
    text_free(&line);
}

int help_main(int argc, char **argv) {
    if (argc < 2 || strcmp(argv[1], "help") == 0)
        return print_page();
    const command *c = command_find(argv[1]);
    if (!c)
        return help_unknown(argv[1]);
    print_heading(c);
    if (strcmp(c->name, "version") == 0)
        return version_help();
    return lua_main(c->name, 2, (char *[]){(char *)c->name, "--help"});
}
