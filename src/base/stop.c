/* SPDX-License-Identifier: Apache-2.0
 *
 * Being asked to stop. The first signal sets a flag and says so at once; the second has its default
 * effect, so that a process that does not come to its flag can still be ended. Files need nothing
 * then: they appear whole or not at all. */
#define _GNU_SOURCE /* pipe2 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"

/* timeout(1) and some batch systems send one request twice, to the process and to its group: the
 * second time after a turn of others', where the machine is busy. */
static const int64_t same_request_ns = 20000000;
static const int64_t same_sender_ns = 1000000000;
static const double  sleep_slice = 0.05;

static atomic_int            asked; /* the first signal's number */
static atomic_int            told;  /* the number that another process of the job was asked with */
static atomic_int_least64_t  asked_at;
static atomic_int            asked_by; /* the process that sent it; 0: none */
static atomic_int            is_saved;
static atomic_int            pipe_kills; /* SIGPIPE had its default effect at the start */
static _Atomic(const char *) words;
static atomic_int            pipe_read = -1;
static atomic_int            pipe_write = -1;

static _Thread_local int shields;

static const struct {
    int         number;
    const char *name;
} signals[] = {{SIGTERM, "SIGTERM"}, {SIGINT, "SIGINT"},   {SIGHUP, "SIGHUP"},
               {SIGUSR1, "SIGUSR1"}, {SIGUSR2, "SIGUSR2"}, {SIGXCPU, "SIGXCPU"},
               {SIGXFSZ, "SIGXFSZ"}};

static const char *name_of(int number) {
    for (size_t i = 0; i < BT_ARRAY_LEN(signals); i++) {
        if (signals[i].number == number) {
            return signals[i].name;
        }
    }
    return "a request";
}

/* The handler: nothing here that POSIX does not allow in one. */

