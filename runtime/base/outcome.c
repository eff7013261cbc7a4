/* See outcome.h. */
#include "base/outcome.h"

#include "base/files.h"

#include <stdbool.h>

int outcome_push_refusal(lua_State *L, const char *reason) {
    lua_pushnil(L);
    lua_pushstring(L, reason);
    return 2;
}

int outcome_push(lua_State *L, int problem) {
    if (problem)
        return outcome_push_refusal(L, files_reason(problem));
    lua_pushboolean(L, true);
    return 1;
}
