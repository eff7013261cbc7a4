/* See sleep.h. */
#include "task/sleep.h"

#include "base/error.h"
#include "task/handle.h"
#include "task/task.h"

#define LONGEST 1e9 /* seconds */

typedef struct {
    wait wait;
    uv_timer_t timer;
} sleep_wait;

static void sleep_closed(uv_handle_t *handle) {
    wait_done(handle->data);
}

static void on_sleep_over(uv_timer_t *timer) {
    handle_close(timer, sleep_closed);
}

static void cancel_sleep(wait *w) {
    handle_close(&((sleep_wait *)w)->timer, sleep_closed);
}

static int finish_nothing(lua_State *L, wait *w) {
    (void)L, (void)w;
    return 0;
}

double sleep_check_seconds(lua_State *L, int index) {
    double seconds = luaL_checknumber(L, index);
    if (!(seconds >= 0 && seconds < LONGEST))
        error_raise(L, "usage", "seconds must be a number from 0 up, not %g", seconds);
    return seconds;
}

static int park(lua_State *L, void (*cancel)(wait *)) {
    double seconds = sleep_check_seconds(L, 1);
    sleep_wait *s = wait_new(L, sizeof *s, cancel, finish_nothing);
    s->wait.what = "sleep";
    uv_timer_init(task_loop(), &s->timer);
    s->timer.data = &s->wait;
    uv_update_time(task_loop());
    uv_timer_start(&s->timer, on_sleep_over, (uint64_t)(seconds * 1000 + 0.5), 0);
    return wait_park(L, &s->wait);
}

int sleep_lua(lua_State *L) {
    return park(L, cancel_sleep);
}

int sleep_pause_lua(lua_State *L) {
    return park(L, NULL);
}
