/* SPDX-License-Identifier: Apache-2.0
 *
 * base: being asked to stop. Signals are sent to children, which answer with their exit status and
 * their standard error. */
#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "test_support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct ending {
    int  status; /* of waitpid */
    char text[2048];
} ending;

/* Runs work in a child whose standard error is kept. */
static ending in_child(void (*work)(void)) {
    ending result = {0};
    int    ends[2];
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        bt_log_setup("prog", BT_LOG_TEXT, 0);
        work();
        _exit(77);
    }
    (void)close(ends[1]);
    size_t  n = 0;
    ssize_t got = 0;
    while ((got = read(ends[0], result.text + n, sizeof result.text - 1 - n)) > 0) {
        n += (size_t)got;
    }
    (void)close(ends[0]);
    assert_int_equal(waitpid(child, &result.status, 0), child);
    return result;
}

static void assert_exit(ending e, int code, const char *text) {
    if (!WIFEXITED(e.status) || WEXITSTATUS(e.status) != code || strcmp(e.text, text) != 0) {
        fail_msg("status %x, expected exit code %d; it said: %s", (unsigned)e.status, code, e.text);
    }
}

static void one_signal(void) {
    bt_stop_install();
    (void)raise(SIGHUP);
    if (bt_stop_requested() && bt_stop_signal() == SIGHUP && bt_stop_now()) {
        _exit(bt_stop_exit_code());
    }
}

static void test_first_signal_is_told(void **state) {
    (void)state;
    assert_exit(in_child(one_signal), 128 + SIGHUP, "prog: SIGHUP: stopping; again to stop now\n");
}

static void json_and_words(void) {
    bt_log_setup("prog", BT_LOG_JSON, 0);
    bt_stop_install();
    (void)bt_stop_say("after this step");
    bt_stop_mark_saved();
    (void)raise(SIGUSR1);
    _exit(bt_stop_exit_code());
}

static void test_line_may_be_json(void **state) {
    (void)state;
    char        soon[BT_TIME_ISO_MAX], before[BT_TIME_ISO_MAX], at[BT_TIME_ISO_MAX] = "";
    ending      e = in_child(json_and_words);
    const char *rest = strchr(e.text, ',');
    assert_int_equal(WEXITSTATUS(e.status), 75);
    bt_time_iso(bt_time_unix_ms() - 100000, before);
    bt_time_iso(bt_time_unix_ms() + 1000, soon);
    assert_int_equal(sscanf(e.text, "{\"time\": \"%24[^\"]\",", at), 1);
    assert_true(strcmp(before, at) < 0 && strcmp(at, soon) < 0);
    assert_non_null(rest);
    assert_string_equal(
        rest, ", \"level\": \"info\", \"program\": \"prog\", \"event\": \"stop\", \"message\": "
              "\"SIGUSR1: stopping after this step; again to stop now\"}\n");
}

static void two_signals(void) {
    bt_stop_install();
    (void)raise(SIGTERM);
    (void)poll(NULL, 0, 50); /* others' turn, on a busy machine */
    (void)raise(SIGTERM);    /* the same request, sent twice by one process */
    (void)raise(SIGINT);
    _exit(1);
}

static void test_second_signal_ends_at_once(void **state) {
    (void)state;
    const ending e = in_child(two_signals);
    assert_true(WIFSIGNALED(e.status) && WTERMSIG(e.status) == SIGINT);
    assert_string_equal(e.text, "prog: SIGTERM: stopping; again to stop now\n");
}

static void two_senders(void) {
    bt_stop_install();
    (void)raise(SIGTERM);
    (void)poll(NULL, 0, 50);
    const pid_t sender = fork();
    if (sender == 0) {
        _exit(kill(getppid(), SIGTERM));
    }
    (void)waitpid(sender, NULL, 0);
    _exit(1);
}

static void test_another_process_asks_again(void **state) {
    (void)state;
    const ending e = in_child(two_senders);
    assert_true(WIFSIGNALED(e.status) && WTERMSIG(e.status) == SIGTERM);
    assert_string_equal(e.text, "prog: SIGTERM: stopping; again to stop now\n");
}

static void ignored_at_start(void) {
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    bt_stop_install();
    (void)raise(SIGHUP);
    (void)raise(SIGINT);
    (void)raise(SIGPIPE);
    _exit(bt_stop_requested() ? 1 : 0);
}

static void test_ignored_stays_ignored(void **state) {
    (void)state;
    assert_exit(in_child(ignored_at_start), 0, "");
}

