/* SPDX-License-Identifier: Apache-2.0
 *
 * weights, private: where each parameter comes from, whether the file fits, and the module. */
#ifndef BT_WEIGHTS_INTERNAL_H
#define BT_WEIGHTS_INTERNAL_H

#include "bt/ckpt.h"
#include "bt/weights.h"

struct bt_weights {
    const char    *init_checkpoint; /* "": none; borrowed from the conf, as the next two */
    const char    *hub_module_url;
    const char    *hub_module_sha256;
    bool           offline;
    char          *module_folder; /* owned; NULL: not looked for yet */
    bt_ckpt_module module;        /* what it says */
};

typedef enum init_source_kind { INIT_FRESH, INIT_ZERO, INIT_FILE } init_source_kind;

typedef struct init_source {
    init_source_kind kind;
    const char      *name; /* INIT_FILE: under which name the checkpoint holds it */
} init_source;

/* Weights to start from; what cannot be opened is named with its key, unless it is a module's. */
BT_MUST_USE bt_status init_open(const char *path, bool is_of_module, bt_ckpt **out, bt_error *err);
/* ckpt NULL: there is no checkpoint. INIT_FILE also for what is missing there. */
init_source init_source_of(const bt_weights_use *use, const bt_ckpt *ckpt, int64_t index);

/* init_check.c: kind of encoder, layers, heads, names and shapes, before anything is read. */
BT_MUST_USE bt_status init_check(const bt_weights_use *use, bt_ckpt *ckpt, bt_error *err);
/* adapters.c: task.model.lora.init over what was loaded; taker NULL: checks alone. */
BT_MUST_USE bt_status adapters_load(const bt_weights_use *use, const bt_weights_taker *taker,
                                    bt_error *err);
/* init_remark.c: what fits but is worth a word: fewer layers, parts that begin from random numbers,
 * heads of the file that are not used (used: a flag a tensor). Once, when it is loaded. */
BT_MUST_USE bt_status init_remark(const bt_weights_use *use, const bt_ckpt *ckpt, const bool *used,
                                  bt_error *err);

/* module.c: task.hub_module_url, which is set, to its folder and w->module, whose encoder is the
 * model's. Once. */
BT_MUST_USE bt_status module_find(bt_weights *w, const bt_encoder_config *encoder, bt_error *err);

/* module_assets.c: a section that reads text. Pointers into its schema. */
typedef struct text_section {
    const char  *name;     /* "task.train_data"; NULL: the section reads no text */
    const char  *case_key; /* of the section */
    const char **vocab_file;
    bool        *lower_case;
} text_section;
BT_MUST_USE bt_status text_section_find(const bt_data_config *config, bt_data_schema *schema,
                                        text_section *out, bt_error *err);
/* Says where a section's own vocabulary or case differ from those of the module, which is found. */
BT_MUST_USE bt_status module_compare_assets(const bt_weights *w, const bt_weights_use *use,
                                            bt_error *err);

/* head_facts.c: the names of a head are names: two or more, none twice. twice: the places of two
 * that are one. */
BT_MUST_USE bt_status head_facts_have_names(const bt_ckpt_head *head, bool *have, size_t twice[2],
                                            bt_error *err);
/* The names of a head that is taken, into the key that names the classes, where that is empty. */
BT_MUST_USE bt_status head_facts_take_names(bt_conf *conf, const bt_ckpt_head *head, bt_error *err);

/* sentence_facts.c: what sentence-transformers says beside the weights, into the keys of a dual
 * encoder that nobody wrote; BT_E_CONFIG where another pooling was written. */
BT_MUST_USE bt_status sentence_facts_adopt(bt_conf *conf, bt_ckpt *ckpt, bt_conf_errors *errors,
                                           bt_error *err);

#endif
