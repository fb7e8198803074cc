/* SPDX-License-Identifier: Apache-2.0
 *
 * saved_model.pb: one graph with its weights as constants and the signature serving_default, as
 * TensorFlow's own tools make of a graph that was frozen. The values of each constant are written
 * straight from the model's (message_stream.h). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/proto.h"
#include "message_stream.h"
#include "serving_internal.h"

enum {
    SCHEMA_VERSION = 1,
    PRODUCER = 1882,      /* the graph's version: TensorFlow 2.17's */
    FIELD_META_GRAPH = 2, /* of SavedModel */
    FIELD_GRAPH_DEF = 2,  /* of MetaGraphDef */
    FIELD_NODE = 1,       /* of GraphDef */
    FIELD_ATTR = 5,       /* of NodeDef */
    FIELD_VALUE = 2,      /* of an entry of attr */
    FIELD_TENSOR = 8,     /* of AttrValue */
    FIELD_CONTENT = 4,    /* of TensorProto */
};

/* A node; a constant ends with an entry {key, value {tensor {dtype, shape, content}}} of attr,
 * whose content comes last. */
typedef struct node_message {
    bt_str  node, key, tensor; /* packed, without what follows */
    int64_t tensor_bytes, value_bytes, entry_bytes, node_bytes;
} node_message;

static void message_init(node_message *m) {
    *m = (node_message){.node = BT_STR_INIT, .key = BT_STR_INIT, .tensor = BT_STR_INIT};
}

static void message_deinit(node_message *m) {
    bt_str_deinit(&m->node);
    bt_str_deinit(&m->key);
    bt_str_deinit(&m->tensor);
}

static int64_t with_length(uint32_t field, int64_t n_bytes) {
    return message_length_size(field, n_bytes) + n_bytes;
}

static bt_status message_fill(node_message *m, serving_graph *s, const serving_node *from,
                              bt_error *err) {
    BtServing__NodeDef__AttrEntry key = BT_SERVING__NODE_DEF__ATTR_ENTRY__INIT;
    BtServing__TensorProto        tensor = BT_SERVING__TENSOR_PROTO__INIT;
    bt_str_clear(&m->node);
    bt_str_clear(&m->key);
    bt_str_clear(&m->tensor);
    BT_TRY(bt_proto_append(&m->node, &from->node->base, err));
    m->node_bytes = (int64_t)m->node.len;
    if (from->tensor == NULL) {
        return BT_OK;
    }
    key.key = (char *)(uintptr_t) "value";
    tensor.dtype = from->tensor->type == ONNX_I64 ? SERVING_I64 : SERVING_F32;
    tensor.tensor_shape = serving_shape(s, from->tensor->dim, (size_t)from->tensor->rank);
    if (tensor.tensor_shape == NULL) {
        return BT_FAIL(err, s->from->rc, "%s", s->from->err.msg);
    }
    BT_TRY(bt_proto_append(&m->key, &key.base, err));
    BT_TRY(bt_proto_append(&m->tensor, &tensor.base, err));
    m->tensor_bytes = (int64_t)m->tensor.len + with_length(FIELD_CONTENT, from->tensor->n_bytes);
    m->value_bytes = with_length(FIELD_TENSOR, m->tensor_bytes);
    m->entry_bytes = (int64_t)m->key.len + with_length(FIELD_VALUE, m->value_bytes);
    m->node_bytes += with_length(FIELD_ATTR, m->entry_bytes);
    return BT_OK;
}

static bt_status write_node(bt_fs_writer *out, const node_message *m, const onnx_tensor *tensor,
                            uint8_t *piece, bt_error *err) {
    BT_TRY(message_write_length(out, FIELD_NODE, m->node_bytes, err));
    BT_TRY(message_write_text(out, &m->node, err));
    if (tensor == NULL) {
        return BT_OK;
    }
    BT_TRY(message_write_length(out, FIELD_ATTR, m->entry_bytes, err));
    BT_TRY(message_write_text(out, &m->key, err));
    BT_TRY(message_write_length(out, FIELD_VALUE, m->value_bytes, err));
    BT_TRY(message_write_length(out, FIELD_TENSOR, m->tensor_bytes, err));
    BT_TRY(message_write_text(out, &m->tensor, err));
    BT_TRY(message_write_length(out, FIELD_CONTENT, tensor->n_bytes, err));
    return message_write_values(out, tensor, piece, err);
}

/* The graph is what is between these two in the file. */
typedef struct frame {
    bt_str  info, versions, signature; /* of MetaGraphDef, of its graph, of MetaGraphDef */
    int64_t graph_bytes, meta_bytes;
} frame;