/* A file size limit is an error of the write; the same signal from another process is a request. */
static void too_long_a_file(void) {
    const struct rlimit limit = {.rlim_cur = 10, .rlim_max = 10};
    char                path[] = "/tmp/bt_stop_XXXXXX";
    bt_stop_install();
    const int fd = mkstemp(path);
    (void)unlink(path);
    (void)setrlimit(RLIMIT_FSIZE, &limit);
    for (int i = 0; i < 3; i++) {
        errno = 0;
        const ssize_t wrote = write(fd, "0123456789", 10);
        if (wrote != (i == 0 ? 10 : -1) || (i > 0 && errno != EFBIG) || bt_stop_requested()) {
            _exit(1);
        }
    }
    const pid_t sender = fork();
    if (sender == 0) {
        (void)kill(getppid(), SIGXFSZ);
        _exit(0);
    }
    (void)waitpid(sender, NULL, 0);
    _exit(bt_stop_signal() == SIGXFSZ ? 0 : 2);
}

static void test_file_size_limit_is_no_request(void **state) {
    (void)state;
    assert_exit(in_child(too_long_a_file), 0, "prog: SIGXFSZ: stopping; again to stop now\n");
}

/* The kernel repeats SIGXCPU each second. */
static void processor_time(void) {
    const struct rlimit limit = {.rlim_cur = 1, .rlim_max = 60};
    bt_stop_install();
    (void)setrlimit(RLIMIT_CPU, &limit);
    struct timespec t = {0};
    while (t.tv_sec < 2 || t.tv_nsec < 300000000) {
        (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    }
    _exit(bt_stop_signal() == SIGXCPU ? 0 : 1);
}

static void test_processor_time_is_a_request(void **state) {
    (void)state;
    assert_exit(in_child(processor_time), 0, "prog: SIGXCPU: stopping; again to stop now\n");
}

static void waits_and_shields(void) {
    bt_error err = BT_ERROR_INIT;
    bt_stop_install();
    bt_stop_shield(true);
    (void)raise(SIGTERM);
    const bool shielded = !bt_stop_now() && bt_stop_check_now(&err) == BT_OK &&
                          bt_stop_check(&err) == BT_E_INTERRUPTED && bt_stop_sleep(0.01);
    bt_stop_shield(false);
    const double  start = bt_time_monotonic();
    struct pollfd p = {.fd = bt_stop_fd(), .events = POLLIN};
    const bool    bare = bt_stop_now() && bt_stop_check_now(&err) == BT_E_INTERRUPTED &&
                      !bt_stop_sleep(100) && bt_time_monotonic() - start < 10 &&
                      poll(&p, 1, 0) == 1;
    _exit(shielded && bare && strcmp(err.msg, "stopped by SIGTERM") == 0 ? 0 : 1);
}

static void test_shield_keeps_waits(void **state) {
    (void)state;
    assert_exit(in_child(waits_and_shields), 0, "prog: SIGTERM: stopping; again to stop now\n");
}

/* Where another process is: 'S' asleep, 'R' running; 0: that cannot be told. */
static char state_of(pid_t pid) {
    char path[64];
    char state = 0;
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    FILE *const file = fopen(path, "re");
    if (file != NULL) {
        const bool is_told = fscanf(file, "%*d (%*[^)]) %c", &state) == 1;
        (void)fclose(file);
        return is_told ? state : 0;
    }
    return 0;
}

/* Asleep when it comes: woken, shielded or not. */
static void sleeper(void) {
    bt_stop_install();
    for (int shielded = 0; shielded < 2; shielded++) {
        int ready[2];
        if (pipe(ready) != 0) {
            _exit(2);
        }
        const pid_t sender = fork();
        if (sender == 0) {
            char byte = 0;
            char state = 'R';
            (void)!read(ready[0], &byte, 1);
            while (state != 'S' && state != 0) { /* it waits for nothing but its sleep any more */
                (void)poll(NULL, 0, 1);
                state = state_of(getppid());
            }
            (void)kill(getppid(), SIGTERM);
            _exit(0);
        }
        const double start = bt_time_monotonic();
        if (shielded != 0) {
            bt_stop_shield(true);
        }
        (void)!write(ready[1], "", 1);
        const bool slept = bt_stop_sleep(100);
        if (shielded != 0) {
            bt_stop_shield(false);
        }
        if (slept != (shielded != 0) || bt_time_monotonic() - start > 20) {
            _exit(1);
        }
        bt_stop_set(0);
    }
    _exit(0);
}

static void test_request_ends_a_sleep(void **state) {
    (void)state;
    assert_exit(in_child(sleeper), 0,
                "prog: SIGTERM: stopping; again to stop now\n"
                "prog: SIGTERM: stopping; again to stop now\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_first_signal_is_told),
                                       cmocka_unit_test(test_line_may_be_json),
                                       cmocka_unit_test(test_second_signal_ends_at_once),
                                       cmocka_unit_test(test_another_process_asks_again),
                                       cmocka_unit_test(test_ignored_stays_ignored),
                                       cmocka_unit_test(test_file_size_limit_is_no_request),
                                       cmocka_unit_test(test_processor_time_is_a_request),
                                       cmocka_unit_test(test_shield_keeps_waits),
                                       cmocka_unit_test(test_request_ends_a_sleep)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
