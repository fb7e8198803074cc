/* SPDX-License-Identifier: Apache-2.0
 *
 * credential_process: a program that prints credentials as JSON. It is run without a shell, its
 * input is empty, what it says on stderr is not shown (it may be a secret), and it has a minute. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aws.h"
#include "bt/base/alloc.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "fs_internal.h"
#include "secrets.h"

extern char **environ; /* POSIX wants it declared by the program */

enum { MAX_WORDS = 256, MAX_OUTPUT = 1 << 16 };
static const double limit_seconds = 60.0;

void aws_free_words(char **words) {
    for (size_t i = 0; words != NULL && words[i] != NULL; i++) {
        bt_free(words[i]);
    }
    bt_free(words);
}

/* One word from *text on, which ends after it. false: a quote is open. */
static bool take_word(const char **text, bt_str *word, bt_error *err, bt_status *rc) {
    char        quote = '\0';
    const char *p = *text;
    *rc = bt_str_append(word, "", err);
    for (; *rc == BT_OK && *p != '\0' && (quote != '\0' || strchr(" \t\r\n", *p) == NULL); p++) {
        const bool escapes = *p == '\\' && p[1] != '\0' &&
                             (quote == '\0' || (quote == '"' && strchr("\"\\", p[1]) != NULL));
        if (escapes) {
            *rc = bt_str_append_char(word, *++p, err);
        } else if (quote == '\0' && (*p == '"' || *p == '\'')) {
            quote = *p;
        } else if (quote != '\0' && *p == quote) {
            quote = '\0';
        } else {
            *rc = bt_str_append_char(word, *p, err);
        }
    }
    *text = p;
    return quote == '\0';
}

bt_status aws_split_words(const char *text, char ***out, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    word = BT_STR_INIT;
    size_t    n = 0;
    char    **words = bt_calloc_array(MAX_WORDS + 1, sizeof *words);
    if (words == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a command");
    }
    for (text += strspn(text, " \t\r\n"); *text != '\0'; text += strspn(text, " \t\r\n")) {
        bt_str_clear(&word);
        const bool is_closed = take_word(&text, &word, err, &rc);
        if (rc == BT_OK && (n == MAX_WORDS || !is_closed)) {
            rc = BT_FAIL(err, BT_E_CONFIG, "a command with an open quote, or of more than %d words",
                         MAX_WORDS);
        }
        BT_CHECK(rc);
        words[n] = bt_strdup(bt_str_text(&word));
        if (words[n++] == NULL) {
            rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for a command");
            goto done;
        }
    }
    *out = words;
    words = NULL;
done:
    aws_free_words(words);
    bt_str_deinit(&word);
    return rc;
}

static bt_status start(char **words, int output, pid_t *pid, bt_error *err) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t          attributes;
    sigset_t                   signals;
    char                       reason[FS_REASON_MAX];
    (void)sigemptyset(&signals);
    int failure = posix_spawn_file_actions_init(&files);
    (void)posix_spawnattr_init(&attributes); /* these two ask for no memory */
    /* one that is lost would let the program print the key where everybody sees it */
    if (failure == 0) {
        failure = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    }
    if (failure == 0) {
        failure = posix_spawn_file_actions_adddup2(&files, output, 1);
    }
    if (failure == 0) {
        failure = posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
    }
    (void)posix_spawnattr_setsigmask(&attributes, &signals);
    (void)sigfillset(&signals);
    (void)posix_spawnattr_setsigdefault(&attributes, &signals);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    failure =
        failure != 0 ? failure : posix_spawnp(pid, words[0], &files, &attributes, words, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attributes);
    return failure == 0 ? BT_OK
                        : BT_FAIL(err, bt_status_of_errno(failure, BT_E_CONFIG),
                                  "cannot run %s: %s", words[0], fs_reason(failure, reason));
}

