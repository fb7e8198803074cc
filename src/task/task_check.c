/* SPDX-License-Identifier: Apache-2.0
 *
 * What can be said of task.* without looking at a file: the encoder's sizes, classes and their
 * weights, texts and lengths of the data sections. Whoever plans the task takes it for granted. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bt/base/str.h"
#include "task_internal.h"

#define TRAIN BT_CONF_TRAIN_DATA
#define VALIDATION BT_CONF_VALIDATION_DATA

/* The encoder. */

static bt_status check_encoder(const bt_conf_check *c, const char *encoder) {
    char        heads_path[BT_CONF_PATH_MAX];
    char        size_path[BT_CONF_PATH_MAX];
    int64_t     heads = 0;
    int64_t     size = 0;
    const char *type = bt_conf_peek_type(c->conf, encoder);
    if (!bt_conf_has(c->conf, encoder)) {
        return BT_OK;
    }
    if (type == NULL) {
        return bt_conf_check_missing(c, bt_conf_join(encoder, "type", heads_path),
                                     "name the type of the encoder");
    }
    return !bt_conf_peek_i64(c->conf, bt_conf_join(encoder, "*.num_attention_heads", heads_path),
                             &heads) ||
                   !bt_conf_peek_i64(c->conf, bt_conf_join(encoder, "*.hidden_size", size_path),
                                     &size) ||
                   heads < 1 || strcmp(type, "xlnet") == 0 || size % heads == 0
               ? BT_OK
               : bt_conf_check_fail(c, heads_path, size_path,
                                    "%" PRId64 " heads do not divide the hidden size %" PRId64,
                                    heads, size);
}

/* Classes. */

#define WEIGHTS "task.class_weights"
#define SMOOTHING "task.label_smoothing"
#define PROBLEM_TYPE "task.problem_type"

/* classes: the key that says how many there are. */
static bt_status check_class_weights(const bt_conf_check *c, const char *classes, int64_t n) {
    bt_conf_f64_list list = {0};
    bool             one_counts = false;
    if (!bt_conf_peek_f64_list(c->conf, WEIGHTS, &list) || (classes == NULL && list.n == 0)) {
        return BT_OK; /* null, nothing, or the word */
    }
    if (classes != NULL && (int64_t)list.n != n) {
        return bt_conf_check_fail(c, WEIGHTS, classes, "%zu weights for %" PRId64 " classes",
                                  list.n, n);
    }
    for (size_t i = 0; i < list.n; i++) {
        if (!(list.items[i] >= 0 && list.items[i] < HUGE_VAL)) {
            return bt_conf_check_fail(
                c, WEIGHTS, NULL,
                "the weight of class %zu is %g: expected a finite number, 0 or more", i,
                list.items[i]);
        }
        one_counts = one_counts || list.items[i] > 0;
    }
    return one_counts
               ? BT_OK
               : bt_conf_check_fail(c, WEIGHTS, NULL, "all weights are 0: no example would count");
}

static bt_status check_regression(const bt_conf_check *c, const char *classes) {
    if (!bt_conf_peek_is_empty(c->conf, WEIGHTS)) {
        BT_TRY(bt_conf_check_fail(c, WEIGHTS, classes,
                                  "num_classes is 1, a regression: there are no classes to weigh"));
    }
    return bt_conf_peek_is_empty(c->conf, SMOOTHING)
               ? BT_OK
               : bt_conf_check_fail(
                     c, SMOOTHING, classes,
                     "num_classes is 1, a regression: there are no classes to spread over");
}

/* bert/tagging. Of words with tags the classes are those of the training files, else of the meta
 * data: then nothing here knows how many there are. */
static bt_status check_class_names(const bt_conf_check *c) {
    static const char names[] = "task.class_names";
    const bool        is_open = bt_conf_peek_is_empty(c->conf, names);
    if (is_open && bt_conf_peek_is_empty(c->conf, "task.meta_data_path") &&
        bt_conf_peek_is_empty(c->conf, TRAIN ".input_path")) {
        return bt_conf_check_missing(c, names,
                                     "name the classes, or set task.meta_data_path to the meta "
                                     "data of create-finetuning-data");
    }
    return check_class_weights(c, is_open ? NULL : names,
                               (int64_t)bt_conf_peek_n_items(c->conf, names));
}

/* Several classes a row. */
static bt_status check_multi_label(const bt_conf_check *c) {
    static const char *const rules[] = {WEIGHTS, SMOOTHING};
    for (size_t i = 0; i < BT_ARRAY_LEN(rules); i++) {
        if (!bt_conf_peek_is_empty(c->conf, rules[i])) {
            BT_TRY(bt_conf_check_fail(
                c, rules[i], PROBLEM_TYPE,
                WEIGHTS " and " SMOOTHING " are for one class a row; with " PROBLEM_TYPE
                        " multi_label_classification give soft labels instead"));
        }
    }
    return BT_OK;
}

