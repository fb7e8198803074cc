/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt: named tensors in and out. Reads TF1 name-based and TF2 object-based checkpoints (also the
 * variables of a SavedModel) and Hugging Face safetensors; writes what Model Garden's trainer
 * writes (docs/model_garden/numerics.md sections 7 to 9). A variable is asked for by its canonical
 * name (bt_param.name); layouts, transposes and reshapes stay inside.
 */
#ifndef BT_CKPT_H
#define BT_CKPT_H

#include "bt/base/str.h"
#include "bt/tensor.h"

typedef struct bt_ckpt bt_ckpt;

typedef enum bt_ckpt_layout {
    BT_CKPT_TF1,         /* name-based: bert/encoder/layer_0/... */
    BT_CKPT_TF2,         /* object-based: _CHECKPOINTABLE_OBJECT_GRAPH */
    BT_CKPT_SAFETENSORS, /* Hugging Face names */
} bt_ckpt_layout;
const char *bt_ckpt_layout_name(bt_ckpt_layout layout);

/* path: a prefix, a folder (its `checkpoint` file says which; or one with model.safetensors, with
 * the index of several such files, or with a SavedModel), or any of the files: X.index, X.data-...,
 * X.safetensors, X.safetensors.index.json, checkpoint. Errors: BT_E_IO, BT_E_FORMAT.
 */
BT_MUST_USE bt_status bt_ckpt_open(const char *path, bt_ckpt **out, bt_error *err);
void                  bt_ckpt_close(bt_ckpt *ckpt);      /* accepts NULL */
const char           *bt_ckpt_path(const bt_ckpt *ckpt); /* the prefix or file that was chosen */
bt_ckpt_layout        bt_ckpt_get_layout(const bt_ckpt *ckpt);

/* Physical tensors, as they are in the file. */

typedef struct bt_ckpt_tensor {
    const char    *name; /* borrowed until close */
    bt_dtype       dtype;
    int32_t        rank;
    const int64_t *dim;
    int64_t        n_elements;
} bt_ckpt_tensor;
size_t         bt_ckpt_n_tensors(const bt_ckpt *ckpt);
bt_ckpt_tensor bt_ckpt_tensor_at(const bt_ckpt *ckpt, size_t i);
int64_t        bt_ckpt_find_tensor(const bt_ckpt *ckpt, const char *name); /* index or -1 */
/* Raw little-endian values, row-major; n_bytes must be exact. Not for strings. */
BT_MUST_USE bt_status bt_ckpt_read_tensor(bt_ckpt *ckpt, size_t i, void *dst, size_t n_bytes,
                                          bt_error *err);
BT_MUST_USE bt_status bt_ckpt_verify(bt_ckpt *ckpt, bt_error *err); /* every byte that counts */

/* Logical variables. */

/* Index of the physical tensor that holds the canonical variable, or its slot ("m", "v", "average",
 * ...; NULL: the variable itself); -1: not there. */
int64_t bt_ckpt_find_variable(const bt_ckpt *ckpt, const char *name, const char *slot);
/* Into dst [param->n_elements] in param's shape. A shape that does not fit: BT_E_SHAPE with both.
 */
BT_MUST_USE bt_status bt_ckpt_read_variable(bt_ckpt *ckpt, const bt_param *param, const char *slot,
                                            float *dst, bt_error *err);
/* The same of numbers that somebody computes with: one that is not finite is BT_E_FORMAT, with the
 * variable's name. */
BT_MUST_USE bt_status bt_ckpt_read_weight(bt_ckpt *ckpt, const bt_param *param, const char *slot,
                                          float *dst, bt_error *err);
/* Compares shapes without reading. */
BT_MUST_USE bt_status bt_ckpt_check_variable(bt_ckpt *ckpt, const bt_param *param, bt_error *err);
/* The pooler of the pre-training head next_sentence, as "next_sentence/pooler_dense/kernel|bias",
 * is found by the two functions above under these names. */
