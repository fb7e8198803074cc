/* SPDX-License-Identifier: Apache-2.0
 *
 * The file of an ONNX graph. Protobuf's messages begin with their lengths, so that all lengths are
 * computed first; then the values of each tensor are made and written piece by piece: no second
 * copy of the weights is ever in memory. What would be larger than protobuf allows (2 GiB) keeps
 * its large tensors in a second file, as ONNX's external data. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/stop.h"
#include "bt/proto.h"
#include "message_stream.h"

enum {
    IR_VERSION = 8, /* of ONNX 1.12, which brought the operators below */
    OPSET = 17,
    FIELD_GRAPH = 7,       /* of ModelProto */
    FIELD_INITIALIZER = 5, /* of GraphProto */
    FIELD_RAW_DATA = 9,    /* of TensorProto */
    DATA_ALIGN = 4096,     /* so that tensors can be mapped */
    SMALL_BYTES = 1024, /* of a tensor that stays in the graph's file, as ONNX's own tool has it */
};

/* Where a tensor's values are in the other file; texts as ONNX wants them. */
typedef struct tensor_place {
    char                            offset[24], length[24];
    BtOnnx__StringStringEntryProto  entries[3];
    BtOnnx__StringStringEntryProto *pointers[3];
} tensor_place;

static void fill_place(tensor_place *place, const onnx_tensor *tensor, const char *data_name) {
    (void)snprintf(place->offset, sizeof place->offset, "%" PRId64, tensor->offset);
    (void)snprintf(place->length, sizeof place->length, "%" PRId64, tensor->n_bytes);
    const char *const texts[][2] = {
        {"location", data_name}, {"offset", place->offset}, {"length", place->length}};
    for (size_t i = 0; i < BT_ARRAY_LEN(texts); i++) {
        bt_onnx__string_string_entry_proto__init(&place->entries[i]);
        place->entries[i].key = (char *)(uintptr_t)texts[i][0];
        place->entries[i].value = (char *)(uintptr_t)texts[i][1];
        place->pointers[i] = &place->entries[i];
    }
}

/* A tensor's message without its values, which follow as one more field. */
typedef struct tensor_message {
    BtOnnx__TensorProto proto;
    int64_t             dims[BT_MAX_RANK];
    tensor_place        place;
    int64_t             n_bytes; /* of all of it, the values too where they are in this file */
} tensor_message;

static void fill_message(tensor_message *m, const onnx_tensor *tensor, const char *data_name) {
    bt_onnx__tensor_proto__init(&m->proto);
    memcpy(m->dims, tensor->dim, sizeof m->dims);
    m->proto.n_dims = (size_t)tensor->rank;
    m->proto.dims = m->dims;
    m->proto.has_data_type = 1;
    m->proto.data_type = tensor->type;
    m->proto.name = (char *)(uintptr_t)tensor->name;
    if (tensor->offset >= 0) {
        fill_place(&m->place, tensor, data_name);
        m->proto.n_external_data = BT_ARRAY_LEN(m->place.pointers);
        m->proto.external_data = m->place.pointers;
        m->proto.has_data_location = 1;
        m->proto.data_location = 1;
    }
    m->n_bytes = (int64_t)protobuf_c_message_get_packed_size(&m->proto.base);
    if (tensor->offset < 0) {
        m->n_bytes += message_length_size(FIELD_RAW_DATA, tensor->n_bytes) + tensor->n_bytes;
    }
}

/* The graph's message in its order: nodes and name, tensors, inputs and outputs. */
typedef struct graph_file {
    const onnx_graph *g;
    const char       *data_name;
    bt_str            before, after; /* fields of the graph, packed */
    bt_str            model_before, model_after;
    int64_t           graph_bytes;
    int64_t           n_bytes;    /* of the file */
    int64_t           data_bytes; /* of the other one; 0: there is none */
} graph_file;

static int64_t count_tensors(const onnx_graph *g, const char *data_name) {
    int64_t n = 0;
    for (size_t i = 0; i < g->n_tensors; i++) {
        tensor_message m;
        fill_message(&m, &g->tensors[i], data_name);
        n += message_length_size(FIELD_INITIALIZER, m.n_bytes) + m.n_bytes;
    }
    return n;
}