static bt_status check_classes(const bt_conf_check *c) {
    static const char path[] = "task.model.num_classes";
    int64_t           n = 0;
    if (bt_conf_has(c->conf, "task.class_names")) {
        return check_class_names(c);
    }
    const bool is_multi_label =
        bt_str_equal(bt_conf_peek_str(c->conf, PROBLEM_TYPE), "multi_label_classification");
    BT_TRY(is_multi_label ? check_multi_label(c) : BT_OK);
    if (!bt_conf_has(c->conf, WEIGHTS) || !bt_conf_peek_i64(c->conf, path, &n)) {
        return BT_OK;
    }
    if (n < 1) {
        return bt_conf_check_fail(
            c, path, NULL, "set the number of classes (1 = regression), at least 1; got %" PRId64,
            n);
    }
    if (is_multi_label) {
        return BT_OK;
    }
    return n == 1 ? check_regression(c, path) : check_class_weights(c, path, n);
}

/* Metrics. */

/* More of them nobody reads. */
enum { MOST_RANK_METRICS = 16 };

size_t task_top_k_most(bool is_bidirectional) {
    const size_t sides = is_bidirectional ? 2 : 1;
    return (MOST_RANK_METRICS - 1 - sides) / sides;
}

/* Of bert/dual_encoder: each value makes a metric, or two, of its own. */
static bt_status check_top_k(const bt_conf_check *c) {
    static const char path[] = "task.model.eval_top_k";
    static const char both[] = "task.model.bidirectional";
    const size_t      most = task_top_k_most(!bt_conf_peek_is_empty(c->conf, both));
    bt_conf_i64_list  top_k = {0};
    if (!bt_conf_peek_i64_list(c->conf, path, &top_k)) {
        return BT_OK;
    }
    if (top_k.n > most) {
        return bt_conf_check_fail(c, path, both, "at most %zu values are reported, got %zu", most,
                                  top_k.n);
    }
    for (size_t i = 0; i < top_k.n; i++) {
        if (top_k.items[i] < 1) {
            return bt_conf_check_fail(c, path, NULL, "expected numbers of at least 1, got %" PRId64,
                                      top_k.items[i]);
        }
        for (size_t j = 0; j < i; j++) {
            if (top_k.items[j] == top_k.items[i]) {
                return bt_conf_check_fail(c, path, NULL, "%" PRId64 " appears twice",
                                          top_k.items[i]);
            }
        }
    }
    return BT_OK;
}

/* Of bert/squad: values of SQuAD 2.0 only, asked for as the best checkpoint's metric of an
 * evaluation that does not have them, would be missed after hours. */
static bt_status check_squad_metric(const bt_conf_check *c) {
    static const char metric[] = "trainer.best_checkpoint_eval_metric";
    static const char version[] = VALIDATION ".version_2_with_negative";
    const char *const name = bt_conf_peek_str(c->conf, metric);
    if (!bt_conf_has(c->conf, version) || !bt_conf_peek_is_empty(c->conf, version) ||
        bt_conf_peek_is_empty(c->conf, "trainer.best_checkpoint_export_subdir") ||
        !bt_conf_mode_evaluates(c->mode)) {
        return BT_OK;
    }
    for (size_t i = TASK_SQUAD_N_VALUES_V1; task_squad_value_names[i] != NULL; i++) {
        if (strcmp(name, task_squad_value_names[i]) == 0) {
            return bt_conf_check_fail(c, metric, version,
                                      "'%s' is what an evaluation has only with %s; without it "
                                      "there are exact_match and final_f1",
                                      name, version);
        }
    }
    return BT_OK;
}

/* Data sections. */

/* Each text of a row has a segment type of its own. */
static bt_status check_segments(const bt_conf_check *c, const char *fields) {
    static const char types[] = TASK_ENCODER ".*.type_vocab_size";
    const size_t      n = bt_conf_peek_n_items(c->conf, fields);
    int64_t           n_types = 0;
    return !bt_conf_peek_i64(c->conf, types, &n_types) || (int64_t)n <= n_types
               ? BT_OK
               : bt_conf_check_fail(c, fields, types,
                                    "%zu fields, but the model's type_vocab_size is %" PRId64
                                    ": each text needs a segment type of its own",
                                    n, n_types);
}

static bool has_vocab(const bt_conf_check *c) {
    return !bt_conf_peek_is_empty(c->conf, "task.hub_module_url") ||
           !bt_conf_peek_is_empty(c->conf, "task.init_checkpoint");
}

