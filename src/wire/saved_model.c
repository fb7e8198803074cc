/* SPDX-License-Identifier: Apache-2.0
 *
 * What Keras wrote about the objects of a SavedModel: JSON texts, in keras_metadata.pb or, in older
 * exports, in saved_model.pb itself (proto/keras_metadata.proto, proto/saved_model.proto). */
#include "bt/wire/saved_model.h"
#include "bt/proto.h"
#include "keras_metadata.pb-c.h"
#include "saved_model.pb-c.h"

typedef struct visitor {
    bt_saved_model_text_fn visit;
    void                  *context;
} visitor;

static bt_status visit_text(const visitor *v, ProtobufCBinaryData text, bt_error *err) {
    return v->visit(v->context, (bt_bytes){text.data, text.len}, err);
}

static bt_status visit_metadata(const BtKeras__SavedMetadata *metadata, const visitor *v,
                                bt_error *err) {
    for (size_t i = 0; i < metadata->n_nodes; i++) {
        BT_TRY(visit_text(v, metadata->nodes[i]->metadata, err));
    }
    return BT_OK;
}

static bt_status visit_objects(const BtTf__SavedObjectGraph *objects, const visitor *v,
                               bt_error *err) {
    for (size_t i = 0; i < objects->n_nodes; i++) {
        const BtTf__SavedUserObject *const object = objects->nodes[i]->user_object;
        BT_TRY(object != NULL ? visit_text(v, object->metadata, err) : BT_OK);
    }
    return BT_OK;
}

static bt_status visit_model(const BtTf__SavedModel *model, const visitor *v, bt_error *err) {
    for (size_t i = 0; i < model->n_meta_graphs; i++) {
        const BtTf__SavedObjectGraph *const objects = model->meta_graphs[i]->object_graph_def;
        BT_TRY(objects != NULL ? visit_objects(objects, v, err) : BT_OK);
    }
    return BT_OK;
}

bt_status bt_saved_model_texts(bt_bytes bytes, bool is_keras_metadata, bt_saved_model_text_fn visit,
                               void *context, bt_error *err) {
    const visitor           v = {visit, context};
    bt_arena                arena = {0};
    const ProtobufCMessage *message = NULL;
    bt_status               rc = BT_OK;
    BT_CHECK(bt_arena_init(&arena, 1U << 16, err));
    BT_CHECK(bt_proto_unpack(is_keras_metadata ? &bt_keras__saved_metadata__descriptor
                                               : &bt_tf__saved_model__descriptor,
                             bytes, &arena, &message, err));
    BT_CHECK(is_keras_metadata ? visit_metadata((const BtKeras__SavedMetadata *)message, &v, err)
                               : visit_model((const BtTf__SavedModel *)message, &v, err));
done:
    bt_arena_deinit(&arena);
    return rc;
}
