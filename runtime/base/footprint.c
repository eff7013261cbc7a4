/* See footprint.h. */
#include "base/footprint.h"

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

/* How many of the names in a folder of /proc are numbers. */
static int count_numbers(const char *path) {
    DIR *folder = opendir(path);
    int count = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        count += isdigit((unsigned char)*entry->d_name) != 0;
    if (folder)
        closedir(folder);
    return count;
}

static int count_children(void) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "re");
    int count = 0, pid;
    while (file && fscanf(file, "%d", &pid) == 1)
        count++;
    if (file)
        fclose(file);
    return count;
}

static size_t read_resident(void) {
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long pages = 0;
    bool known = file && fscanf(file, "%*u %lu", &pages) == 1;
    if (file)
        fclose(file);
    return known ? pages * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

footprint footprint_now(void) {
    return (footprint){count_numbers("/proc/self/fd"), count_numbers("/proc/self/task"), count_children(),
                       read_resident()};
}
