/* SPDX-License-Identifier: Apache-2.0
 *
 * bert-train doctor on accelerators: plug-ins are found as a training finds them, and loaded in a
 * process of their own, since one that crashes or hangs would take this one with it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/stop.h"
#include "bt/base/str.h"
#include "bt/base/time.h"
#include "bt/pjrt.h"
#include "command_doctor.h"

enum { REPORT_BYTES = 1024 };
static const double wait_seconds = 60.0;

/* What the child found: the first character is 1 (devices) or 0 (why not). */
static void report_devices(const char *path, char report[REPORT_BYTES]) {
    bt_error        err = BT_ERROR_INIT;
    bt_pjrt_plugin *plugin = NULL;
    bt_pjrt_client *client = NULL;
    bt_status       rc = bt_pjrt_plugin_open(path, BT_PJRT_TO_RUN, &plugin, &err);
    if (rc == BT_OK) {
        rc = bt_pjrt_client_create(plugin, NULL, 0, &client, &err);
    }
    bt_pjrt_device device = {.kind = "?", .limit_bytes = -1};
    if (rc == BT_OK) {
        rc = bt_pjrt_client_device(client, 0, &device, &err);
    }
    if (rc != BT_OK) {
        (void)snprintf(report, REPORT_BYTES, "%c%.900s", plugin != NULL ? 'N' : 'P', err.msg);
        return;
    }
    (void)snprintf(report, REPORT_BYTES, "Y%" PRId32 " of %s (%s)%s",
                   bt_pjrt_client_n_devices(client), device.kind, bt_pjrt_client_platform(client),
                   device.limit_bytes > 0 ? "" : ", whose memory it does not say");
}

/* Never returns. What a plug-in prints is its own business. */
static void run_child(const char *path, int fd) {
    char      report[REPORT_BYTES] = "";
    const int nowhere = open("/dev/null", O_WRONLY);
    if (nowhere >= 0) {
        (void)dup2(nowhere, STDOUT_FILENO);
        (void)dup2(nowhere, STDERR_FILENO);
    }
    report_devices(path, report);
    const ssize_t n = write(fd, report, strlen(report));
    _exit(n > 0 ? 0 : 1);
}

/* Reads the child's report until it ends; false: it takes too long, or somebody wants to stop. */
static bool read_report(int fd, char report[REPORT_BYTES]) {
    const double end = bt_time_monotonic() + wait_seconds;
    size_t       n = 0;
    for (;;) {
        struct pollfd fds[] = {{.fd = fd, .events = POLLIN},
                               {.fd = bt_stop_fd(), .events = POLLIN}};
        const double  left = end - bt_time_monotonic();
        if (left <= 0 || bt_stop_requested()) {
            return false;
        }
        if (poll(fds, 2, (int)(left * 1000) + 1) <= 0 || fds[0].revents == 0) {
            continue;
        }
        const ssize_t got = read(fd, report + n, REPORT_BYTES - 1 - n);
        if (got <= 0) {
            report[n] = '\0';
            return true;
        }
        n += (size_t)got;
    }
}

static bt_status try_plugin(const char *path, char report[REPORT_BYTES], int *died, bt_error *err) {
    int fds[2];
    int how = 0;
    *died = 0;
    report[0] = '\0';
    if (pipe(fds) != 0) {
        return BT_FAIL(err, BT_E_RESOURCE, "cannot make a pipe: %s", strerror(errno));
    }
    const pid_t child = fork();
    if (child == 0) {
        (void)close(fds[0]);
        run_child(path, fds[1]);
    }
    (void)close(fds[1]);
    if (child < 0) {
        (void)close(fds[0]);
        return BT_FAIL(err, BT_E_RESOURCE, "cannot start a process: %s", strerror(errno));
    }
    const bool is_done = read_report(fds[0], report);
    (void)close(fds[0]);
    if (!is_done) {
        (void)kill(child, SIGKILL);
    }
    while (waitpid(child, &how, 0) < 0 && errno == EINTR) {
    }
    BT_TRY(bt_stop_check(err));
    *died = !is_done ? -1 : WIFSIGNALED(how) ? WTERMSIG(how) : 0;
    return BT_OK;
}

static bt_status tell_plugin(doctor *d, const doctor_check *check, const char *kind,
                             const char *path, bt_error *err) {
    char report[REPORT_BYTES];
    int  died = 0;
    BT_TRY(try_plugin(path, report, &died, err));
    if (died != 0 || report[0] == '\0') {
        char how[64] = "ends the process that loads it";
        if (died > 0) {
            (void)snprintf(how, sizeof how, "crashes the process that loads it (signal %d)", died);
        } else if (died < 0) {
            (void)snprintf(how, sizeof how, "does not answer within %.0f s", wait_seconds);
        }
        return doctor_tell(d, check, DOCTOR_PROBLEM,
                           "install one of another version (docs/devices.md), or remove it", err,
                           "%s: %s %s", kind, path, how);
    }
    if (report[0] == 'Y') {
        return doctor_tell(d, check, DOCTOR_OK, NULL, err,
                           "%s: %s; used where runtime.distribution_strategy, num_gpus or "
                           "pjrt_plugin ask for devices: %s",
                           kind, report + 1, path);
    }
    return report[0] == 'N' ? doctor_tell(d, check, DOCTOR_NOTE, NULL, err, "%s: it loads, but %s",
                                          kind, report + 1)
                            : doctor_tell(d, check, DOCTOR_PROBLEM,
                                          "install one that fits (docs/devices.md), or remove it",
                                          err, "%s: %s", kind, report + 1);
}

/* There is hardware, and nothing that drives it. */
static bool has_nvidia(void) {
    return access("/dev/nvidiactl", F_OK) == 0 || access("/proc/driver/nvidia/version", F_OK) == 0;
}

bt_status doctor_devices(doctor *d, const doctor_check *check, bt_error *err) {
    if (!bt_pjrt_is_built_in()) {
        return doctor_tell(d, check, DOCTOR_NOTE, NULL, err,
                           "this build knows no accelerators: processors compute");
    }
    for (int kind = 0; kind < BT_PJRT_N_KINDS; kind++) {
        const char *const name = bt_pjrt_kind_name((bt_pjrt_kind)kind);
        char             *path = NULL;
        bt_error          why = BT_ERROR_INIT;
        bt_status         rc = bt_pjrt_plugin_find((bt_pjrt_kind)kind, &path, &why);
        if (rc == BT_OK) {
            rc = tell_plugin(d, check, name, path, err);
            bt_free(path);
            BT_TRY(rc);
        } else if (kind == BT_PJRT_CUDA && has_nvidia()) {
            BT_TRY(doctor_tell(d, check, DOCTOR_NOTE, why.msg, err,
                               "cuda: there is an NVIDIA GPU, but no plug-in for it"));
        } else {
            BT_TRY(doctor_tell(d, check, DOCTOR_OK, NULL, err, "%s: no plug-in%s", name,
                               kind == BT_PJRT_CPU ? ", and none is needed: our kernels compute"
                                                   : ""));
        }
    }
    return BT_OK;
}
