/* argv -> command. */
#include "base/output.h"
#include "base/process.h"
#include "command/help.h"
#include "command/lua_main.h"
#include "command/table.h"
#include "command/version.h"
#include "command/worker_process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXIT_FAILED 1
#define EXIT_USAGE 2

static bool asks_for_help(const char *word) {
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* A lone option that stands for a command, as people are used to. */
static const char *spelled(const char *word) {
    if (asks_for_help(word))
        return "help";
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
        return "version";
    return word;
}

/* Descriptors 0 to 2 that are closed would be given to the first socket or file that is opened. */
static void open_standard_files(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd)
            _exit(EXIT_FAILED);
}

/* A reader that has gone away is told nothing. */
static int check_output(int status) {
    int error = output_error();
    if (!error)
        return status;
    if (error != EPIPE)
        fprintf(stderr, "hostler: cannot write to standard output: %s\n", strerror(error));
    return status ? status : EXIT_FAILED;
}

/* Whether the words behind a command ask what it takes. `hostler run NAME --help` is the playbook's own page.
 */
static bool wants_help(const char *name, int argc, char **argv) {
    int most = strcmp(name, "run") == 0 && argc > 2 ? 2 : argc;
    for (int i = 1; i < most && strcmp(argv[i], "--") != 0; i++)
        if (asks_for_help(argv[i]))
            return true;
    return false;
}

/* argv begins with the command's name. */
static int run(const char *name, int argc, char **argv) {
    if (wants_help(name, argc, argv))
        return help_main(2, (char *[]){"help", (char *)name});
    if (strcmp(name, "help") == 0)
        return help_main(argc, argv);
    if (strcmp(name, "version") == 0)
        return version_main(argc, argv);
    if (strcmp(name, "worker") == 0 && argc == 2 && strcmp(argv[1], "--process") == 0)
        return worker_process_main();
    return lua_main(name, argc, argv);
}

static int dispatch(int argc, char **argv) {
    if (argc < 2) {
        help_main(1, argv);
        return EXIT_USAGE;
    }
    const command *c = command_find(spelled(argv[1]));
    return c ? run(c->name, argc - 1, argv + 1) : help_unknown(argv[1]);
}

int main(int argc, char **argv) {
    open_standard_files();
    process_raise_descriptors();
    return check_output(dispatch(argc, argv));
}
