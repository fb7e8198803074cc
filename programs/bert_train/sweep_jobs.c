/* SPDX-License-Identifier: Apache-2.0
 *
 * The runs of a sweep at work: processes of this same program, so many at a time. They end with
 * this one: asked to stop with it, killed when it is killed. Each has a process group of its own,
 * so that what a terminal sends reaches it once, through us. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/number.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "bt/fs.h"
#include "command_sweep.h"

enum { RESULT_MAX = 1 << 24, LOOK_MS = 20, EXIT_NOT_STARTED = 127 };
static const double wait_seconds = 30.0;

/* Between fork and exec: only what a signal handler may do. Never returns. */
static void become_child(char *const *words, int log, pid_t parent) {
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t         none;
    (void)sigemptyset(&usual.sa_mask);
    (void)sigemptyset(&none);
    const int nothing = open("/dev/null", O_RDONLY);
    (void)setpgid(0, 0);
    (void)sigaction(SIGPIPE, &usual, NULL);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent && nothing >= 0 &&
        dup2(nothing, STDIN_FILENO) >= 0 && dup2(log, STDOUT_FILENO) >= 0 &&
        dup2(log, STDERR_FILENO) >= 0) {
        (void)execv("/proc/self/exe", words);
    }
    _exit(EXIT_NOT_STARTED);
}

/* The run of a sweep that was killed a moment ago may be about to end. */
static bt_status await_folder(const sweep *s, const sweep_run *run, bt_error *err) {
    const double end = bt_time_monotonic() + wait_seconds;
    char        *folder = NULL;
    BT_TRY(sweep_path(s, run->name, "", &folder, err));
    bt_error  held = BT_ERROR_INIT;
    bt_status rc = bt_fs_lock_look(folder, BT_FS_LOCK_NAME, &held);
    while (rc == BT_E_RESOURCE && bt_time_monotonic() < end && bt_stop_sleep(0.05)) {
        rc = bt_fs_lock_look(folder, BT_FS_LOCK_NAME, &held);
    }
    bt_free(folder); /* one that is held still, the run itself will be refused by */
    return rc == BT_E_NOMEM ? BT_FAIL(err, rc, "%s", held.msg) : BT_OK;
}

static bt_status start(const sweep *s, sweep_run *run, int32_t rung, bt_error *err) {
    bt_status   rc = BT_OK;
    char       *path = NULL;
    sweep_words words = {0};
    int         log = -1;
    BT_CHECK(await_folder(s, run, err));
    BT_CHECK(sweep_path(s, run->name, ".log", &path, err));
    BT_CHECK(sweep_make_words(s, run, rung, &words, err));
    log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (log < 0) {
        rc = BT_FAIL(err, BT_E_RESOURCE, "cannot write %s: %s", path, strerror(errno));
        goto done;
    }
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child == 0) {
        become_child(words.items, log, parent);
    }
    if (child < 0) {
        rc = BT_FAIL(err, BT_E_RESOURCE, "cannot start a process for %s: %s", run->name,
                     strerror(errno));
        goto done;
    }
    run->pid = child;
    run->has_failed = false;
done:
    if (log >= 0) {
        (void)close(log);
    }
    sweep_words_deinit(&words);
    bt_free(path);
    return rc;
}

static void note_failure(sweep_run *run, int code, const char *error) {
    run->has_failed = true;
    run->exit_code = code;
    (void)snprintf(run->error, sizeof run->error, "%s", error);
}

/* A child that wrote no result was killed, or did not come so far. */
static void judge_signal(sweep_run *run, int how) {
    char       text[160];
    const int  number = WIFSIGNALED(how) ? WTERMSIG(how) : 0;
    const bool is_bug = number == SIGSEGV || number == SIGBUS || number == SIGABRT ||
                        number == SIGILL || number == SIGFPE;
    if (number == 0) {
        (void)snprintf(text, sizeof text, "it ended with exit code %d", WEXITSTATUS(how));
        note_failure(run,
                     WEXITSTATUS(how) == EXIT_NOT_STARTED ? bt_status_exit_code(BT_E_RESOURCE)
                                                          : WEXITSTATUS(how),
                     WEXITSTATUS(how) == EXIT_NOT_STARTED ? "its process could not be started"
                                                          : text);
        return;
    }
    (void)snprintf(text, sizeof text, "it was killed by signal %d (%s)", number,
                   number == SIGKILL ? "too little memory?" : strsignal(number));
    note_failure(run, bt_status_exit_code(is_bug ? BT_E_INTERNAL : BT_E_RESOURCE), text);
}

