/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of event files: events.out.tfevents.<unix s>.<host>.<pid>.<n> and the mark at the end of
 * those that bert-train wrote and may change again. */
#ifndef BT_EVENT_MARK_H
#define BT_EVENT_MARK_H

#include "bt/base/status.h"

static const char event_word[] = "tfevents.";
static const char event_mark[] = ".bert-train.v2";
static const char event_scalars[] = "scalars"; /* the plug-in */

/* The latest <unix s> of the event files in folder; 0: there is none. */
BT_MUST_USE bt_status events_last_time(const char *folder, int64_t *last, bt_error *err);

#endif
