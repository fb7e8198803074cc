/* SPDX-License-Identifier: Apache-2.0
 *
 * bert-train's own parts of the command line: its flag table and its signals. */
#ifndef BT_CLI_BERT_TRAIN_H
#define BT_CLI_BERT_TRAIN_H

#include <signal.h>

#include "bt/cli.h"

extern const bt_flag_table bert_train_flags;

/* From now on SIGTERM and SIGINT set the flag that is returned; a second one ends the process at
 * once, as if nothing had been installed. */
const volatile sig_atomic_t *install_stop_signals(void);

#endif
