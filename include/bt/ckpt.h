/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt: named tensors in and out. Reads TF1 name-based and TF2 object-based checkpoints, the
 * variables of a SavedModel and Hugging Face safetensors under one set of names: our canonical
 * variable names (encoder type bert of spec/numerics.md section 7, e.g.
 * "transformer/layer_0/self_attention/query/kernel"). Writes what Model Garden's trainer writes.
 *
 * Promises: values are bit-exact; kernels arrive in TensorFlow's layout whatever the file has; a
 * damaged file is an error that names file, tensor and place; a checkpoint appears whole or not at
 * all, and the `checkpoint` state file only ever names a whole one.
 */
#ifndef BT_CKPT_H
#define BT_CKPT_H

#include "bt/tensor.h"
#include "bt/wire.h"

/* ---- reading ----------------------------------------------------------------------------------
 */

typedef enum bt_ckpt_layout {
    BT_CKPT_TF1,         /* names are keys: bert/encoder/layer_0/... */
    BT_CKPT_TF2,         /* an object graph, walked from its root */
    BT_CKPT_SAVED_MODEL, /* variables/N; names come from the graph's full names */
    BT_CKPT_HUGGING_FACE,
    BT_CKPT_PLAIN, /* a bundle or safetensors file of other names: list, show, read_tensor */
} bt_ckpt_layout;
const char *bt_ckpt_layout_name(bt_ckpt_layout layout); /* "TF2 object-based", ... */

typedef struct bt_ckpt bt_ckpt;

/* path: a prefix; a folder (its `checkpoint` file names the latest; else model.safetensors, else a
 * SavedModel's variables/variables); or any one of the files (.index, .data-*, .safetensors,
 * `checkpoint`). Missing or damaged: BT_E_IO or BT_E_FORMAT. */
BT_MUST_USE bt_status bt_ckpt_open(const char *path, bt_ckpt **out, bt_error *err);
void                  bt_ckpt_close(bt_ckpt *ckpt);      /* accepts NULL */
const char           *bt_ckpt_path(const bt_ckpt *ckpt); /* the prefix or file that was opened */
bt_ckpt_layout        bt_ckpt_get_layout(const bt_ckpt *ckpt);

/* What the file says about its encoder; -1 where it says nothing. For messages and checks. */
typedef struct bt_ckpt_info {
    int64_t n_layers;
    int64_t vocab_size;
    int64_t hidden_size;
    int64_t embedding_size;
    int64_t n_heads; /* unknown in TF1 files and safetensors without config.json */
    int64_t intermediate_size;
    int64_t max_positions;
    int64_t type_vocab_size;
    int64_t n_classes; /* of a sentence_prediction or token head */
    bool    has_encoder;
    bool    has_pooler;      /* the encoder's own */
    bool    has_head_pooler; /* sentence_prediction/pooler_dense */
    bool    has_head_logits;
    bool    has_slots;
} bt_ckpt_info;
void bt_ckpt_get_info(const bt_ckpt *ckpt, bt_ckpt_info *out);

/* Physical tensors, in order of name (the object graph's own entry is left out). */
typedef struct bt_ckpt_tensor {
    const char *name; /* borrowed until bt_ckpt_close */
    bt_tf_dtype dtype;
    int32_t     rank;
    int64_t     dim[BT_WIRE_MAX_RANK];
    int64_t     n_elements;
} bt_ckpt_tensor;
size_t           bt_ckpt_n_tensors(const bt_ckpt *ckpt);
void             bt_ckpt_get_tensor(const bt_ckpt *ckpt, size_t i, bt_ckpt_tensor *out);
BT_MUST_USE bool bt_ckpt_find_tensor(const bt_ckpt *ckpt, const char *name, bt_ckpt_tensor *out);
/* All elements of a tensor of numbers as they lie in the file. */
BT_MUST_USE bt_status bt_ckpt_read_tensor(bt_ckpt *ckpt, const char *name, void *dst,
                                          size_t n_bytes, bt_error *err);
