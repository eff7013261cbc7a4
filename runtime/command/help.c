/* hostler help: the commands, from their table. Of Lua it needs only the options of `hostler run`. */
#include "command/help.h"

#include "command/lua_main.h"
#include "command/table.h"
#include "report/terminal.h"

#include <stdio.h>
#include <string.h>

static const char examples[] = "\nhostler list              what there is\n"
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

int help_main(int argc, char **argv) {
    if (argc < 2)
        return print_page();
    const command *c = command_find(argv[1]);
    if (!c)
        return help_unknown(argv[1]);
    printf("usage: hostler %s %s\n\n%s\n", c->name, c->usage, c->summary);
    return strcmp(c->name, "run") == 0 ? lua_main("help", 1, argv) : 0;
}
