/* hostler version, and the versions of the libraries it runs on. Makes no Lua world: it has to be quick. */
#include "command/version.h"

#include "base/libraries.h"
#include "base/version.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static void print_libraries(void) {
    size_t count;
    const library_version *libraries = library_versions(&count);
    for (size_t i = 0; i < count; i++)
        printf("  %-14s %s\n", libraries[i].name, libraries[i].version);
}

static const char usage[] = "usage: hostler version [--libraries]\n";

int version_help(void) {
    printf("%s  --libraries  also those of the libraries it runs on\n", usage);
    return 0;
}

int version_main(int argc, char **argv) {
    bool libraries = argc == 2 && strcmp(argv[1], "--libraries") == 0;
    if (argc > 1 && !libraries) {
        fputs(usage, stderr);
        return 2;
    }
    printf("hostler %s\n", HOSTLER_VERSION);
    if (libraries)
        print_libraries();
    return 0;
}