static void count_file(graph_file *file) {
    file->graph_bytes = (int64_t)file->before.len + count_tensors(file->g, file->data_name) +
                        (int64_t)file->after.len;
    file->n_bytes = (int64_t)file->model_before.len +
                    message_length_size(FIELD_GRAPH, file->graph_bytes) + file->graph_bytes +
                    (int64_t)file->model_after.len;
}

/* Gives large tensors a place in the other file; its length. */
static int64_t move_out(onnx_graph *g) {
    int64_t next = 0;
    int64_t end = 0;
    for (size_t i = 0; i < g->n_tensors; i++) {
        onnx_tensor *const tensor = &g->tensors[i];
        if (tensor->n_bytes >= SMALL_BYTES) {
            tensor->offset = next;
            end = next + tensor->n_bytes;
            next = (end + DATA_ALIGN - 1) / DATA_ALIGN * DATA_ALIGN;
        }
    }
    return end;
}

static bt_status pack_graph(graph_file *file, bt_error *err) {
    const onnx_graph *const g = file->g;
    BtOnnx__GraphProto      before = BT_ONNX__GRAPH_PROTO__INIT;
    BtOnnx__GraphProto      after = BT_ONNX__GRAPH_PROTO__INIT;
    before.node = g->nodes;
    before.n_node = g->n_nodes;
    before.name = (char *)(uintptr_t) "bert";
    after.input = (BtOnnx__ValueInfoProto **)(uintptr_t)g->inputs;
    after.n_input = g->n_inputs;
    after.output = (BtOnnx__ValueInfoProto **)(uintptr_t)g->outputs;
    after.n_output = g->n_outputs;
    BT_TRY(bt_proto_append(&file->before, &before.base, err));
    return bt_proto_append(&file->after, &after.base, err);
}

static bt_status pack_model(graph_file *file, bt_error *err) {
    const onnx_source *const    source = file->g->source;
    BtOnnx__ModelProto          before = BT_ONNX__MODEL_PROTO__INIT;
    BtOnnx__ModelProto          after = BT_ONNX__MODEL_PROTO__INIT;
    BtOnnx__OperatorSetIdProto  opset = BT_ONNX__OPERATOR_SET_ID_PROTO__INIT;
    BtOnnx__OperatorSetIdProto *opsets[] = {&opset};
    before.has_ir_version = 1;
    before.ir_version = IR_VERSION;
    before.producer_name = (char *)(uintptr_t) "bert-train";
    before.producer_version = (char *)(uintptr_t)source->version;
    opset.domain = (char *)(uintptr_t) "";
    opset.has_version = 1;
    opset.version = OPSET;
    after.opset_import = opsets;
    after.n_opset_import = 1;
    BT_TRY(bt_proto_append(&file->model_before, &before.base, err));
    BT_TRY(bt_proto_append(&file->model_after, &after.base, err));
    for (size_t i = 0; i < source->n_facts; i++) {
        BtOnnx__ModelProto              one = BT_ONNX__MODEL_PROTO__INIT;
        BtOnnx__StringStringEntryProto  fact = BT_ONNX__STRING_STRING_ENTRY_PROTO__INIT;
        BtOnnx__StringStringEntryProto *facts[] = {&fact};
        fact.key = (char *)(uintptr_t)source->facts[2 * i];
        fact.value = (char *)(uintptr_t)source->facts[2 * i + 1];
        one.metadata_props = facts;
        one.n_metadata_props = 1;
        BT_TRY(bt_proto_append(&file->model_after, &one.base, err));
    }
    return BT_OK;
}

static bt_status write_graph(bt_fs_writer *out, const graph_file *file, uint8_t *piece,
                             bt_error *err) {
    bt_str    packed = BT_STR_INIT;
    bt_status rc = BT_OK;
    BT_CHECK(message_write_text(out, &file->model_before, err));
    BT_CHECK(message_write_length(out, FIELD_GRAPH, file->graph_bytes, err));
    BT_CHECK(message_write_text(out, &file->before, err));
    for (size_t i = 0; i < file->g->n_tensors; i++) {
        const onnx_tensor *const tensor = &file->g->tensors[i];
        tensor_message           m;
        fill_message(&m, tensor, file->data_name);
        bt_str_clear(&packed);
        BT_CHECK(bt_proto_append(&packed, &m.proto.base, err));
        BT_CHECK(message_write_length(out, FIELD_INITIALIZER, m.n_bytes, err));
        BT_CHECK(message_write_text(out, &packed, err));
        if (tensor->offset < 0) {
            BT_CHECK(message_write_length(out, FIELD_RAW_DATA, tensor->n_bytes, err));
            BT_CHECK(message_write_values(out, tensor, piece, err));
        }
    }
    BT_CHECK(message_write_text(out, &file->after, err));
    BT_CHECK(message_write_text(out, &file->model_after, err));
    if (bt_fs_writer_offset(out) != file->n_bytes) {
        rc = BT_FAIL(err, BT_E_INTERNAL,
                     "%s: %" PRId64 " bytes were written, and %" PRId64 " were counted",
                     bt_fs_writer_path(out), bt_fs_writer_offset(out), file->n_bytes);
    }
done:
    bt_str_deinit(&packed);
    return rc;
}