/* What kind of encoder a file holds. */
typedef enum bt_ckpt_encoder {
    BT_CKPT_NO_ENCODER,
    BT_CKPT_BERT,       /* of either type: their variables are the same */
    BT_CKPT_ALBERT,     /* one layer, which a model repeats: the file does not say how often */
    BT_CKPT_DISTILBERT, /* a BERT without token types and pooler */
} bt_ckpt_encoder;
bt_ckpt_encoder bt_ckpt_get_encoder(const bt_ckpt *ckpt);
const char     *bt_ckpt_encoder_name(bt_ckpt_encoder encoder); /* "BERT" */
/* What transformers calls a variable of ours in a model of that kind; *transpose: it keeps [out,in]
 * there, and heads together. head: what the layer after the encoder is called there ("classifier",
 * "qa_outputs"); NULL: a bare encoder, whose names have no prefix. false: there is none. */
enum { BT_CKPT_HF_NAME_MAX = 160 };
bool    bt_ckpt_hf_name(bt_ckpt_encoder encoder, const char *name, const char *head,
                        char out[BT_CKPT_HF_NAME_MAX], bool *transpose);
int64_t bt_ckpt_n_layers(const bt_ckpt *ckpt); /* transformer layers in the file; 0: no encoder */

/* A folder of PEFT's: its adapters opened, and what adapter_config.json says of them.
 * BT_E_UNSUPPORTED: adapters of another kind than LoRA's plain ones. */
typedef struct bt_ckpt_lora {
    int64_t rank;
    double  scale;
} bt_ckpt_lora;
BT_MUST_USE bt_status bt_ckpt_open_lora(const char *folder, bt_ckpt **out, bt_ckpt_lora *lora,
                                        bt_error *err);
/* BT_E_CONFIG: the file has adapters, or more of them, that the model's table lacks: without them
 * it would compute something else. */
BT_MUST_USE bt_status bt_ckpt_check_adapters(const bt_ckpt *ckpt, const bt_param_table *table,
                                             bt_error *err);

/* What an encoder variable starts as that a file of this kind need not hold. */
typedef enum bt_ckpt_absence {
    BT_CKPT_NEEDED, /* it must be there */
    BT_CKPT_ZERO,   /* zeros compute what the file's model computes without it */
    BT_CKPT_FRESH,  /* only a head reads it */
} bt_ckpt_absence;
bt_ckpt_absence bt_ckpt_why_absent(const bt_ckpt *ckpt, const char *name);

/* The file of a folder that says which checkpoint is the latest. */
#define BT_CKPT_STATE_NAME "checkpoint"

/* What the JSON configuration beside the file says (config.json, bert_config.json,
 * albert_config.json); 0 and "" where it says nothing, or where there is none. */
enum { BT_CKPT_WORD_MAX = 32, BT_CKPT_PATH_MAX = 512 };
typedef struct bt_ckpt_facts {
    char    path[BT_CKPT_PATH_MAX];       /* of the configuration; cut when it is longer */
    char    model_type[BT_CKPT_WORD_MAX]; /* Hugging Face's */
    char    activation[BT_CKPT_WORD_MAX];
    char    positions[BT_CKPT_WORD_MAX]; /* position_embedding_type */
    char    architecture[64];            /* the first: "BertForSequenceClassification" */
    int64_t n_layers, n_heads;
    int64_t hidden_size, vocab_size, intermediate_size, max_positions, n_types;
    int64_t n_groups, n_inner_groups; /* of ALBERT: layers that are not shared */
    double  norm_eps;
    double  dropout, attention_dropout; /* NaN where it says nothing */
    double  classifier_dropout, initializer_range;
    bool    is_decoder, has_cross_attention, has_pruned_heads;
    bool    has_own_code; /* the repository's own program computes the model */
    bool    is_quantized;
    char    unknown_keys[BT_CKPT_PATH_MAX]; /* names of keys that nothing here knows */
} bt_ckpt_facts;
/* BT_E_FORMAT when there is one that is not JSON. */
BT_MUST_USE bt_status bt_ckpt_read_facts(const bt_ckpt *ckpt, bt_ckpt_facts *out, bt_error *err);
/* What Hugging Face's config.json says of the classification head that is beside the encoder.
 * Zeros where it says nothing. Names that say nothing (LABEL_0, ...) are none. */
