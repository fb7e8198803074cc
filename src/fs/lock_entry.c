/* SPDX-License-Identifier: Apache-2.0
 *
 * Who has a lock, as one line of JSON: host, process, and what tells this process from a later one
 * with the same number (its start, the start of the kernel, the namespace of process numbers). */
#define _GNU_SOURCE /* getrandom */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bt/base/number.h"
#include "bt/base/time.h"
#include "fs_internal.h"
#include "fs_lock.h"

static const double default_lease_seconds = 180.0;
static const double max_lease_seconds = 86400.0;

lock_world lock_test_world;

/* A small file of /proc as text; "" when it is not there. Not through the room's own calls: nothing
 * of it is a file of the user's. */
static size_t read_proc(const char *path, char *text, size_t cap) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t   n = -1;
    if (fd >= 0) {
        do {
            n = read(fd, text, cap - 1);
        } while (n < 0 && errno == EINTR);
        (void)close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

/* Printable ASCII without what JSON or a terminal would mind. */
static void make_plain(char *text) {
    for (char *p = text; *p != '\0'; p++) {
        if (*p == '\n' && p[1] == '\0') {
            *p = '\0';
            return;
        }
        if ((unsigned char)*p < ' ' || (unsigned char)*p > '~' || *p == '"' || *p == '\\') {
            *p = '?';
        }
    }
}

/* Fields 3 (state) and 22 (start in ticks) of /proc/PID/stat; the name in field 2 may hold
 * anything, so they are counted from its last parenthesis. false: there is no such process. Of its
 * first thread, which has the same: to a process that qemu-user runs the emulator tells of its own
 * /proc/PID/stat another start than all others are told, after a fork that of its parent. */
static bool read_process(int64_t pid, char *state, int64_t *started) {
    char path[64];
    char text[1024];
    (void)snprintf(path, sizeof path, "/proc/%" PRId64 "/task/%" PRId64 "/stat", pid, pid);
    const char *at = read_proc(path, text, sizeof text) > 0 ? strrchr(text, ')') : NULL;
    if (at == NULL || at[1] != ' ') {
        return false;
    }
    at += 2;
    *state = *at;
    *started = 0;
    for (int field = 3; at != NULL; field++) {
        if (field == 22) {
            *started = strtoll(at, NULL, 10);
            return true;
        }
        at = strchr(at, ' ');
        at = at != NULL ? at + 1 : NULL;
    }
    return true;
}

static void read_boot(char *boot, size_t cap) {
    if (lock_test_world.boot != NULL) {
        (void)snprintf(boot, cap, "%s", lock_test_world.boot);
        return;
    }
    (void)read_proc("/proc/sys/kernel/random/boot_id", boot, cap);
    make_plain(boot);
}

static int64_t pid_space(void) {
    struct stat st;
    return stat("/proc/self/ns/pid", &st) == 0 ? (int64_t)st.st_ino : 0;
}

static double lease_seconds(void) {
    const char *const text = getenv("BERT_TRAIN_LOCK_SECONDS");
    double            value = 0;
    if (text != NULL && bt_parse_f64(text, &value) && value >= 1 && value <= max_lease_seconds) {
        return value;
    }
    return default_lease_seconds;
}

bt_status lock_entry_fill(lock_entry *entry, const char *what, bt_error *err) {
    char state = '?';
    *entry = (lock_entry){.pid = (int64_t)getpid(),
                          .pid_space = pid_space(),
                          .since = bt_time_unix(),
                          .lease = lease_seconds()};
    if (gethostname(entry->host, sizeof entry->host) != 0) {
        memcpy(entry->host, "localhost", sizeof "localhost");
    }
    entry->host[sizeof entry->host - 1] = '\0';
    make_plain(entry->host);
    read_boot(entry->boot, sizeof entry->boot);
    (void)snprintf(entry->what, sizeof entry->what, "%s", what);
    make_plain(entry->what);
    if (!read_process(entry->pid, &state, &entry->process_started)) {
        entry->process_started = 0;
    }
    return fs_random_hex(entry->token, LOCK_TOKEN_MAX - 1, err);
}

static void format_time(double unix_seconds, char text[64]) {
    const time_t at = (time_t)unix_seconds;
    struct tm    parts;
    if (gmtime_r(&at, &parts) == NULL || strftime(text, 64, "%Y-%m-%d %H:%M:%S UTC", &parts) == 0) {
        memcpy(text, "?", 2);
    }
}

bt_status lock_entry_format(const lock_entry *e, bt_str *out, bt_error *err) {
    char when[64];
    format_time(e->since, when);
    return bt_str_appendf(out, err,
                          "{\"lock\": \"bert-train\", \"what\": \"%s\", \"host\": \"%s\", "
                          "\"pid\": %" PRId64 ", \"since\": \"%s\", \"since_unix\": %.3f, "
                          "\"process_started\": %" PRId64 ", \"boot\": \"%s\", "
                          "\"pid_namespace\": %" PRId64 ", \"lease_seconds\": %.3f, "
                          "\"token\": \"%s\"}\n",
                          e->what, e->host, e->pid, when, e->since, e->process_started, e->boot,
                          e->pid_space, e->lease, e->token);
}

static bool get_text(const json_t *root, const char *key, char *out, size_t cap) {
    const char *const text = json_string_value(json_object_get(root, key));
    if (text == NULL || strlen(text) >= cap) {
        return false;
    }
    memcpy(out, text, strlen(text) + 1);
    make_plain(out); /* it goes into a sentence */
    return true;
}

static bool get_int(const json_t *root, const char *key, int64_t *out) {
    const json_t *const value = json_object_get(root, key);
    *out = (int64_t)json_integer_value(value);
    return json_is_integer(value) && *out >= 0;
}

static bool get_number(const json_t *root, const char *key, double max, double *out) {
    const json_t *const value = json_object_get(root, key);
    *out = json_number_value(value);
    return json_is_number(value) && *out >= 0 && *out <= max;
}

bool lock_entry_parse(const char *text, size_t n, lock_entry *out, bool *out_of_memory) {
    json_t    *root = NULL;
    lock_entry e = {0};
    *out_of_memory = bt_json_load(text, n, 0, &root, NULL, NULL) != BT_OK;
    const bool ok = get_text(root, "host", e.host, sizeof e.host) &&
                    get_text(root, "boot", e.boot, sizeof e.boot) &&
                    get_text(root, "what", e.what, sizeof e.what) &&
                    get_text(root, "token", e.token, sizeof e.token) &&
                    get_int(root, "pid", &e.pid) && e.pid > 0 &&
                    get_int(root, "pid_namespace", &e.pid_space) &&
                    get_int(root, "process_started", &e.process_started) &&
                    get_number(root, "since_unix", 1e11, &e.since) &&
                    get_number(root, "lease_seconds", max_lease_seconds, &e.lease);
    json_decref(root);
    if (ok) {
        *out = e;
    }
    return ok;
}

bt_status lock_entry_describe(const lock_entry *e, bt_str *out, bt_error *err) {
    char when[64];
    format_time(e->since, when);
    return bt_str_appendf(out, err, "%s, process %" PRId64 " on host %s, since %s", e->what, e->pid,
                          e->host, when);
}

bool lock_entry_same_kernel(const lock_entry *entry) {
    char boot[LOCK_TEXT_MAX];
    read_boot(boot, sizeof boot);
    return boot[0] != '\0' && bt_str_equal(boot, entry->boot);
}

lock_owner lock_entry_owner(const lock_entry *entry) {
    char    state = '?';
    int64_t started = 0;
    if (!lock_entry_same_kernel(entry) || entry->pid_space == 0 ||
        entry->pid_space != pid_space()) {
        return LOCK_OWNER_UNKNOWN;
    }
    if (!read_process(entry->pid, &state, &started)) {
        /* hidden (hidepid) or gone: only the kernel's word counts */
        return kill((pid_t)entry->pid, 0) != 0 && errno == ESRCH ? LOCK_OWNER_GONE
                                                                 : LOCK_OWNER_UNKNOWN;
    }
    const bool is_dead = state == 'Z' || state == 'X';
    const bool is_other = entry->process_started != 0 && started != entry->process_started;
    return is_dead || is_other ? LOCK_OWNER_GONE : LOCK_OWNER_LIVES;
}
