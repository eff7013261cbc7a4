/* What is held for clients, and who gives way; see budget.h. */
#include "web/budget.h"

static void append(budget *b, burden *of) {
    of->before = b->last;
    of->after = NULL;
    *(b->last ? &b->last->after : &b->first) = of;
    b->last = of;
    of->yields = true;
}

static void take_out(budget *b, burden *of) {
    *(of->before ? &of->before->after : &b->first) = of->after;
    *(of->after ? &of->after->before : &b->last) = of->before;
    of->before = of->after = NULL;
    of->yields = false;
}

void budget_set(budget *b, burden *of, size_t bytes, bool can_yield) {
    size_t counted = bytes > BUDGET_FREE ? bytes - BUDGET_FREE : 0;
    bool yields = can_yield && counted > 0;
    b->held = b->held - of->bytes + counted;
    of->bytes = counted;
    if (yields && !of->yields)
        append(b, of);
    else if (!yields && of->yields)
        take_out(b, of);
}

void budget_excuse(budget *b, burden *of) {
    if (!of->yields)
        return;
    take_out(b, of);
    append(b, of);
}

burden *budget_next(const budget *b) {
    return b->held > b->most ? b->first : NULL;
}
