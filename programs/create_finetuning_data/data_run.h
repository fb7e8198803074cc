/* SPDX-License-Identifier: Apache-2.0
 *
 * One run of create-finetuning-data, from flags to files: all outputs, or none and an error. */
#ifndef BT_DATA_RUN_H
#define BT_DATA_RUN_H

#include "bt/cli.h"

/* flags: of data_flag_table. */
bt_status data_run(const bt_flags *flags, bt_error *err);

#endif
