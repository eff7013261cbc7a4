/* Chooses the report; see reports.h. */
#include "report/reports.h"

#include <lauxlib.h>

static int report_lua(lua_State *L) {
    static const char *const kinds[] = {"tree", "plain", "json", "prompt", "none", NULL};
    int verbosity = (int)luaL_optinteger(L, 2, 0);
    switch (luaL_checkoption(L, 1, NULL, kinds)) {
    case 0:
        event_set_report(report_tree_new(stdout, verbosity));
        break;
    case 1:
        event_set_report(report_plain_new(stdout, verbosity));
        break;
    case 2:
        event_set_report(report_json_new(stdout));
        break;
    case 3:
        event_set_report(report_prompt_new(stdout, verbosity));
        break;
    default:
        event_set_report(NULL);
    }
    return 0;
}

int reports_open(lua_State *L) {
    lua_pushcfunction(L, report_lua);
    return 1;
}