typedef struct bt_ckpt_head {
    char   path[BT_CKPT_PATH_MAX];         /* of the configuration */
    char   problem_type[BT_CKPT_WORD_MAX]; /* "multi_label_classification"; "": not said */
    char **names;                          /* [n] owned; id2label in the order of its ids */
    size_t n;                              /* classes; 0: not said */
    size_t odd;                            /* the first class that label2id numbers otherwise; n */
    double odd_number;                     /* its number there */
} bt_ckpt_head;
/* BT_E_FORMAT when there is one that is not JSON, or whose id2label does not number its names. */
BT_MUST_USE bt_status bt_ckpt_read_head(const bt_ckpt *ckpt, bt_ckpt_head *out, bt_error *err);
void                  bt_ckpt_head_deinit(bt_ckpt_head *head);
/* What sentence-transformers says beside the weights of how a sentence becomes a vector. */
typedef struct bt_ckpt_sentence {
    char    path[BT_CKPT_PATH_MAX]; /* of what says how tokens are pooled */
    char    pooling[8];             /* "cls", "mean", "max", "pooler"; "": nothing */
    int32_t normalize;              /* -1: not said */
    bool    lowers_case;            /* before the tokenizer, whatever that does */
    int64_t max_seq_length;         /* 0: not said */
} bt_ckpt_sentence;
/* BT_E_UNSUPPORTED, by name: modules or poolings that nothing here computes. BT_E_FORMAT: no JSON,
 * or not of that form. */
BT_MUST_USE bt_status bt_ckpt_read_sentence(bt_ckpt *ckpt, bt_ckpt_sentence *out, bt_error *err);
/* What the shapes of the variables tell; 0: no such variable, or not known from it. */
typedef struct bt_ckpt_sizes {
    int64_t vocab_size;
    int64_t embedding_size;
    int64_t hidden_size;
    int64_t num_layers;          /* 0 of an ALBERT */
    int64_t num_attention_heads; /* 0 where a kernel is [H,H] */
    int64_t intermediate_size;
    int64_t max_position_embeddings;
    int64_t type_vocab_size;
    int64_t head_classes;  /* columns of sentence_prediction/logits */
    int64_t token_classes; /* of predictions/transform/logits: tags, or start and end of answers */
} bt_ckpt_sizes;
void bt_ckpt_read_sizes(const bt_ckpt *ckpt, bt_ckpt_sizes *out);
/* The word here (bt_activation_from_name) for what the file's activation computes; NULL: nothing
 * here computes it. */
const char *bt_ckpt_activation_word(const bt_ckpt *ckpt, const char *activation);
/* What is before the names of all encoder tensors ("module."), taken off for the canonical
 * ones; *n_without: tensors that do not have it, which are left over. */
const char *bt_ckpt_wrapper(const bt_ckpt *ckpt, size_t *n_without);
/* BT_E_UNSUPPORTED, by name, when the file holds an encoder that nothing here computes. */
BT_MUST_USE bt_status bt_ckpt_check_kind(const bt_ckpt *ckpt, const bt_ckpt_facts *facts,
                                         bt_error *err);

/* "global_step", "save_counter", "iterations" (the optimizer's iter). *found false: not there. */
BT_MUST_USE bt_status bt_ckpt_read_scalar(bt_ckpt *ckpt, const char *name, int64_t *value,
                                          bool *found, bt_error *err);