/* A tensor of strings: n_elements values in one block that the caller bt_free()s. */
BT_MUST_USE bt_status bt_ckpt_read_strings(bt_ckpt *ckpt, const char *name, bt_bytes **values,
                                           bt_error *err);
/* Reads and checks every byte that counts. */
BT_MUST_USE bt_status bt_ckpt_verify(bt_ckpt *ckpt, bt_error *err);

/* Variables under canonical names. slot: NULL for the variable itself, or an optimizer slot: "m",
 * "v", "momentum", "average" (of the EMA; m and v are found below ema_base_optimizer too). */
bool bt_ckpt_has_variable(const bt_ckpt *ckpt, const char *name, const char *slot);
/* Name of the tensor that holds it, or NULL: for "loaded X from Y" lines. */
const char *bt_ckpt_tensor_of(const bt_ckpt *ckpt, const char *name, const char *slot);
/* float32 (or float16, bfloat16, float64 converted) into dst of the caller's shape: reshaped
 * between [H,H] and [H,NH,D], transposed where Hugging Face stores [out,in]. Missing: BT_E_FORMAT
 * (with the number of layers in the file when that is why); another number of elements:
 * BT_E_SHAPE that says both shapes. */
BT_MUST_USE bt_status bt_ckpt_read_variable(bt_ckpt *ckpt, const char *name, const char *slot,
                                            int32_t rank, const int64_t *dims, float *dst,
                                            bt_error *err);
/* Scalars of a training checkpoint: "global_step", "save_counter", "optimizer/iter",
 * "optimizer/beta_1"... (with EMA those below ema_base_optimizer). *found false: not there. */
BT_MUST_USE bt_status bt_ckpt_read_scalar_i64(bt_ckpt *ckpt, const char *name, int64_t *value,
                                              bool *found, bt_error *err);
BT_MUST_USE bt_status bt_ckpt_read_scalar_f32(bt_ckpt *ckpt, const char *name, float *value,
                                              bool *found, bt_error *err);
/* Our own state (key "bert_train/NAME", bytes). Missing: *value NULL. The caller bt_free()s it. */
BT_MUST_USE bt_status bt_ckpt_read_extra(bt_ckpt *ckpt, const char *name, char **value,
                                         size_t *n_bytes, bt_error *err);

/* ---- loading a parameter table ------------------------------------------------------------------
 */

typedef enum bt_ckpt_scope {
    BT_CKPT_ENCODER,          /* every encoder parameter must be there, nothing else is read */
    BT_CKPT_ENCODER_AND_HEAD, /* the head too where the file has it in the model's shape */
    BT_CKPT_EVERYTHING,       /* resume: every parameter must be there */
} bt_ckpt_scope;

typedef struct bt_ckpt_report {
    int64_t n_loaded;
    int64_t n_missing;   /* parameters of the table that were not read */
    int64_t n_left_over; /* tensors of the file that nobody read (slots and scalars counted) */
    bool   *loaded;      /* [table->n_params]; owned: bt_ckpt_report_deinit */
    bool   *used;        /* [bt_ckpt_n_tensors]; owned */
} bt_ckpt_report;
void bt_ckpt_report_deinit(bt_ckpt_report *report);
/* Reads into the flat buffer. All shapes are checked before the first byte is read, so that flat
 * is untouched when the file does not fit. BT_E_SHAPE and BT_E_FORMAT name the first variable that
 * does not fit and say both numbers (layers, vocabulary, positions, hidden size). */
BT_MUST_USE bt_status bt_ckpt_load_params(bt_ckpt *ckpt, const bt_param_table *table,
                                          bt_ckpt_scope scope, float *flat, bt_ckpt_report *report,
                                          bt_error *err);
