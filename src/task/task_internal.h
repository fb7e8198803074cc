/* SPDX-License-Identifier: Apache-2.0
 *
 * The task objects of this room, one file each, listed in task_list.def. */
#ifndef BT_TASK_INTERNAL_H
#define BT_TASK_INTERNAL_H

#include "bt/task.h"

extern const bt_task bt_task_sentence_prediction;

#endif
