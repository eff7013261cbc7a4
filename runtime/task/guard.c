/* The guardian of a program; see guard.h.
 *
 * uv_spawn forks a process, and this one forks once more, before libuv goes on in it: the new one becomes the
 * program, and it stays as the guardian, of which libuv has the number. The two share a page: the program's
 * number, and whether the guardian has ended by itself. It is told what to do by signals, which wait while it
 * does something else. */
#define _GNU_SOURCE /* close_range, _Fork */
#include "task/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP SIGTERM
#define RELEASE SIGUSR1
#define KILL_ALL SIGUSR2 /* also from the kernel, when the parent is gone */

struct guarded {
    pid_t number;
    bool is_over; /* the guardian has seen all to the end that it had to */
};

static guarded *spawning; /* in guard_spawn */
static pid_t parent;

/* ---- the guardian: a fork of a program with threads, so nothing here may need memory or a lock ---- */

typedef struct {
    guarded *program;
    int status; /* of the program, when it has ended */
    bool ended, released, kills;
} guardian;

/* Calls `act` for each child; returns how often it said true. */
static int each_child(const guardian *g, bool (*act)(const guardian *g, pid_t child)) {
    char text[4096];
    int count = 0, list = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    pid_t child = 0;
    for (ssize_t length; list >= 0 && (length = read(list, text, sizeof text)) > 0;)
        for (ssize_t i = 0; i < length; i++) {
            bool digit = text[i] >= '0' && text[i] <= '9';
            if (!digit && child)
                count += act(g, child);
            child = digit ? child * 10 + (text[i] - '0') : 0;
        }
    close(list);
    return count;
}

static bool kill_child(const guardian *g, pid_t child) {
    (void)g;
    return kill(child, SIGKILL) == 0;
}

static bool is_of_group(const guardian *g, pid_t child) {
    return getpgid(child) == g->program->number;
}

static bool stop_child(const guardian *g, pid_t child) {
    return !is_of_group(g, child) && kill(child, SIGTERM) == 0;
}

/* While the program has not been waited for, or a child is of the group, its number is nobody else's. */
static void signal_group(const guardian *g, int number) {
    if (!g->ended || each_child(g, is_of_group))
        kill(-g->program->number, number);
}

static void begin_to_stop(guardian *g) {
    signal_group(g, SIGTERM);
    each_child(g, stop_child);
    g->released = false;
}

/* Whether there is still a child. */
static bool wait_for_ended(guardian *g) {
    pid_t child;
    int status;
    while ((child = waitpid(-1, &status, WNOHANG)) > 0)
        if (child == g->program->number) {
            g->ended = true;
            g->status = status;
        }
    return child == 0;
}

/* Children of a killed process become the guardian's, which is told of its end: then it is their turn. Those
 * of other users may be beyond its reach. */
static bool is_over(guardian *g) {
    bool has_children = wait_for_ended(g);
    if (g->kills)
        has_children = each_child(g, kill_child) > 0;
    return g->ended && (g->released || !has_children);
}

static void begin_to_kill(guardian *g) {
    signal_group(g, SIGKILL);
    g->kills = true;
    g->released = false;
}

static void end_like(int status) {
    if (WIFSIGNALED(status)) {
        sigset_t others;
        sigfillset(&others);
        sigdelset(&others, WTERMSIG(status));
        prctl(PR_SET_DUMPABLE, 0);
        sigprocmask(SIG_SETMASK, &others, NULL);
        kill(getpid(), WTERMSIG(status));
    }
    _exit(WEXITSTATUS(status));
}

static void guard(guardian *g) {
    sigset_t all;
    sigfillset(&all);
    if (getppid() != parent)
        begin_to_kill(g);
    while (!is_over(g)) {
        int number = sigwaitinfo(&all, NULL);
        if (number == STOP)
            begin_to_stop(g);
        else if (number == RELEASE)
            g->released = !g->kills;
        else if (number == KILL_ALL)
            begin_to_kill(g);
    }
    g->program->is_over = true;
    end_like(g->status);
}

/* The terminal and files of the process that it came from do not concern it. */
static void live_apart(void) {
    setsid();
    int nowhere = open("/dev/null", O_RDWR);
    for (int file = 0; file < 3; file++)
        dup2(nowhere, file);
    close_range(3, ~0U, 0);
    if (chdir("/")) {
        /* then it stays where it is */
    }
    prctl(PR_SET_NAME, "hostler guardian");
}

/* In every process that this one forks. */
static void fork_again(void) {
    guardian g = {.program = spawning};
    if (!spawning)
        return;
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_PDEATHSIG, KILL_ALL);
    pid_t self = getpid(), child = _Fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != self)
            _exit(127);
        spawning = NULL;
        return;
    }
    if (child < 0)
        _exit(127);
    g.program->number = child;
    live_apart();
    guard(&g);
}

/* ---- its parent ---- */

int guard_spawn(uv_loop_t *loop, uv_process_t *process, uv_process_options_t *options, guarded **program) {
    static bool forks_again;
    *program = NULL;
    if (!forks_again && pthread_atfork(NULL, NULL, fork_again))
        return UV_ENOMEM;
    forks_again = true;
    void *page = mmap(NULL, sizeof **program, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return uv_translate_sys_error(errno);
    options->flags |= UV_PROCESS_DETACHED;
    parent = getpid();
    spawning = page;
    int problem = uv_spawn(loop, process, options);
    spawning = NULL;
    if (problem)
        munmap(page, sizeof **program);
    else
        *program = page;
    return problem;
}

void guard_stop(const uv_process_t *process) {
    kill(process->pid, STOP);
}

void guard_kill(const uv_process_t *process) {
    kill(process->pid, KILL_ALL);
}

void guard_release(const uv_process_t *process) {
    kill(process->pid, RELEASE);
}

void guard_free(guarded *program) {
    if (!program->is_over && program->number) /* somebody has killed the guardian */
        kill(-program->number, SIGKILL);
    munmap(program, sizeof *program);
}