/* The result of a run that ended by itself. */
static bt_status read_result(const sweep *s, sweep_run *run, int32_t rung, int code,
                             bt_error *err) {
    bt_status rc = BT_OK;
    char     *path = NULL;
    json_t   *root = NULL;
    BT_CHECK(sweep_path(s, run->name, ".json", &path, err));
    if (code != 0 && !bt_fs_exists(path)) {
        goto done; /* how it ended was noted */
    }
    BT_CHECK(bt_fs_read_json(path, RESULT_MAX, 0, &root, err));
    if (code != 0) {
        const char *const sentence = json_string_value(json_object_get(root, "error"));
        if (sentence != NULL) {
            note_failure(run, code, sentence);
        }
        goto done;
    }
    json_t *const value = json_object_get(json_object_get(root, "values"), s->metric);
    run->step = json_integer_value(json_object_get(root, "step"));
    run->scores[rung] = json_is_number(value) ? json_number_value(value) : (double)NAN;
    run->n_done = rung + 1;
    run->exit_code = 0;
done:
    json_decref(root);
    bt_free(path);
    return rc;
}

static bt_status tell_end(const sweep *s, const sweep_run *run, int32_t rung, bt_error *err) {
    bt_str          values = BT_STR_INIT;
    char            number[BT_F64_TEXT_MAX];
    const bt_status rc = sweep_append_values(s, run->trial, &values, err);
    const bool      has_values = values.len > 0;
    if (rc == BT_OK && run->has_failed) {
        bt_log(BT_LOG_ERROR, "%s%s%s%s: exit code %d: %s (log: %s/%s.log)", run->name,
               has_values ? " (" : "", bt_str_text(&values), has_values ? ")" : "", run->exit_code,
               run->error, s->model_dir, run->name);
    } else if (rc == BT_OK) {
        bt_log(BT_LOG_INFO, "%s%s%s%s: step %" PRId64 ", %s %s", run->name, has_values ? " (" : "",
               bt_str_text(&values), has_values ? ")" : "", run->step, s->metric,
               bt_f32_repr((float)run->scores[rung], number));
    }
    bt_str_deinit(&values);
    return rc;
}

/* how: of waitpid. What was stopped with us is just not finished. */
static bt_status finish(const sweep *s, sweep_run *run, int32_t rung, int how, bool is_stopping,
                        bt_error *err) {
    const int code = WIFEXITED(how) ? WEXITSTATUS(how) : -1;
    bt_error  problem = BT_ERROR_INIT;
    run->pid = 0;
    if (code != 0 && is_stopping) {
        return BT_OK;
    }
    if (code != 0) {
        judge_signal(run, how);
    }
    const bt_status rc = code >= 0 ? read_result(s, run, rung, code, &problem) : BT_OK;
    if (rc == BT_E_NOMEM) {
        return BT_FAIL(err, rc, "%s", problem.msg);
    }
    if (rc != BT_OK) {
        note_failure(run, bt_status_exit_code(rc), problem.msg);
    }
    BT_TRY(tell_end(s, run, rung, err));
    return sweep_write_state(s, err);
}

/* One that is to be started in the rung; NULL: none is left. */
static sweep_run *find_next(const sweep *s, const bool *is_in, int32_t rung) {
    for (size_t i = 0; i < s->n_runs; i++) {
        sweep_run *const run = &s->runs[i];
        if (is_in[run->trial] && run->pid == 0 && run->n_done <= rung && !run->has_failed) {
            return run;
        }
    }
    return NULL;
}

static void tell_children(const sweep *s, int number) {
    for (size_t i = 0; i < s->n_runs; i++) {
        if (s->runs[i].pid > 0) {
            (void)kill(s->runs[i].pid, number);
        }
    }
}

