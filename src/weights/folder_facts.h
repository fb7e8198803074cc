/* SPDX-License-Identifier: Apache-2.0
 *
 * weights, private: facts in place of defaults, as they are found. */
#ifndef BT_WEIGHTS_FOLDER_FACTS_H
#define BT_WEIGHTS_FOLDER_FACTS_H

#include "bt/base/str.h"
#include "weights_internal.h"

typedef struct fact_list {
    bt_conf    *conf;
    const char *origin; /* who says it: a path; borrowed */
    bt_str      told; /* "PATH says ...: hidden_size 384, num_layers 6": what was adopted so far */
    bt_str      last; /* the line that was said last: often both sections have the same */
} fact_list;

/* 0: not known. */
BT_MUST_USE bt_status facts_adopt_i64(fact_list *f, const char *path, int64_t value, bt_error *err);
BT_MUST_USE bt_status facts_adopt_bool(fact_list *f, const char *path, bool value, bt_error *err);
BT_MUST_USE bt_status facts_adopt_str(fact_list *f, const char *path, const char *value,
                                      bt_error *err);
/* folder_head.c: the head of the file where it is one of the task, and the names of its classes. */
BT_MUST_USE bt_status facts_adopt_head(fact_list *f, const bt_ckpt *ckpt,
                                       const bt_ckpt_facts *facts, const bt_ckpt_sizes *sizes,
                                       bt_error *err);
/* Says what was adopted since the last time, unless it says the same. */
void facts_tell(fact_list *f);
/* A default that is longer than that (0: not known) becomes it. */
BT_MUST_USE bt_status facts_adopt_length(fact_list *f, const char *path, int64_t longest,
                                         bt_error *err);
/* folder_text.c: vocabulary and treatment of text; folder: of the weights, or NULL. */
BT_MUST_USE bt_status facts_adopt_text(fact_list *f, bt_conf_mode mode, const char *folder,
                                       bt_error *err);

#endif