static bt_status write_data(bt_fs_writer *out, const onnx_graph *g, uint8_t *piece, bt_error *err) {
    static const uint8_t zeros[DATA_ALIGN];
    for (size_t i = 0; i < g->n_tensors; i++) {
        const onnx_tensor *const tensor = &g->tensors[i];
        if (tensor->offset >= 0) {
            const int64_t gap = tensor->offset - bt_fs_writer_offset(out);
            BT_TRY(bt_fs_writer_write(out, zeros, (size_t)gap, err));
            BT_TRY(message_write_values(out, tensor, piece, err));
        }
    }
    return BT_OK;
}

static bt_status write_files(const graph_file *file, const char *path, const char *data_path,
                             onnx_files *out, bt_error *err) {
    bt_status      rc = BT_OK;
    uint8_t *const piece = bt_alloc(MESSAGE_PIECE_BYTES);
    if (piece == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot write %s", path);
    }
    if (file->data_bytes > 0) {
        BT_CHECK(bt_fs_writer_create(data_path, &out->data, err));
        BT_CHECK(write_data(out->data, file->g, piece, err));
    }
    BT_CHECK(bt_fs_writer_create(path, &out->graph, err));
    BT_CHECK(write_graph(out->graph, file, piece, err));
done:
    bt_free(piece);
    return rc;
}

/* All but the values: how long each part is, and what goes where. Deinit also after a failure. */
static bt_status plan(graph_file *file, onnx_graph *g, const onnx_source *source,
                      const char *data_name, bt_error *err) {
    const int64_t limit = source->max_bytes > 0 ? source->max_bytes : message_limit;
    *file = (graph_file){.g = g,
                         .data_name = data_name,
                         .before = BT_STR_INIT,
                         .after = BT_STR_INIT,
                         .model_before = BT_STR_INIT,
                         .model_after = BT_STR_INIT};
    BT_TRY(onnx_graph_init(g, source, err));
    BT_TRY(onnx_build(g, err));
    BT_TRY(pack_graph(file, err));
    BT_TRY(pack_model(file, err));
    count_file(file);
    if (file->n_bytes > limit) {
        file->data_bytes = move_out(g);
        count_file(file);
    }
    return BT_OK;
}

static void plan_deinit(graph_file *file, onnx_graph *g) {
    bt_str_deinit(&file->before);
    bt_str_deinit(&file->after);
    bt_str_deinit(&file->model_before);
    bt_str_deinit(&file->model_after);
    onnx_graph_deinit(g);
}

bt_status onnx_measure(const onnx_source *source, onnx_sizes *out, bt_error *err) {
    onnx_graph      g;
    graph_file      file;
    const bt_status rc = plan(&file, &g, source, "model.onnx_data", err);
    *out = (onnx_sizes){.graph = file.n_bytes, .data = file.data_bytes};
    plan_deinit(&file, &g);
    return rc;
}

bt_status onnx_write(const onnx_source *source, const char *path, const char *data_path,
                     onnx_files *out, bt_error *err) {
    bt_status  rc = BT_OK;
    onnx_graph g;
    graph_file file;
    *out = (onnx_files){NULL, NULL};
    BT_CHECK(plan(&file, &g, source, bt_fs_basename(data_path), err));
    BT_CHECK(write_files(&file, path, data_path, out, err));
done:
    plan_deinit(&file, &g);
    if (rc != BT_OK) {
        bt_fs_writer_abort(out->graph);
        bt_fs_writer_abort(out->data);
        *out = (onnx_files){NULL, NULL};
    }
    return rc;
}