/* Those that have ended; *n_active: how many have not. */
static bt_status reap(const sweep *s, int32_t rung, bool is_stopping, int32_t *n_active,
                      bt_error *err) {
    bt_status rc = BT_OK;
    *n_active = 0;
    for (size_t i = 0; i < s->n_runs; i++) {
        sweep_run *const run = &s->runs[i];
        int              how = 0;
        const pid_t      ended = run->pid > 0 ? waitpid(run->pid, &how, WNOHANG) : 0;
        if (run->pid > 0 && ended == run->pid) {
            const bt_status one = finish(s, run, rung, how, is_stopping, rc == BT_OK ? err : NULL);
            rc = rc == BT_OK ? one : rc;
        } else if (run->pid > 0) {
            *n_active += 1;
        }
    }
    return rc;
}

/* What stops us is handed on at once: a batch system may send it to the children as well, who take
 * the same one twice in a moment for one. */
static void wait_a_moment(bool is_told) {
    struct pollfd stop = {.fd = bt_stop_fd(), .events = POLLIN};
    (void)poll(&stop, is_told ? 0 : 1, LOOK_MS);
}

/* Ends when no child is left, however it ends. */
static bt_status run_rung(const sweep *s, const bool *is_in, int32_t rung, bt_error *err) {
    bt_status rc = BT_OK;
    int32_t   n_active = 0;
    bool      is_told = false;
    for (;;) {
        const bool is_stopping = bt_stop_requested() || rc != BT_OK;
        if (is_stopping && !is_told) { /* before the next look at who has ended */
            tell_children(s, bt_stop_signal() != 0 ? bt_stop_signal() : SIGTERM);
            is_told = true;
        }
        const bt_status reaped = reap(s, rung, is_stopping, &n_active, rc == BT_OK ? err : NULL);
        rc = rc == BT_OK ? reaped : rc;
        sweep_run *const next = rc == BT_OK && !is_stopping ? find_next(s, is_in, rung) : NULL;
        if (next != NULL && n_active < s->n_jobs) {
            rc = start(s, next, rung, err);
        } else if (n_active == 0) {
            break;
        } else {
            wait_a_moment(is_told);
        }
    }
    if (rc == BT_OK && bt_stop_requested() && find_next(s, is_in, rung) != NULL) {
        rc = BT_FAIL(err, BT_E_INTERRUPTED,
                     "stopped by %s; the same command continues the sweep in %s",
                     bt_stop_signal_name(), s->model_dir);
    }
    return rc;
}

/* The trials that go on: all, then the best n/eta, n/eta^2, ... (Li et al. 2018, Hyperband). */
static size_t choose(const sweep *s, int32_t rung, bool *is_in) {
    size_t n = s->n_trials;
    for (int32_t i = 0; i < rung; i++) {
        n /= (size_t)s->eta;
    }
    for (size_t i = 0; rung == 0 && i < s->n_trials; i++) {
        is_in[i] = true;
    }
    if (rung == 0) {
        return n;
    }
    bool *const was_in = is_in + s->n_trials;
    memcpy(was_in, is_in, s->n_trials * sizeof *is_in);
    memset(is_in, 0, s->n_trials * sizeof *is_in);
    size_t n_chosen = 0;
    for (; n_chosen < n; n_chosen++) {
        size_t best = s->n_trials;
        double mean = (double)NAN;
        for (size_t i = 0; i < s->n_trials; i++) {
            const sweep_outcome o = sweep_judge_trial(s, i, rung - 1);
            if (was_in[i] && !is_in[i] && o.n_failed == 0 && isfinite(o.mean) &&
                (best == s->n_trials || sweep_is_better(s, o.mean, mean))) {
                best = i;
                mean = o.mean;
            }
        }
        if (best == s->n_trials) {
            break; /* the others have no value */
        }
        is_in[best] = true;
    }
    return n_chosen;
}

bt_status sweep_run_all(sweep *s, bt_error *err) {
    bt_status   rc = BT_OK;
    bool *const is_in = bt_calloc_array(2 * s->n_trials, sizeof *is_in);
    if (is_in == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the trials");
    }
    for (int32_t rung = 0; rc == BT_OK && rung < s->n_rungs; rung++) {
        const size_t n = choose(s, rung, is_in);
        if (s->n_rungs > 1 && n > 0) {
            bt_log(BT_LOG_INFO, "rung %" PRId32 " of %" PRId32 ": %zu of %zu trials", rung + 1,
                   s->n_rungs, n, s->n_trials);
        }
        rc = run_rung(s, is_in, rung, err);
    }
    bt_free(is_in);
    return rc;
}
