/* SPDX-License-Identifier: Apache-2.0
 *
 * What TensorBoard shows of a run beside its curves: a session of its HParams plug-in, by which
 * runs are compared, and texts. It finds the names of the metrics by itself. */
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/time.h"
#include "bt/proto.h"
#include "event_session.h"
#include "event_write.h"
#include "hparams.pb-c.h"

enum { STATUS_SUCCESS = 1, DTYPE_FLOAT = 1, DTYPE_STRING = 7 };

const char events_session_start[] = "_hparams_/session_start_info";
const char events_session_end[] = "_hparams_/session_end_info";

/* The plug-in reads the message in the metadata; a value has to be there. */
static bt_status write_session(bt_events_writer *writer, const char *tag,
                               BtTb__HParamsPluginData *data, bt_error *err) {
    static const uint8_t   zero[4];
    bt_str                 content = BT_STR_INIT;
    BtTf__TensorShapeProto scalar = BT_TF__TENSOR_SHAPE_PROTO__INIT;
    BtTf__TensorProto      tensor = BT_TF__TENSOR_PROTO__INIT;
    tensor.dtype = DTYPE_FLOAT;
    tensor.tensor_shape = &scalar;
    tensor.tensor_content = bt_proto_bytes((bt_bytes){zero, sizeof zero});
    bt_status rc = bt_proto_append(&content, &data->base, err);
    if (rc == BT_OK) {
        const event_value value = {
            .tag = tag, .plugin = "hparams", .content = &content, .has_class = true};
        rc = events_write_tensor(writer, 0, &value, &tensor, err);
    }
    bt_str_deinit(&content);
    return rc;
}

bt_status bt_events_session_start(bt_events_writer *writer, const bt_events_hparam *params,
                                  size_t n, bt_error *err) {
    BtTb__Value                           values[BT_EVENTS_MAX_HPARAMS];
    BtTb__SessionStartInfo__HparamsEntry  entries[BT_EVENTS_MAX_HPARAMS];
    BtTb__SessionStartInfo__HparamsEntry *list[BT_EVENTS_MAX_HPARAMS];
    BtTb__SessionStartInfo                info = BT_TB__SESSION_START_INFO__INIT;
    BtTb__HParamsPluginData               data = BT_TB__HPARAMS_PLUGIN_DATA__INIT;
    BT_ASSERT(n <= BT_EVENTS_MAX_HPARAMS);
    for (size_t i = 0; i < n; i++) {
        values[i] = (BtTb__Value)BT_TB__VALUE__INIT;
        entries[i] =
            (BtTb__SessionStartInfo__HparamsEntry)BT_TB__SESSION_START_INFO__HPARAMS_ENTRY__INIT;
        if (params[i].text != NULL) {
            values[i].kind_case = BT_TB__VALUE__KIND_STRING_VALUE;
            values[i].string_value = bt_proto_text(params[i].text);
        } else {
            values[i].kind_case = BT_TB__VALUE__KIND_NUMBER_VALUE;
            values[i].number_value = params[i].number;
        }
        entries[i].key = bt_proto_text(params[i].name);
        entries[i].value = &values[i];
        list[i] = &entries[i];
    }
    info.n_hparams = n;
    info.hparams = list;
    info.start_time_secs = bt_time_unix();
    data.data_case = BT_TB__HPARAMS_PLUGIN_DATA__DATA_SESSION_START_INFO;
    data.session_start_info = &info;
    return write_session(writer, events_session_start, &data, err);
}

bt_status bt_events_session_end(bt_events_writer *writer, bt_error *err) {
    BtTb__SessionEndInfo    info = BT_TB__SESSION_END_INFO__INIT;
    BtTb__HParamsPluginData data = BT_TB__HPARAMS_PLUGIN_DATA__INIT;
    info.status = STATUS_SUCCESS;
    info.end_time_secs = bt_time_unix();
    data.data_case = BT_TB__HPARAMS_PLUGIN_DATA__DATA_SESSION_END_INFO;
    data.session_end_info = &info;
    return write_session(writer, events_session_end, &data, err);
}

bt_status bt_events_text(bt_events_writer *writer, int64_t step, const char *tag,
                         const char *markdown, bt_error *err) {
    ProtobufCBinaryData    text = bt_proto_text(markdown);
    BtTf__TensorShapeProto scalar = BT_TF__TENSOR_SHAPE_PROTO__INIT;
    BtTf__TensorProto      tensor = BT_TF__TENSOR_PROTO__INIT;
    tensor.dtype = DTYPE_STRING;
    tensor.tensor_shape = &scalar;
    tensor.n_string_val = 1;
    tensor.string_val = &text;
    /* the plug-in's message of defaults has no bytes */
    const event_value value = {.tag = tag, .plugin = "text", .has_class = true};
    return events_write_tensor(writer, step, &value, &tensor, err);
}
