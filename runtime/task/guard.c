/* The guardian of process groups; see guard.h.
 *
 * What it is told are numbers: BEGINS by this process, then the number of the new one, by the new one itself,
 * which alone can tell in time, and by its parent; FAILED when it could not become a program; its number
 * below zero when the group is released. The pipe ends only when every new process has become a program. */
#define _GNU_SOURCE /* pipe2, close_range */
#include "task/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <unistd.h>

#define MOST_PROCESSES (4 * 1024 * 1024) /* Linux has no larger number */
#define FAILED 0
#define BEGINS 1

static int guardian = -1; /* the pipe to it */
static bool spawning;

/* ---- the guardian ---- */

static unsigned char
    groups[MOST_PROCESSES / CHAR_BIT]; /* a bit for each; memory that nobody touches is none */

static void note(pid_t group, bool known) {
    unsigned char bit = (unsigned char)(1 << group % CHAR_BIT);
    if (group <= BEGINS || group >= MOST_PROCESSES)
        return;
    if (known)
        groups[group / CHAR_BIT] |= bit;
    else
        groups[group / CHAR_BIT] &= (unsigned char)~bit;
}

static void kill_groups(void) {
    for (size_t i = 0; i < sizeof groups; i++)
        for (int bit = 0; groups[i] && bit < CHAR_BIT; bit++)
            if (groups[i] & 1 << bit)
                kill(-(pid_t)(i * CHAR_BIT + (size_t)bit), SIGKILL);
}

/* In a forked process of a program with threads: nothing here may need memory or a lock. */
static void guard(int told) {
    pid_t number, newest = 0;
    ssize_t count;
    while ((count = read(told, &number, sizeof number)) == sizeof number || (count < 0 && errno == EINTR)) {
        if (count < 0)
            continue;
        if (number < 0)
            note(-number, false);
        else if (number == FAILED)
            note(newest, false);
        else
            note(number, true);
        newest = number > BEGINS ? number : 0;
    }
    kill_groups();
}

/* Signals, the terminal and files of the process that it came from do not concern it. */
static void live_apart(int told) {
    setsid();
    for (int number = 1; number < NSIG; number++)
        signal(number, number == SIGCHLD ? SIG_DFL : SIG_IGN);
    int nowhere = open("/dev/null", O_RDWR);
    for (int file = 0; file < 3; file++)
        dup2(nowhere, file);
    dup2(told, 3);
    close_range(4, ~0U, 0);
    if (chdir("/")) {
        /* then it stays where it is */
    }
    prctl(PR_SET_NAME, "hostler guardian");
    guard(3);
    _exit(0);
}

/* ---- its parent ---- */

static bool tell(pid_t number) {
    ssize_t count;
    do
        count = write(guardian, &number, sizeof number);
    while (count < 0 && errno == EINTR);
    return count == sizeof number;
}

/* In every process that this one forks, before it becomes a program. */
static void tell_of_me(void) {
    if (spawning)
        tell(getpid());
}

int guard_begin(void) {
    static bool forks_are_told;
    int ends[2];
    if (!forks_are_told && pthread_atfork(NULL, NULL, tell_of_me))
        return UV_ENOMEM;
    forks_are_told = true;
    if (pipe2(ends, O_CLOEXEC))
        return uv_translate_sys_error(errno);
    pid_t pid = fork();
    if (pid == 0)
        live_apart(ends[0]);
    close(ends[0]);
    if (pid < 0) {
        close(ends[1]);
        return uv_translate_sys_error(errno);
    }
    if (guardian >= 0)
        close(guardian);
    guardian = ends[1];
    return 0;
}

int guard_spawn(uv_loop_t *loop, uv_process_t *process, uv_process_options_t *options) {
    int problem = guardian >= 0 && tell(BEGINS) ? 0 : guard_begin();
    if (problem)
        return problem;
    options->flags |= UV_PROCESS_DETACHED;
    spawning = true;
    problem = uv_spawn(loop, process, options);
    spawning = false;
    tell(problem ? FAILED : process->pid);
    return problem;
}

void guard_release(pid_t group) {
    tell(-group);
}