static bt_status pack_info(frame *f, bt_error *err) {
    char                                *tags[] = {(char *)(uintptr_t) "serve"};
    BtServing__MetaGraphDef              meta = BT_SERVING__META_GRAPH_DEF__INIT;
    BtServing__MetaGraphDef__MetaInfoDef info = BT_SERVING__META_GRAPH_DEF__META_INFO_DEF__INIT;
    BtServing__GraphDef                  graph = BT_SERVING__GRAPH_DEF__INIT;
    BtServing__VersionDef                versions = BT_SERVING__VERSION_DEF__INIT;
    info.tags = tags;
    info.n_tags = 1;
    meta.meta_info_def = &info;
    versions.producer = PRODUCER;
    graph.versions = &versions;
    BT_TRY(bt_proto_append(&f->info, &meta.base, err));
    return bt_proto_append(&f->versions, &graph.base, err);
}

/* Of an input or output: its name, type and dims as the ONNX graph has them. */
typedef struct signature_row {
    BtServing__TensorInfo info;
    char                  name[64];
} signature_row;

static void fill_row(serving_graph *s, const BtOnnx__ValueInfoProto *from, signature_row *row) {
    const BtOnnx__TensorShapeProto *const shape = from->type->tensor_type->shape;
    int64_t                               dims[BT_MAX_RANK];
    for (size_t i = 0; i < shape->n_dim; i++) {
        const bool is_number =
            shape->dim[i]->value_case == BT_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        dims[i] = is_number ? shape->dim[i]->dim_value : -1;
    }
    bt_serving__tensor_info__init(&row->info);
    (void)snprintf(row->name, sizeof row->name, "%s:0", from->name);
    row->info.name = row->name;
    row->info.dtype = from->type->tensor_type->elem_type == ONNX_I64 ? SERVING_I64 : SERVING_F32;
    row->info.tensor_shape = serving_shape(s, dims, shape->n_dim);
}

static bt_status pack_signature(frame *f, serving_graph *s, bt_error *err) {
    enum { MOST = 3 };
    const onnx_graph *const                    g = s->from;
    signature_row                              in_rows[MOST], out_rows[MOST];
    BtServing__SignatureDef__InputsEntry       ins[MOST], *in_list[MOST];
    BtServing__SignatureDef__OutputsEntry      outs[MOST], *out_list[MOST];
    BtServing__SignatureDef                    signature = BT_SERVING__SIGNATURE_DEF__INIT;
    BtServing__MetaGraphDef__SignatureDefEntry entry =
        BT_SERVING__META_GRAPH_DEF__SIGNATURE_DEF_ENTRY__INIT;
    BtServing__MetaGraphDef__SignatureDefEntry *entries[] = {&entry};
    BtServing__MetaGraphDef                     meta = BT_SERVING__META_GRAPH_DEF__INIT;
    for (size_t i = 0; i < g->n_inputs; i++) {
        fill_row(s, g->inputs[i], &in_rows[i]);
        bt_serving__signature_def__inputs_entry__init(&ins[i]);
        ins[i].key = g->inputs[i]->name;
        ins[i].value = &in_rows[i].info;
        in_list[i] = &ins[i];
    }
    for (size_t i = 0; i < g->n_outputs; i++) {
        fill_row(s, g->outputs[i], &out_rows[i]);
        bt_serving__signature_def__outputs_entry__init(&outs[i]);
        outs[i].key = g->outputs[i]->name;
        outs[i].value = &out_rows[i].info;
        out_list[i] = &outs[i];
    }
    if (g->rc != BT_OK) {
        return BT_FAIL(err, g->rc, "%s", g->err.msg);
    }
    signature.inputs = in_list;
    signature.n_inputs = g->n_inputs;
    signature.outputs = out_list;
    signature.n_outputs = g->n_outputs;
    signature.method_name = (char *)(uintptr_t) "tensorflow/serving/predict";
    entry.key = (char *)(uintptr_t) "serving_default";
    entry.value = &signature;
    meta.signature_def = entries;
    meta.n_signature_def = 1;
    return bt_proto_append(&f->signature, &meta.base, err);
}

static bt_status count(frame *f, serving_graph *s, bt_error *err) {
    node_message m;
    bt_status    rc = BT_OK;
    message_init(&m);
    f->graph_bytes = (int64_t)f->versions.len;
    for (size_t i = 0; i < s->n_nodes; i++) {
        BT_CHECK(message_fill(&m, s, &s->nodes[i], err));
        f->graph_bytes += with_length(FIELD_NODE, m.node_bytes);
    }
    f->meta_bytes = (int64_t)f->info.len + with_length(FIELD_GRAPH_DEF, f->graph_bytes) +
                    (int64_t)f->signature.len;
done:
    message_deinit(&m);
    return rc;
}