/* Our own state (bt_ckpt_train.state), appended to *bytes. */
BT_MUST_USE bt_status bt_ckpt_read_state(bt_ckpt *ckpt, bt_str *bytes, bool *found, bt_error *err);
/* bt_ckpt_train.info, likewise. */
BT_MUST_USE bt_status bt_ckpt_read_info(bt_ckpt *ckpt, bt_str *bytes, bool *found, bt_error *err);

/* SavedModels. */

/* What a module says of its encoder: sizes from the shapes of its variables, the rest from Keras's
 * saved configuration where there is one. */
typedef struct bt_ckpt_module {
    bt_ckpt_sizes sizes;
    bool          has_config;
    char          activation[32]; /* "" : unknown */
    double        dropout_rate;   /* NaN: unknown */
    double        attention_dropout_rate;
    int32_t       norm_first;    /* -1: unknown */
    int32_t       do_lower_case; /* -1: unknown */
    char         *vocab_file;    /* owned; NULL: none */
} bt_ckpt_module;

/* ckpt: bt_ckpt_open of the SavedModel's folder. */
BT_MUST_USE bt_status bt_ckpt_module_read(const char *folder, bt_ckpt *ckpt, bt_ckpt_module *module,
                                          bt_error *err);
void                  bt_ckpt_module_deinit(bt_ckpt_module *module);

/* Writing. */

enum { BT_CKPT_MAX_SLOTS = 4, BT_CKPT_MAX_HYPERS = 8 };

/* All values of parameter number param, or of its slot ("m", "average"; NULL: the variable). */
typedef bt_status bt_ckpt_values_fn(void *context, int64_t param, const char *slot, float *to,
                                    bt_error *err);

/* What a training checkpoint holds. Flat buffers are sliced by table; everything borrowed. Slots
 * exist for variables with has_gradient only; averages for all. */
typedef struct bt_ckpt_train {
    const bt_param_table *table; /* its classes say which object graph is written */
    const float          *params;
    int32_t               n_slots;
    const char           *slot_names[BT_CKPT_MAX_SLOTS];
    const float          *slots[BT_CKPT_MAX_SLOTS];
    const float          *average; /* NULL without EMA */
    int32_t               n_hypers;
    const char           *hyper_names[BT_CKPT_MAX_HYPERS]; /* "beta_1", "beta_2", "decay" */
    float                 hypers[BT_CKPT_MAX_HYPERS];
    int64_t               iterations;
    int64_t               global_step;
    int64_t               save_counter;
    bool                  without_optimizer; /* weights only */
    const void           *state;             /* ours: kept under a key that TensorFlow ignores */
    size_t                n_state_bytes;
    const void *info; /* ours too: what info.json says of it (a best checkpoint), or NULL */
    size_t      n_info_bytes;
    /* Not NULL: asked for each variable and slot when its turn comes, so that one of them is in
     * memory at a time; params, slots and average are not looked at. */
    bt_ckpt_values_fn *values;
    void              *values_context;
    bool               has_average; /* of such values: with EMA */
} bt_ckpt_train;

/* PREFIX.data-00000-of-00001, then PREFIX.index, both atomically. */
BT_MUST_USE bt_status bt_ckpt_write_train(const char *prefix, const bt_ckpt_train *train,
                                          bt_error *err);

/* A folder of checkpoints.
 * The order of a save: a journal that says what is about to happen, the data, the index, the state
 * file `checkpoint` without what is too old, the removal of that, the end of the journal. So the
 * state file only ever names whole checkpoints, whenever the process dies, and the next one knows
 * what was left half done.
 *
 * What may be removed: checkpoints that the state file listed under a plain name of the saved one's
 * family ("ckpt-12"), and what the journal of a killed save names. Nothing else: no path that leads
 * elsewhere, no file that somebody put there. What stands in the way of a name that is to be
 * written, or is newer than what a run went back to, gets another name: "ckpt-30.index.kept-1" and
 * so its data, which nobody takes for a checkpoint; without the suffix it is one again. Which are
 * kept and which go depends on the order of the list alone, never on a clock. */
