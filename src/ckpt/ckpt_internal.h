/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt, private: an open checkpoint is its physical tensors and a map from canonical variable names
 * (and slots) to them. Each layout fills the map in its own way; reading knows no layout. */
#ifndef BT_CKPT_INTERNAL_H
#define BT_CKPT_INTERNAL_H

#include "bt/base/map.h"
#include "bt/ckpt.h"
#include "bt/wire/bundle.h"
#include "bt/wire/object_graph.h"
#include "bt/wire/safetensors.h"

#define BT_CKPT_STATE_KEY "bert_train/state"
#define BT_CKPT_INFO_KEY "bert_train/info"

enum { CKPT_NAME_MAX = 512 };

/* Where a canonical variable lives. */
typedef struct ckpt_place {
    int64_t tensor;    /* index of the physical tensor */
    bool    transpose; /* [out,in] in the file, [in,out] here */
} ckpt_place;

/* Where a tensor of safetensors files is. */
typedef struct ckpt_st_place {
    bt_safetensors    *file;
    const bt_st_entry *entry;
} ckpt_st_place;

/* Every slot of every optimizer by the variable that it belongs to: those of node n are
 * items[first[n]
 * .. first[n + 1]). And the tensor of each node. */
typedef struct ckpt_slots {
    size_t               *first; /* [n_nodes + 1] */
    const bt_graph_slot **items;
    int64_t              *tensor; /* [n_nodes]; -1: no variable */
} ckpt_slots;

struct bt_ckpt {
    bt_ckpt_layout   layout;
    char            *path;
    bt_bundle       *bundle;   /* TF1, TF2 */
    bt_safetensors **st_files; /* safetensors: one, or those of an index */
    size_t           n_st_files;
    ckpt_st_place   *st_places; /* of tensors */
    bt_graph         graph;     /* TF2 */
    bool             has_graph;
    ckpt_slots       slots; /* of the graph's variables; while it is mapped */
    bt_ckpt_tensor  *tensors;
    size_t           n_tensors;
    bt_map          *tensor_index; /* physical name -> index */
    bt_map          *place_index;  /* canonical name, or name 0x01 slot -> index into places */
    ckpt_place      *places;
    size_t           n_places;
    size_t           cap_places;
    char            *wrapper;       /* before the names of all encoder tensors; NULL: nothing */
    char            *other_wrapper; /* there are two encoders, the other one's */
    int64_t          foreign;       /* a tensor of the encoder that is none of ours; or -1 */
    bool             is_distilbert; /* by its names */
    bt_ckpt_encoder  encoder;
    int64_t          n_layers;
    int64_t          n_adapters; /* places that end in CKPT_ADAPTER_END */
};

#define CKPT_ADAPTER_END "/lora_a"

/* Adds (name, slot) -> tensor; the first one of a name stays. slot NULL: the variable itself. */
BT_MUST_USE bt_status ckpt_add_place(bt_ckpt *ckpt, const char *name, const char *slot,
                                     int64_t tensor, bool transpose, bt_error *err);
const ckpt_place     *ckpt_find_place(const bt_ckpt *ckpt, const char *name, const char *slot);

/* ckpt_encoder.c: what encoder the places make up. */
void ckpt_find_encoder(bt_ckpt *ckpt);
/* ckpt_safetensors.c: "X.safetensors" or "X.safetensors.index.json". */
bool                  ckpt_is_safetensors(const char *path);
BT_MUST_USE bt_status ckpt_open_st_files(bt_ckpt *ckpt, bt_error *err);
void                  ckpt_close_st_files(bt_ckpt *ckpt);

/* ckpt_stranger.c: always a failure: what a file is that is not a checkpoint. And of a folder
 * without one: BT_OK when there is nothing in it that could have been meant. */
BT_MUST_USE bt_status ckpt_refuse_file(const char *path, bt_error *err);
BT_MUST_USE bt_status ckpt_refuse_folder(const char *folder, bt_error *err);

/* ckpt_names.c: TF1 and Hugging Face names. */
BT_MUST_USE bt_status ckpt_map_names(bt_ckpt *ckpt, bt_error *err);
/* ckpt_graph.c: walks the object graph. */
BT_MUST_USE bt_status ckpt_map_graph(bt_ckpt *ckpt, bt_error *err);

#endif