static bt_status write_all(bt_fs_writer *out, const frame *f, serving_graph *s, uint8_t *piece,
                           bt_error *err) {
    bt_str                schema = BT_STR_INIT;
    BtServing__SavedModel model = BT_SERVING__SAVED_MODEL__INIT;
    node_message          m;
    bt_status             rc = BT_OK;
    message_init(&m);
    model.saved_model_schema_version = SCHEMA_VERSION;
    BT_CHECK(bt_proto_append(&schema, &model.base, err));
    BT_CHECK(message_write_text(out, &schema, err));
    BT_CHECK(message_write_length(out, FIELD_META_GRAPH, f->meta_bytes, err));
    BT_CHECK(message_write_text(out, &f->info, err));
    BT_CHECK(message_write_length(out, FIELD_GRAPH_DEF, f->graph_bytes, err));
    for (size_t i = 0; i < s->n_nodes; i++) {
        BT_CHECK(message_fill(&m, s, &s->nodes[i], err));
        BT_CHECK(write_node(out, &m, s->nodes[i].tensor, piece, err));
    }
    BT_CHECK(message_write_text(out, &f->versions, err));
    BT_CHECK(message_write_text(out, &f->signature, err));
    const int64_t n_bytes = (int64_t)schema.len + with_length(FIELD_META_GRAPH, f->meta_bytes);
    if (bt_fs_writer_offset(out) != n_bytes) {
        rc = BT_FAIL(err, BT_E_INTERNAL,
                     "%s: %" PRId64 " bytes were written, and %" PRId64 " were counted",
                     bt_fs_writer_path(out), bt_fs_writer_offset(out), n_bytes);
    }
done:
    bt_str_deinit(&schema);
    message_deinit(&m);
    return rc;
}

static bt_status write_file(const frame *f, serving_graph *s, const char *path, bt_fs_writer **out,
                            bt_error *err) {
    bt_status      rc = BT_OK;
    uint8_t *const piece = bt_alloc(MESSAGE_PIECE_BYTES);
    if (piece == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot write %s", path);
    }
    BT_CHECK(bt_fs_writer_create(path, out, err));
    BT_CHECK(write_all(*out, f, s, piece, err));
done:
    bt_free(piece);
    if (rc != BT_OK) {
        bt_fs_writer_abort(*out);
        *out = NULL;
    }
    return rc;
}

static bt_status check_size(const frame *f, const onnx_source *source, bt_error *err) {
    const int64_t limit = source->max_bytes > 0 ? source->max_bytes : message_limit;
    return f->meta_bytes <= limit
               ? BT_OK
               : BT_FAIL(err, BT_E_UNSUPPORTED,
                         "the model takes %" PRId64 " bytes as a graph of TensorFlow, and "
                         "saved_model.pb ends at %" PRId64 ": export it with "
                         "--export_format=onnx, or as hf",
                         f->meta_bytes, limit);
}

/* What is written and how long it is; path NULL: only that. */
static bt_status plan_and_write(const onnx_source *source, const char *path, bt_fs_writer **out,
                                bt_error *err) {
    bt_status     rc = BT_OK;
    onnx_graph    g;
    serving_graph s = {.from = NULL};
    frame         f = {.info = BT_STR_INIT, .versions = BT_STR_INIT, .signature = BT_STR_INIT};
    BT_CHECK(onnx_graph_init(&g, source, err));
    BT_CHECK(onnx_build(&g, err));
    BT_CHECK(serving_make(&g, &s, err));
    BT_CHECK(pack_info(&f, err));
    BT_CHECK(pack_signature(&f, &s, err));
    BT_CHECK(count(&f, &s, err));
    BT_CHECK(check_size(&f, source, err));
    if (path != NULL) {
        BT_CHECK(write_file(&f, &s, path, out, err));
    }
done:
    bt_str_deinit(&f.info);
    bt_str_deinit(&f.versions);
    bt_str_deinit(&f.signature);
    serving_deinit(&s);
    onnx_graph_deinit(&g);
    return rc;
}

bt_status serving_check(const onnx_source *source, bt_error *err) {
    return plan_and_write(source, NULL, NULL, err);
}

bt_status serving_write(const onnx_source *source, const char *path, bt_fs_writer **out,
                        bt_error *err) {
    *out = NULL;
    return plan_and_write(source, path, out, err);
}