static bt_status check_time(double began, bt_error *err) {
    if (bt_time_monotonic() - began > limit_seconds) {
        return BT_FAIL(err, BT_E_RESOURCE, "it does not end within %.0f seconds", limit_seconds);
    }
    return bt_stop_check_now(err);
}

static bt_status read_output(int fd, double began, bt_str *out, bt_error *err) {
    char          buffer[4096];
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    for (;;) {
        BT_TRY(check_time(began, err));
        if (poll(&waiting, 1, 100) <= 0) {
            continue;
        }
        const ssize_t n = read(fd, buffer, sizeof buffer);
        if (n < 0 && errno != EINTR) {
            return BT_FAIL(err, BT_E_RESOURCE, "its output cannot be read");
        }
        if (n == 0) {
            return BT_OK;
        }
        if (n > 0) {
            const bt_status rc =
                out->len + (size_t)n > MAX_OUTPUT
                    ? BT_FAIL(err, BT_E_FORMAT, "it prints more than %d bytes", MAX_OUTPUT)
                    : bt_str_append_n(out, buffer, (size_t)n, err);
            secrets_wipe(buffer, sizeof buffer);
            BT_TRY(rc);
        }
    }
}

/* A program may close its output and go on: its end has the same limit. */
static bt_status await_end(pid_t pid, double began, int *status, bt_error *err) {
    for (;;) {
        const pid_t ended = waitpid(pid, status, WNOHANG);
        if (ended == pid) {
            return BT_OK;
        }
        if (ended < 0 && errno != EINTR) {
            return BT_FAIL(err, BT_E_RESOURCE, "its end cannot be waited for");
        }
        BT_TRY(check_time(began, err));
        (void)poll(NULL, 0, 5);
    }
}

static bt_status run(char **words, bt_str *out, bt_error *err) {
    const double began = bt_time_monotonic();
    int          ends[2];
    pid_t        pid = 0;
    int          status = 0;
    if (pipe(ends) != 0) {
        return BT_FAIL(err, BT_E_RESOURCE, "cannot make a pipe");
    }
    (void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    (void)fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    bt_status rc = start(words, ends[1], &pid, err);
    (void)close(ends[1]);
    if (rc == BT_OK) {
        rc = read_output(ends[0], began, out, err);
        if (rc == BT_OK) {
            rc = await_end(pid, began, &status, err);
        }
        if (rc != BT_OK) {
            (void)kill(pid, SIGKILL);
            while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
            }
        }
        if (rc == BT_OK && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
            rc = BT_FAIL(err, BT_E_CONFIG, "it ends with %s %d (run it by hand to see why)",
                         WIFEXITED(status) ? "exit code" : "signal",
                         WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
        }
    }
    (void)close(ends[0]);
    return rc;
}

static bt_status check_version(const bt_str *text, bt_error *err) {
    json_t *root = NULL;
    BT_TRY(bt_json_load(bt_str_text(text), text->len, 0, &root, NULL, err));
    const bool ok = json_integer_value(json_object_get(root, "Version")) == 1;
    json_decref(root);
    return ok ? BT_OK : BT_FAIL(err, BT_E_CONFIG, "it prints no JSON with \"Version\": 1");
}

bt_status aws_process_credentials(const char *command, const char *profile, aws_credentials *out,
                                  bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    text = BT_STR_INIT;
    char    **words = NULL;
    BT_CHECK(aws_split_words(command, &words, err));
    if (words[0] == NULL) {
        rc = BT_FAIL(err, BT_E_CONFIG, "an empty command");
        goto done;
    }
    BT_CHECK(run(words, &text, err));
    BT_CHECK(check_version(&text, err));
    BT_CHECK(
        aws_credentials_from_json(out, text.data, text.len, "SessionToken", "its output", err));
done:
    if (text.data != NULL) {
        secrets_wipe(text.data, text.len);
    }
    bt_str_deinit(&text);
    aws_free_words(words);
    return rc == BT_OK ? rc : bt_error_prefix(err, "credential_process of the profile %s", profile);
}
