/* SPDX-License-Identifier: Apache-2.0
 *
 * The flag table of create-finetuning-data. */
#ifndef BT_DATA_FLAGS_H
#define BT_DATA_FLAGS_H

#include "bt/cli.h"

#define DATA_PROGRAM "create-finetuning-data"
extern const bt_flag_table data_flag_table;

#endif
