/* Signals and the CPU-time tick; see interrupt.h. Everything in a handler here is async-signal-safe. */
#include "task/interrupt.h"

#include "task/task.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define TICK_MICROSECONDS 50000
#define SECOND_SIGNAL_WITHIN 2     /* seconds */
#define GRACE_INSTRUCTIONS 1000000 /* some 10 ms */
#define ABORT_FUNCTIONS 4
#define OWN_CODE "=hostler:" /* how the chunks that are embedded in the binary are named */

static uv_async_t wakeup;
static pthread_t loop_thread;
static lua_State *volatile watched;
static volatile sig_atomic_t signal_pending, forgives;
static volatile time_t first_signal_at;
static void (*abort_functions[ABORT_FUNCTIONS])(void);
static int abort_count;

void interrupt_on_abort(void (*function)(void)) {
    if (abort_count < ABORT_FUNCTIONS)
        abort_functions[abort_count++] = function;
}

void interrupt_forgive(bool forgiving) {
    forgives = forgiving;
}

static time_t monotonic_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static void on_signal(int number) {
    int saved_errno = errno;
    time_t now = monotonic_seconds();
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

void interrupt_deliver(void) {
    if (!signal_pending)
        return;
    const char *reason = signal_pending == SIGINT    ? "interrupted (Ctrl-C)"
                         : signal_pending == SIGTERM ? "interrupted (SIGTERM)"
                                                     : "interrupted (SIGHUP)";
    bool by_ctrl_c = signal_pending == SIGINT;
    signal_pending = 0;
    task_interrupt(reason, by_ctrl_c);
}

static void on_wakeup(uv_async_t *handle) {
    (void)handle;
    interrupt_deliver();
}

static void hook(lua_State *L, lua_Debug *frame) {
    lua_sethook(L, NULL, 0, 0);
    interrupt_deliver();
    bool own_code = lua_getinfo(L, "S", frame) && strncmp(frame->source, OWN_CODE, sizeof OWN_CODE - 1) == 0;
    if (task_poll(L, own_code))
        lua_sethook(L, hook, LUA_MASKCOUNT, 1);
}

void interrupt_again(lua_State *L) {
    lua_sethook(L, hook, LUA_MASKCOUNT, GRACE_INSTRUCTIONS);
}

static void on_tick(int number) {
    if (!pthread_equal(pthread_self(), loop_thread)) { /* a library's thread: the hook is not its to set */
        pthread_kill(loop_thread, number);
        return;
    }
    lua_State *thread = watched;
    if (thread)
        lua_sethook(thread, hook, LUA_MASKCOUNT, 1);
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

void interrupt_open(uv_loop_t *loop) {
    loop_thread = pthread_self();
    uv_async_init(loop, &wakeup, on_wakeup);
    uv_unref((uv_handle_t *)&wakeup);
    first_signal_at = 0;
    forgives = false;
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