/* Of bert/sentence_prediction and bert/sentence_prediction_text. */
static bt_status check_text(const bt_conf_check *c, const char *section) {
    char       fields[BT_CONF_PATH_MAX];
    char       vocab[BT_CONF_PATH_MAX];
    char       module[BT_CONF_PATH_MAX];
    const bool is_text_experiment =
        bt_conf_has(c->conf, bt_conf_join(section, "preprocessing_hub_module_url", module));
    if (!bt_conf_has(c->conf, bt_conf_join(section, "text_fields", fields))) {
        return BT_OK;
    }
    BT_TRY(check_segments(c, fields));
    const bool no_fields = bt_conf_peek_is_empty(c->conf, fields);
    const bool no_vocab =
        bt_conf_peek_is_empty(c->conf, bt_conf_join(section, "vocab_file", vocab)) && !has_vocab(c);
    if (!is_text_experiment) { /* text or records: the files say */
        return no_vocab && !no_fields
                   ? bt_conf_check_fail(
                         c, fields, vocab,
                         "raw text needs %s too, the vocabulary that the model was trained with",
                         vocab)
                   : BT_OK;
    }
    if (no_fields) {
        BT_TRY(bt_conf_check_missing(c, fields, "name one or two features that hold the text"));
    }
    return !no_vocab || !bt_conf_peek_is_empty(c->conf, module)
               ? BT_OK
               : bt_conf_check_missing(
                     c, vocab, "name the vocabulary (task.hub_module_url brings one with it)");
}

/* Of bert/dual_encoder: records hold ids, but where a vocabulary is named. */
static bt_status check_pair_text(const bt_conf_check *c, const char *section) {
    char fields[BT_CONF_PATH_MAX];
    char vocab[BT_CONF_PATH_MAX];
    if (!bt_conf_has(c->conf, bt_conf_join(section, "left_text_fields", fields)) ||
        bt_conf_peek_is_empty(c->conf, bt_conf_join(section, "vocab_file", vocab))) {
        return BT_OK;
    }
    if (bt_conf_peek_is_empty(c->conf, fields)) {
        BT_TRY(bt_conf_check_fail(c, fields, vocab,
                                  "name the features or columns that hold the left text"));
    }
    BT_TRY(check_segments(c, fields));
    return check_segments(c, bt_conf_join(section, "right_text_fields", fields));
}

/* A dual encoder's model is built for one length. */
#define PAIR_LENGTH "task.model.max_sequence_length"

static bt_status check_length(const bt_conf_check *c, const char *section) {
    static const char *const limits[] = {TASK_ENCODER ".*.max_position_embeddings",
                                         TASK_ENCODER ".*.max_sequence_length"};
    char                     path[BT_CONF_PATH_MAX];
    int64_t                  seq_length = 0;
    int64_t                  limit = 0;
    if (!bt_conf_peek_i64(c->conf, bt_conf_join(section, "seq_length", path), &seq_length)) {
        return BT_OK;
    }
    if (bt_conf_peek_i64(c->conf, PAIR_LENGTH, &limit) && limit != seq_length) {
        BT_TRY(bt_conf_check_fail(c, path, PAIR_LENGTH,
                                  "sides of %" PRId64 " tokens do not fit a model of " PAIR_LENGTH
                                  " %" PRId64 ": set both to the same number",
                                  seq_length, limit));
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(limits); i++) {
        if (bt_conf_peek_i64(c->conf, limits[i], &limit) && seq_length > limit) {
            return bt_conf_check_fail(c, path, limits[i],
                                      "sequences of %" PRId64
                                      " tokens do not fit an encoder of %" PRId64 " positions (%s)",
                                      seq_length, limit, limits[i] + strlen(TASK_ENCODER ".*."));
        }
    }
    return BT_OK;
}

/* One that names an input must fit the model also where the mode does not read it. */
static bt_status check_section(const bt_conf_check *c, const char *section) {
    char       path[BT_CONF_PATH_MAX];
    const bool is_read = bt_conf_mode_reads(c->mode, section);
    if (is_read) {
        BT_TRY(check_text(c, section));
        BT_TRY(check_pair_text(c, section));
    }
    return is_read || !bt_conf_peek_is_empty(c->conf, bt_conf_join(section, "input_path", path))
               ? check_length(c, section)
               : BT_OK;
}

bt_status bt_task_check(const bt_conf_check *check) {
    BT_TRY(check_encoder(check, TASK_ENCODER));
    BT_TRY(check_encoder(check, "task.model.generator_encoder"));
    BT_TRY(check_encoder(check, "task.model.discriminator_encoder"));
    BT_TRY(check_classes(check));
    BT_TRY(check_top_k(check));
    BT_TRY(check_squad_metric(check));
    BT_TRY(check_section(check, TRAIN));
    return check_section(check, VALIDATION);
}