typedef struct bt_ckpt_manager bt_ckpt_manager;
/* Reads the state file; one that is missing or damaged is as one that names nothing. The object
 * stays for the run: when the state file is lost meanwhile it is written again from memory. */
BT_MUST_USE bt_status bt_ckpt_manager_open(const char *folder, int64_t max_to_keep, /* 0: all */
                                           bt_ckpt_manager **out, bt_error *err);
void                  bt_ckpt_manager_close(bt_ckpt_manager *manager);
const char           *bt_ckpt_manager_latest(const bt_ckpt_manager *manager); /* prefix or NULL */
/* Once after open, before the first save: what a killed save left is ended or undone. Then the
 * state file is made to say what was restored (NULL: nothing), and checkpoints of its family with a
 * number above newest (its step; INT64_MAX: none are) are kept aside, and that is said. A save that
 * was not settled before settles the journal alone. */
BT_MUST_USE bt_status bt_ckpt_manager_settle(bt_ckpt_manager *manager, const char *restored,
                                             int64_t newest, bt_error *err);
/* The same in the middle of a run that goes back to one of its checkpoints: those above newest that
 * the state file lists are removed, as a save removes what is too old. */
BT_MUST_USE bt_status bt_ckpt_manager_go_back(bt_ckpt_manager *manager, const char *restored,
                                              int64_t newest, bt_error *err);
/* Saved by a stop, between those that were due: where there are too many it is the first to go, so
 * that stops take none of the others' places. NULL: there is none. */
BT_MUST_USE bt_status bt_ckpt_manager_mark_passing(bt_ckpt_manager *manager, const char *prefix,
                                                   bt_error *err);
/* Writes folder/name.*, publishes it in the state file, then removes what is too old. Reads train
 * and the folder only, so it may run on any thread, one save of a manager at a time. After a
 * failure the folder's state file is as it was, and the same save can be tried again. */
BT_MUST_USE bt_status bt_ckpt_manager_save(bt_ckpt_manager *manager, const char *name,
                                           const bt_ckpt_train *train, bt_error *err);

/* Removes the family's checkpoints that the state file lists, and the state file; others of the
 * family are kept aside: a run that starts in the folder begins again. */
BT_MUST_USE bt_status bt_ckpt_clear(const char *folder, const char *family, bt_error *err);

/* Is the checkpoint whole? BT_E_FORMAT and BT_E_IO mean no; other errors end the search. *step: its
 * global_step, or -1. */
typedef bt_status (*bt_ckpt_check_fn)(void *context, const char *prefix, int64_t *step,
                                      bt_error *err);
bt_status bt_ckpt_check_files(void *context, const char *prefix, int64_t *step, bt_error *err);
bt_status bt_ckpt_check_values(void *context, const char *prefix, int64_t *step, bt_error *err);

/* What to go on from. */
typedef struct bt_ckpt_choice {
    char   *prefix; /* owned; NULL: there is no checkpoint */
    int64_t step;
    bool    is_fallback; /* not what the state file names */
    bt_str  why;         /* a sentence where there is something to say */
} bt_ckpt_choice;
/* The checkpoint that the state file names, or where that is not whole, or the state file names
 * none, the newest whole one of the family before it ("ckpt-12"; numbers_are_steps: one whose
 * number is not its step is a copy, and the last choice). None whole among some: BT_E_FORMAT. */
BT_MUST_USE bt_status bt_ckpt_choose(const char *folder, const char *family, bool numbers_are_steps,
                                     bt_ckpt_check_fn check, void *context, bt_ckpt_choice *out,
                                     bt_error *err);
void                  bt_ckpt_choice_deinit(bt_ckpt_choice *choice);

/* The latest checkpoint of a folder by its state file (NULL: none). The caller bt_free()s it. A
 * named checkpoint that is missing or cut short: BT_E_FORMAT. */
BT_MUST_USE bt_status bt_ckpt_latest(const char *folder, char **prefix, bt_error *err);

#endif
