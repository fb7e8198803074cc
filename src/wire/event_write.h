/* SPDX-License-Identifier: Apache-2.0
 *
 * wire, private: what the files that make events of a kind share. */
#ifndef BT_EVENT_WRITE_H
#define BT_EVENT_WRITE_H

#include "bt/wire/events.h"
#include "event.pb-c.h"

/* One value with a tensor, as the plug-in's; content: a message of the plug-in's, or nothing. */
BT_MUST_USE bt_status events_write_tensor(bt_events_writer *writer, int64_t step, const char *tag,
                                          const char *plugin, const bt_str *content,
                                          BtTf__TensorProto *tensor, bt_error *err);

#endif
