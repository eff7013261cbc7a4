/* See long_work.h. */
#include "base/long_work.h"

#include <lauxlib.h>

#define STEPS_BETWEEN_QUESTIONS 100000 /* about a millisecond */

static bool (*ask_must_end)(lua_State *L, unsigned long times);
static void (*raise_end)(lua_State *L);

void long_work_ask(bool (*must_end)(lua_State *L, unsigned long times), void (*end)(lua_State *L)) {
    ask_must_end = must_end;
    raise_end = end;
}

bool long_work_must_end(long_work *work, size_t steps) {
    unsigned long before = work->steps / STEPS_BETWEEN_QUESTIONS;
    work->steps += steps;
    unsigned long times = work->steps / STEPS_BETWEEN_QUESTIONS;
    if (times != before && !work->must_end && ask_must_end)
        work->must_end = ask_must_end(work->L, times);
    return work->must_end;
}

int long_work_end(long_work *work) {
    raise_end(work->L);
    return luaL_error(work->L, "interrupted");
}

void long_work_count(long_work *work, size_t steps) {
    if (long_work_must_end(work, steps))
        long_work_end(work);
}
