/* SPDX-License-Identifier: Apache-2.0
 *
 * Curves of precision and recall, and images, as TensorBoard's own summaries lay them out
 * (plugins/pr_curve/summary.py, plugins/image/summary_v2.py). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/proto.h"
#include "event_write.h"
#include "pr_curves.pb-c.h"

enum { DTYPE_FLOAT = 1, DTYPE_STRING = 7, N_CURVE_ROWS = 6, NUMBER_TEXT_MAX = 12 };

static bt_status store_floats(const float *values, size_t n, bt_str *bytes, bt_error *err) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = 0;
        uint8_t  word[4];
        memcpy(&bits, &values[i], sizeof bits);
        bt_store_u32le(word, bits);
        BT_TRY(bt_str_append_n(bytes, word, sizeof word, err));
    }
    return BT_OK;
}

static bt_bytes bytes_of(const bt_str *s) {
    return (bt_bytes){(const uint8_t *)bt_str_text(s), s->len};
}

bt_status bt_events_pr_curve(bt_events_writer *writer, int64_t step, const char *tag,
                             const float *values, size_t n_thresholds, bt_error *err) {
    bt_status                          rc = BT_OK;
    bt_str                             content = BT_STR_INIT;
    bt_str                             bytes = BT_STR_INIT;
    BtTb__PrCurvePluginData            data = BT_TB__PR_CURVE_PLUGIN_DATA__INIT;
    BtTf__TensorShapeProto__Dim        dims[2] = {BT_TF__TENSOR_SHAPE_PROTO__DIM__INIT,
                                                  BT_TF__TENSOR_SHAPE_PROTO__DIM__INIT};
    BtTf__TensorShapeProto__Dim *const list[] = {&dims[0], &dims[1]};
    BtTf__TensorShapeProto             shape = BT_TF__TENSOR_SHAPE_PROTO__INIT;
    BtTf__TensorProto                  tensor = BT_TF__TENSOR_PROTO__INIT;
    const event_value value = {.tag = tag, .plugin = "pr_curves", .content = &content};
    data.num_thresholds = (uint32_t)n_thresholds;
    dims[0].size = N_CURVE_ROWS;
    dims[1].size = (int64_t)n_thresholds;
    shape.n_dim = BT_ARRAY_LEN(list);
    shape.dim = (BtTf__TensorShapeProto__Dim **)(uintptr_t)list;
    BT_CHECK(bt_proto_append(&content, &data.base, err));
    BT_CHECK(store_floats(values, N_CURVE_ROWS * n_thresholds, &bytes, err));
    tensor.dtype = DTYPE_FLOAT;
    tensor.tensor_shape = &shape;
    tensor.tensor_content = bt_proto_bytes(bytes_of(&bytes));
    BT_CHECK(events_write_tensor(writer, step, &value, &tensor, err));
done:
    bt_str_deinit(&content);
    bt_str_deinit(&bytes);
    return rc;
}

/* A vector of texts: width, height, the file. */
bt_status bt_events_image(bt_events_writer *writer, int64_t step, const bt_events_picture *picture,
                          bt_error *err) {
    char                               width[NUMBER_TEXT_MAX];
    char                               height[NUMBER_TEXT_MAX];
    BtTf__TensorShapeProto__Dim        dim = BT_TF__TENSOR_SHAPE_PROTO__DIM__INIT;
    BtTf__TensorShapeProto__Dim *const list[] = {&dim};
    BtTf__TensorShapeProto             shape = BT_TF__TENSOR_SHAPE_PROTO__INIT;
    BtTf__TensorProto                  tensor = BT_TF__TENSOR_PROTO__INIT;
    const event_value                  value = {
                         .tag = picture->tag, .plugin = "images", .description = picture->description};
    (void)snprintf(width, sizeof width, "%" PRIu32, picture->width);
    (void)snprintf(height, sizeof height, "%" PRIu32, picture->height);
    ProtobufCBinaryData parts[] = {bt_proto_text(width), bt_proto_text(height),
                                   bt_proto_bytes(picture->png)};
    dim.size = BT_ARRAY_LEN(parts);
    shape.n_dim = BT_ARRAY_LEN(list);
    shape.dim = (BtTf__TensorShapeProto__Dim **)(uintptr_t)list;
    tensor.dtype = DTYPE_STRING;
    tensor.tensor_shape = &shape;
    tensor.n_string_val = BT_ARRAY_LEN(parts);
    tensor.string_val = parts;
    return events_write_tensor(writer, step, &value, &tensor, err);
}