static int64_t now_ns(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void wake(void) {
    const int fd = atomic_load(&pipe_write);
    if (fd >= 0) {
        (void)!write(fd, "", 1); /* full: it is readable already */
    }
}

/* true: it was the first one. */
static bool ask(int number, int sender) {
    int none = 0;
    if (atomic_load(&asked) == 0) { /* before the flag: another thread's handler looks at them */
        atomic_store(&asked_at, now_ns());
        atomic_store(&asked_by, sender);
    }
    if (!atomic_compare_exchange_strong(&asked, &none, number)) {
        return false;
    }
    wake();
    return true;
}

/* A core file of a run's memory helps nobody who asked twice. */
static void end_now(int number) {
    if (number == SIGXCPU || number == SIGXFSZ) {
        _exit(128 + number);
    }
    (void)signal(number, SIG_DFL);
    (void)raise(number); /* takes effect when the handler returns */
}

/* The kernel itself sends SIGXFSZ to the thread whose write is too long, which the write's error
 * tells better, and SIGXCPU again each second. */
static bool is_from_kernel(int number, const siginfo_t *info) {
    return (number == SIGXFSZ && info->si_code == SI_USER && info->si_pid == getpid()) ||
           (number == SIGXCPU && info->si_code == SI_KERNEL);
}

/* 0: no process, as for a terminal's Ctrl-C. */
static int sender_of(const siginfo_t *info) {
    const bool is_sent =
        info->si_code == SI_USER || info->si_code == SI_QUEUE || info->si_code == SI_TKILL;
    return is_sent ? (int)info->si_pid : 0;
}

/* After the first one: is this that one again? */
static bool is_same_request(int number, int sender) {
    const int64_t since = now_ns() - atomic_load(&asked_at);
    const bool    is_same_sender = sender != 0 && sender == atomic_load(&asked_by);
    return number == atomic_load(&asked) &&
           since < (is_same_sender ? same_sender_ns : same_request_ns);
}

static void on_signal(int number, siginfo_t *info, void *context) {
    const int  saved_errno = errno;
    const bool by_kernel = is_from_kernel(number, info);
    (void)context;
    if (number == SIGXFSZ && by_kernel) {
        return;
    }
    if (ask(number, sender_of(info))) {
        const char *const when = atomic_load(&words);
        const char *const parts[] = {name_of(number), ": stopping", when != NULL ? " " : "",
                                     when != NULL ? when : "", "; again to stop now"};
        bt_log_from_handler("stop", parts, BT_ARRAY_LEN(parts));
    } else if (!by_kernel && !is_same_request(number, sender_of(info))) {
        end_now(number);
    }
    errno = saved_errno;
}

static void make_pipe(void) {
    int ends[2];
    if (atomic_load(&pipe_read) >= 0 || pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        return; /* without it the slices of bt_stop_sleep and others' time limits still work */
    }
    atomic_store(&pipe_read, ends[0]);
    atomic_store(&pipe_write, ends[1]);
}

void bt_stop_install(void) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigemptyset(&action.sa_mask);
    (void)sigemptyset(&ignore.sa_mask);
    make_pipe();
    for (size_t i = 0; i < BT_ARRAY_LEN(signals); i++) {
        struct sigaction old;
        if (sigaction(signals[i].number, NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
            (void)sigaction(signals[i].number, &action, NULL);
        }
    }
    struct sigaction before;
    if (sigaction(SIGPIPE, &ignore, &before) == 0) {
        atomic_store(&pipe_kills, before.sa_handler == SIG_DFL);
    }
}

void bt_stop_broken_pipe(void) {
    if (atomic_load(&pipe_kills) != 0) {
        (void)signal(SIGPIPE, SIG_DFL);
        (void)raise(SIGPIPE);
    }
}

bool bt_stop_requested(void) {
    return atomic_load_explicit(&asked, memory_order_relaxed) != 0 ||
           atomic_load_explicit(&told, memory_order_relaxed) != 0;
}

int bt_stop_signal(void) {
    const int number = atomic_load(&asked);
    return number != 0 ? number : atomic_load(&told);
}

const char *bt_stop_signal_name(void) {
    return name_of(bt_stop_signal());
}

void bt_stop_tell(int number) {
    if (!bt_stop_requested()) {
        atomic_store(&told, number);
        wake();
    }
}

const char *bt_stop_say(const char *new_words) {
    return atomic_exchange(&words, new_words);
}

void bt_stop_shield(bool on) {
    shields += on ? 1 : -1;
    BT_ASSERT(shields >= 0);
}

bool bt_stop_now(void) {
    return bt_stop_requested() && shields == 0;
}

bt_status bt_stop_check(bt_error *err) {
    if (!bt_stop_requested()) {
        return BT_OK;
    }
    return BT_FAIL(err, BT_E_INTERRUPTED, "stopped by %s", bt_stop_signal_name());
}

bt_status bt_stop_check_now(bt_error *err) {
    return bt_stop_now() ? bt_stop_check(err) : BT_OK;
}

bool bt_stop_sleep(double seconds) {
    const double end = bt_time_monotonic() + seconds;
    const bool   was_asked = bt_stop_requested();
    for (;;) {
        const double left = end - bt_time_monotonic();
        if (bt_stop_now()) {
            return false;
        }
        if (left <= 0 || (bt_stop_requested() && !was_asked)) {
            return true;
        }
        const double          part = left < sleep_slice ? left : sleep_slice;
        const struct timespec t = {.tv_nsec = (long)(part * 1e9)};
        (void)nanosleep(&t, NULL); /* EINTR: the flag says more */
    }
}

int bt_stop_fd(void) {
    return atomic_load(&pipe_read);
}

void bt_stop_mark_saved(void) {
    atomic_store(&is_saved, 1);
}

int bt_stop_exit_code(void) {
    const int number = bt_stop_signal();
    return atomic_load(&is_saved) != 0 || number == 0 ? bt_status_exit_code(BT_E_INTERRUPTED)
                                                      : 128 + number;
}

void bt_stop_set(int signal_number) {
    if (signal_number != 0) {
        (void)ask(signal_number, 0);
        return;
    }
    char      byte = 0;
    const int fd = atomic_load(&pipe_read);
    while (fd >= 0 && read(fd, &byte, 1) == 1) {
    }
    atomic_store(&asked, 0);
    atomic_store(&told, 0);
    atomic_store(&is_saved, 0);
    (void)bt_stop_say(NULL);
}
