/* Whether an effect is open: the only time at which a secret gives out its text and a module's C half touches
 * the outside. Who switches between tasks says so at each switch; who asks need know nothing of tasks. */
#ifndef HOSTLER_BASE_EFFECT_H
#define HOSTLER_BASE_EFFECT_H

#include <stdbool.h>

void effect_set_open(bool open);
bool effect_is_open(void);

#endif
