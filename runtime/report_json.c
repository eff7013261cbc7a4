#include "event.h"
report *report_json_new(FILE *out) {
    return report_plain_new(out, 1);
}
