/* SPDX-License-Identifier: Apache-2.0
 *
 * Being asked to stop: the first SIGTERM or SIGINT sets a flag that the training loop looks at
 * between steps; the second has its default effect. SIGPIPE and SIGXFSZ are ignored: a reader
 * that went away or a limit that was reached is an error of a write, not the end of a run. */
#include "bert_train.h"

static volatile sig_atomic_t stop_requested;

static void on_stop(int signal_number) {
    (void)signal_number;
    stop_requested = 1;
}

const volatile sig_atomic_t *install_stop_signals(void) {
    struct sigaction action = {.sa_handler = on_stop};
    (void)sigemptyset(&action.sa_mask);
    action.sa_flags = (int)SA_RESETHAND;
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigemptyset(&ignore.sa_mask);
    (void)sigaction(SIGPIPE, &ignore, NULL);
    (void)sigaction(SIGXFSZ, &ignore, NULL); /* a file size limit: the write says so */
    return &stop_requested;
}
