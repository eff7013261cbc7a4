/* Signals and the CPU-time tick; see interrupt.h. Everything in a handler here is async-signal-safe. */
#include "task/interrupt.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define TICK_MICROSECONDS 50000
#define SECOND_SIGNAL_WITHIN 2 /* seconds */
#define ABORT_FUNCTIONS 4

static uv_async_t wakeup;
static pthread_t loop_thread;
static lua_State *volatile watched;
static volatile sig_atomic_t signal_pending, forgives;
static volatile time_t first_signal_at; /* in seconds of the monotonic clock */
static lua_Hook tick_hook;
static void (*abort_functions[ABORT_FUNCTIONS])(void);
static int abort_count;

void interrupt_on_abort(void (*function)(void)) {
    if (abort_count < ABORT_FUNCTIONS)
        abort_functions[abort_count++] = function;
}

void interrupt_forgive(bool forgiving) {
    forgives = forgiving;
}

static void on_signal(int number) {
    int saved_errno = errno;
    time_t now = (time_t)clock_monotonic();
    bool counts = number != SIGINT || !forgives;
    if (counts && first_signal_at && now - first_signal_at <= SECOND_SIGNAL_WITHIN) {
        for (int i = 0; i < abort_count; i++)
            abort_functions[i]();
        _exit(128 + number);
    }
    first_signal_at = counts ? now : first_signal_at;
    signal_pending = number;
    uv_async_send(&wakeup);
    errno = saved_errno;
}

int interrupt_take(void) {
    int number = signal_pending;
    signal_pending = 0;
    return number;
}

void interrupt_soon(void) {
    lua_State *thread = watched;
    if (thread)
        lua_sethook(thread, tick_hook, LUA_MASKCOUNT, 1);
}

static void on_tick(int number) {
    if (!pthread_equal(pthread_self(), loop_thread)) { /* a library's thread: the hook is not its to set */
        pthread_kill(loop_thread, number);
        return;
    }
    interrupt_soon();
}

void interrupt_watch(lua_State *thread) {
    watched = thread;
}

static void handle(int number, void (*function)(int)) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = function;
    action.sa_flags = SA_RESTART;
    sigaction(number, &action, NULL);
}

void interrupt_open(uv_loop_t *loop, lua_Hook hook) {
    tick_hook = hook;
    loop_thread = pthread_self();
    uv_async_init(loop, &wakeup, NULL);
    uv_unref((uv_handle_t *)&wakeup);
    first_signal_at = 0;
    forgives = false;
    abort_count = 0;
    handle(SIGINT, on_signal);
    handle(SIGTERM, on_signal);
    handle(SIGHUP, on_signal);
    handle(SIGPIPE, SIG_IGN);
    handle(SIGVTALRM, on_tick);
    struct itimerval tick = {{0, TICK_MICROSECONDS}, {0, TICK_MICROSECONDS}};
    setitimer(ITIMER_VIRTUAL, &tick, NULL);
}

void interrupt_close(void) {
    struct itimerval stop = {{0, 0}, {0, 0}};
    setitimer(ITIMER_VIRTUAL, &stop, NULL);
    handle(SIGINT, SIG_DFL);
    handle(SIGTERM, SIG_DFL);
    handle(SIGHUP, SIG_DFL);
    uv_close((uv_handle_t *)&wakeup, NULL);
}
