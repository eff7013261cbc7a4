#include "event.h"
report *report_tree_new(FILE *out, int verbosity) {
    return report_plain_new(out, verbosity);
}