/* One slot of every parameter that the file has it for; *n_loaded counts them. */
BT_MUST_USE bt_status bt_ckpt_load_slot(bt_ckpt *ckpt, const bt_param_table *table,
                                        const char *slot, float *flat, int64_t *n_loaded,
                                        bt_error *err);

/* ---- writing a training checkpoint
 * --------------------------------------------------------------- */

typedef struct bt_ckpt_slot {
    const char  *name;       /* "m", "v", "average", "momentum" */
    const float *flat;       /* laid out as the parameters */
    bool         all;        /* false: only parameters with has_gradient have it */
    bool         is_average; /* belongs to the EMA, not to the inner optimizer */
} bt_ckpt_slot;

typedef struct bt_ckpt_hyper { /* a scalar of the optimizer: "iter" (int64), "beta_1", "decay"... */
    const char *name;
    bool        is_int;
    int64_t     int_value;
    float       float_value;
} bt_ckpt_hyper;

typedef struct bt_ckpt_extra { /* our own state under a key that TensorFlow ignores */
    const char *name;          /* becomes bert_train/NAME */
    bt_bytes    value;
} bt_ckpt_extra;

typedef struct bt_ckpt_train {
    const bt_param_table *table;
    const float          *flat;
    bool                  is_v2;          /* encoder.type bert_v2: other object names */
    const char           *optimizer_name; /* "AdamWeightDecay"; NULL: no optimizer in the file */
    bool                  has_ema;
    const bt_ckpt_slot   *slots; /* in the order of the optimizer: m, v; average first */
    size_t                n_slots;
    const bt_ckpt_hyper  *hypers; /* iter, beta_1, beta_2, decay */
    size_t                n_hypers;
    int64_t               global_step;
    int64_t               save_counter;
    const bt_ckpt_extra  *extras;
    size_t                n_extras;
} bt_ckpt_train;
/* Writes PREFIX.data-00000-of-00001 and PREFIX.index, each atomically, the index last. */
BT_MUST_USE bt_status bt_ckpt_write_train(const char *prefix, const bt_ckpt_train *train,
                                          bt_error *err);

/* ---- a folder of checkpoints
 * ---------------------------------------------------------------------- */

/* tf.train.CheckpointManager's rules (spec/config.md section 6.5). */
typedef struct bt_ckpt_manager bt_ckpt_manager;
/* folder is made when missing. base: "ckpt" -> ckpt-STEP. max_to_keep 0: keep all. Reads the state
 * file: checkpoints older than last_preserved_timestamp are kept for ever. */
BT_MUST_USE bt_status bt_ckpt_manager_create(const char *folder, const char *base,
                                             int64_t max_to_keep, bt_ckpt_manager **out,
                                             bt_error *err);
void                  bt_ckpt_manager_free(bt_ckpt_manager *manager);
/* Writes base-NUMBER, then the state file, then deletes what is too many. */
BT_MUST_USE bt_status bt_ckpt_manager_save(bt_ckpt_manager *manager, int64_t number,
                                           const bt_ckpt_train *train, bt_error *err);
/* Prefix of the latest; NULL: none. Borrowed until the next save. */
const char *bt_ckpt_manager_latest(const bt_ckpt_manager *manager);

/* What the `checkpoint` file of folder names as latest: *prefix NULL when there is no such file;
 * BT_E_IO or BT_E_FORMAT when it names a checkpoint that is missing or whose files are cut. The
 * caller bt_free()s it. */
BT_MUST_USE bt_status bt_ckpt_find_latest(const char *folder, char **prefix, bt_error *err);

/* ---- converting
 * ------------------------------------------------------------------------------------ */

/* Copies every tensor (names, types, shapes, bits kept) to a safetensors file (dst ends in
 * ".safetensors"; string tensors are left out and counted) or to a bundle. Nothing is left behind
 * on failure. */
BT_MUST_USE bt_status bt_ckpt_convert(bt_ckpt *ckpt, const char *dst, int64_t *n_written,
                                      int64_t *n_left_out, bt_error *err);

#endif
