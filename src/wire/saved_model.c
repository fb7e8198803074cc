/* SPDX-License-Identifier: Apache-2.0
 *
 * What Keras wrote about the objects of a SavedModel: JSON texts, in keras_metadata.pb
 * (SavedMetadata {1: nodes {5: metadata}}) or, in older exports, in saved_model.pb itself
 * (SavedModel {2: MetaGraphDef {7: SavedObjectGraph {1: nodes {4: SavedUserObject {3:
 * metadata}}}}}). */
#include "bt/wire/saved_model.h"
#include "proto_wire.h"

enum { MAX_DEPTH = 5 };

/* The field numbers that lead to a text. */
typedef struct text_path {
    uint32_t numbers[MAX_DEPTH];
    size_t   n;
} text_path;

static const text_path keras_path = {{1, 5}, 2};
static const text_path saved_model_path = {{2, 7, 1, 4, 3}, 5};

static bt_status follow(bt_bytes bytes, const text_path *path, size_t depth,
                        bt_saved_model_text_fn visit, void *context, bt_error *err) {
    bt_reader r = pw_open(bytes);
    while (bt_reader_left(&r) > 0) {
        pw_field field;
        if (!pw_next(&r, &field)) {
            return BT_FAIL(err, BT_E_FORMAT, "damaged: the messages of a SavedModel are truncated");
        }
        if (field.number != path->numbers[depth] || field.type != PW_BYTES) {
            continue;
        }
        BT_TRY(depth + 1 == path->n ? visit(context, field.bytes, err)
                                    : follow(field.bytes, path, depth + 1, visit, context, err));
    }
    return BT_OK;
}

bt_status bt_saved_model_texts(bt_bytes bytes, bool is_keras_metadata, bt_saved_model_text_fn visit,
                               void *context, bt_error *err) {
    return follow(bytes, is_keras_metadata ? &keras_path : &saved_model_path, 0, visit, context,
                  err);
}
