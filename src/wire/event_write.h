/* SPDX-License-Identifier: Apache-2.0
 *
 * wire, private: what the files that make events of a kind share. */
#ifndef BT_EVENT_WRITE_H
#define BT_EVENT_WRITE_H

#include "bt/wire/events.h"
#include "event.pb-c.h"

/* What a value is, beside its tensor. */
typedef struct event_value {
    const char   *tag;
    const char   *plugin;
    const bt_str *content;     /* a message of the plug-in's; NULL: nothing */
    bool          has_class;   /* says that it is a tensor, as newer plug-ins do */
    const char   *description; /* Markdown; NULL: none */
} event_value;
BT_MUST_USE bt_status events_write_tensor(bt_events_writer *writer, int64_t step,
                                          const event_value *value, BtTf__TensorProto *tensor,
                                          bt_error *err);

#endif
