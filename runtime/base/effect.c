/* See effect.h. */
#include "base/effect.h"

static bool is_open;

void effect_set_open(bool open) {
    is_open = open;
}

bool effect_is_open(void) {
    return is_open;
}
