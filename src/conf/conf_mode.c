/* SPDX-License-Identifier: Apache-2.0
 *
 * The modes, and the checks that need to know which sections a run will use or that hold several
 * keys against each other. What the user wrote wrong is an error; what is only missing is a
 * finding, so that --dry_run=config of any default experiment works. */
#include "conf_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    bool        trains;
    bool        evaluates;
} modes[] = {
    [BT_CONF_MODE_TRAIN] = {"train", true, false},
    [BT_CONF_MODE_EVAL] = {"eval", false, true},
    [BT_CONF_MODE_TRAIN_AND_EVAL] = {"train_and_eval", true, true},
    [BT_CONF_MODE_CONTINUOUS_EVAL] = {"continuous_eval", false, true},
    [BT_CONF_MODE_CONTINUOUS_TRAIN_AND_EVAL] = {"continuous_train_and_eval", true, true},
    [BT_CONF_MODE_TRAIN_AND_VALIDATE] = {"train_and_validate", true, false},
    [BT_CONF_MODE_TRAIN_AND_POST_EVAL] = {"train_and_post_eval", true, true},
    [BT_CONF_MODE_PREDICT] = {"predict", false, true},
};

bool bt_conf_mode_parse(const char *text, bt_conf_mode *out) {
    for (size_t i = 0; i < BT_ARRAY_LEN(modes); i++) {
        if (strcmp(modes[i].name, text) == 0) {
            *out = (bt_conf_mode)i;
            return true;
        }
    }
    return false;
}

const char *bt_conf_mode_name(bt_conf_mode mode) {
    return modes[mode].name;
}

const char *bt_conf_mode_names(void) {
    return "train|eval|train_and_eval|continuous_eval|continuous_train_and_eval|train_and_validate|"
           "train_and_post_eval|predict";
}

bool bt_conf_mode_trains(bt_conf_mode mode) {
    return modes[mode].trains;
}

bool bt_conf_mode_evaluates(bt_conf_mode mode) {
    return modes[mode].evaluates;
}

typedef struct checker {
    conf_merge   merge;
    bt_conf_mode mode;
} checker;

static const conf_value *at(const checker *c, const char *path) {
    return conf_find(c->merge.conf->root, path);
}

static bool int_at(const checker *c, const char *path, int64_t *out) {
    const conf_value *value = at(c, path);
    return value != NULL && value->kind != K_NULL &&
           bt_conf_get_i64(c->merge.conf, path, out, NULL) == BT_OK;
}

static bool is_empty(const checker *c, const char *path) {
    const conf_value *value = at(c, path);
    return value == NULL || !conf_is_truthy(value);
}

/* The user wrote it, and not just the default again. path may be NULL. */
static bool is_own(const checker *c, const char *path) {
    const conf_value *value = path == NULL ? NULL : at(c, path);
    return value != NULL && value->source != 0 && bt_conf_is_changed(c->merge.conf, path);
}

/* Which of two keys that do not go together a message is about: the one that the user wrote. */
static const char *blame(const checker *c, const char *a, const char *b) {
    return !is_own(c, a) && is_own(c, b) ? b : a;
}

/* An error when one of the two keys (b may be NULL) is the user's own, else a finding. */
static bt_conf_severity severity_of(const checker *c, const char *a, const char *b) {
    return is_own(c, a) || is_own(c, b) ? BT_CONF_ERROR : BT_CONF_FINDING;
}

#define REPORT(c, a, b, ...)                                                                       \
    conf_report(&(c)->merge, severity_of((c), (a), (b)), at((c), blame((c), (a), (b))),            \
                blame((c), (a), (b)), __VA_ARGS__)
#define MISSING(c, a, ...) conf_report(&(c)->merge, BT_CONF_FINDING, at((c), (a)), (a), __VA_ARGS__)

static const char *join(const char *section, const char *key, char out[CONF_MAX_PATH]) {
    return conf_join_path(section, key, strlen(key), out);
}

static bt_status check_input(const checker *c, const char *section) {
    char       input[CONF_MAX_PATH];
    char       tfds[CONF_MAX_PATH];
    const bool no_input = is_empty(c, join(section, "input_path", input));
    const bool no_tfds = is_empty(c, join(section, "tfds_name", tfds));
    if (no_input && no_tfds) {
        return MISSING(c, input,
                       "this is empty, and mode '%s' reads it: set it to the record files",
                       bt_conf_mode_name(c->mode));
    }
    if (!no_input && !no_tfds) {
        return REPORT(c, input, tfds, "set either input_path or tfds_name, not both");
    }
    return BT_OK;
}

static bt_status check_text_data(const checker *c, const char *section) {
    char fields[CONF_MAX_PATH];
    char vocab[CONF_MAX_PATH];
    char hub[CONF_MAX_PATH];
    if (at(c, join(section, "left_text_fields", fields)) != NULL) {
        return is_empty(c, join(section, "vocab_file", vocab)) ||
                       is_empty(c, join(section, "preprocessing_hub_module_url", hub))
                   ? BT_OK /* without either the records hold ids */
                   : REPORT(c, vocab, hub, "set either vocab_file or a hub module, not both");
    }
    if (at(c, join(section, "text_fields", fields)) == NULL) {
        return BT_OK; /* not raw text */
    }
    const bool no_vocab = is_empty(c, join(section, "vocab_file", vocab));
    const bool has_module = /* whose vocabulary may do */
        !is_empty(c, "task.hub_module_url") || !is_empty(c, "task.init_checkpoint");
    if (at(c, join(section, "preprocessing_hub_module_url", hub)) == NULL) {
        return no_vocab && !has_module && !is_empty(c, fields)
                   ? REPORT(c, fields, vocab,
                            "raw text needs %s too, the vocabulary that the model was trained with",
                            vocab)
                   : BT_OK; /* text or records: the files say */
    }
    if (is_empty(c, fields)) {
        BT_TRY(MISSING(c, fields, "name one or two features that hold the text"));
    }
    if (no_vocab != is_empty(c, join(section, "preprocessing_hub_module_url", hub))) {
        return BT_OK;
    }
    if (!no_vocab) {
        return REPORT(c, vocab, hub,
                      "set either vocab_file or preprocessing_hub_module_url, not both");
    }
    return has_module
               ? BT_OK
               : MISSING(c, vocab, "name the vocabulary (task.hub_module_url brings one with it)");
}

/* A dual encoder's model is built for one length. */
#define PAIR_LENGTH "task.model.max_sequence_length"

static bt_status check_lengths(const checker *c, const char *section) {
    static const char *const limits[] = {"task.model.encoder.*.max_position_embeddings",
                                         "task.model.encoder.*.max_sequence_length"};
    char                     path[CONF_MAX_PATH];
    int64_t                  seq_length = 0;
    int64_t                  limit = 0;
    if (!int_at(c, join(section, "seq_length", path), &seq_length)) {
        return BT_OK;
    }
    if (int_at(c, PAIR_LENGTH, &limit) && limit != seq_length) {
        BT_TRY(REPORT(c, path, PAIR_LENGTH,
                      "sides of %" PRId64 " tokens do not fit a model of " PAIR_LENGTH " %" PRId64
                      ": set both to the same number",
                      seq_length, limit));
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(limits); i++) {
        if (int_at(c, limits[i], &limit) && seq_length > limit) {
            return REPORT(c, path, limits[i],
                          "sequences of %" PRId64 " tokens do not fit an encoder of %" PRId64
                          " positions (%s)",
                          seq_length, limit, limits[i] + strlen("task.model.encoder.*."));
        }
    }
    return BT_OK;
}

static bt_status check_data(const checker *c, const char *section) {
    char    path[CONF_MAX_PATH];
    int64_t batch = 0;
    if (int_at(c, join(section, "global_batch_size", path), &batch) && batch == 0) {
        BT_TRY(REPORT(c, path, NULL, "a batch must hold at least 1 example, got 0"));
    }
    BT_TRY(check_input(c, section));
    BT_TRY(check_text_data(c, section));
    return check_lengths(c, section);
}

static bt_status check_encoder(const checker *c, const char *encoder) {
    char        heads_path[CONF_MAX_PATH];
    char        size_path[CONF_MAX_PATH];
    int64_t     heads = 0;
    int64_t     size = 0;
    const char *type = bt_conf_type_of_oneof(c->merge.conf, encoder);
    if (at(c, encoder) == NULL) {
        return BT_OK;
    }
    if (type == NULL) {
        return MISSING(c, join(encoder, "type", heads_path), "name the type of the encoder");
    }
    if (strcmp(type, "any") == 0) {
        return MISSING(c, join(encoder, "type", heads_path),
                       "an encoder given as Python code cannot be used");
    }
    if (int_at(c, join(encoder, "*.num_attention_heads", heads_path), &heads) &&
        int_at(c, join(encoder, "*.hidden_size", size_path), &size) && heads > 0 &&
        strcmp(type, "xlnet") != 0 && size % heads != 0) {
        return REPORT(c, heads_path, size_path,
                      "%" PRId64 " heads do not divide the hidden size %" PRId64, heads, size);
    }
    return BT_OK;
}

#define WEIGHTS "task.class_weights"
#define SMOOTHING "task.label_smoothing"

static bt_status check_class_weights(const checker *c, const char *classes, int64_t n) {
    const conf_value *const value = at(c, WEIGHTS);
    bt_conf_f64_list        list = {0};
    bool                    one_counts = false;
    if (value == NULL || (value->kind != K_LIST && value->kind != K_TUPLE)) {
        return BT_OK; /* null, or the word */
    }
    BT_TRY(bt_conf_get_f64_list(c->merge.conf, WEIGHTS, &list, c->merge.err));
    if ((int64_t)list.n != n) {
        return REPORT(c, WEIGHTS, classes, "%zu weights for %" PRId64 " classes", list.n, n);
    }
    for (size_t i = 0; i < list.n; i++) {
        if (!(list.items[i] >= 0 && list.items[i] < HUGE_VAL)) {
            return REPORT(c, WEIGHTS, NULL,
                          "the weight of class %zu is %g: expected a finite number, 0 or more", i,
                          list.items[i]);
        }
        one_counts = one_counts || list.items[i] > 0;
    }
    return one_counts ? BT_OK
                      : REPORT(c, WEIGHTS, NULL, "all weights are 0: no example would count");
}

static bt_status check_regression(const checker *c, const char *classes) {
    if (!is_empty(c, WEIGHTS)) {
        BT_TRY(REPORT(c, WEIGHTS, classes,
                      "num_classes is 1, a regression: there are no classes to weigh"));
    }
    return is_empty(c, SMOOTHING)
               ? BT_OK
               : REPORT(c, SMOOTHING, classes,
                        "num_classes is 1, a regression: there are no classes to spread over");
}

static bt_status check_classes(const checker *c) {
    static const char *const path = "task.model.num_classes";
    static const char *const names = "task.class_names";
    int64_t                  n = 0;
    if (at(c, names) != NULL && !is_empty(c, names)) {
        return check_class_weights(c, names, (int64_t)bt_conf_n_items(c->merge.conf, names));
    }
    if (at(c, names) != NULL) {
        /* of words with tags they are those of the training files: the task looks */
        return is_empty(c, "task.meta_data_path") && is_empty(c, "task.train_data.input_path")
                   ? MISSING(c, names,
                             "name the classes, or set task.meta_data_path to the meta data of "
                             "create-finetuning-data")
                   : BT_OK;
    }
    if (c->merge.conf->experiment->task != &conf_class_sentence_prediction ||
        !int_at(c, path, &n)) {
        return BT_OK;
    }
    if (n < 1) {
        return REPORT(c, path, NULL,
                      "set the number of classes (1 = regression), at least 1; got %" PRId64, n);
    }
    return n == 1 ? check_regression(c, path) : check_class_weights(c, path, n);
}

static bt_status check_task(const checker *c) {
    BT_TRY(check_encoder(c, "task.model.encoder"));
    BT_TRY(check_encoder(c, "task.model.generator_encoder"));
    BT_TRY(check_encoder(c, "task.model.discriminator_encoder"));
    BT_TRY(check_classes(c));
    if (!is_empty(c, "task.init_checkpoint") && !is_empty(c, "task.hub_module_url")) {
        return MISSING(c, "task.init_checkpoint",
                       "set either init_checkpoint or hub_module_url, not both");
    }
    if (!is_empty(c, "task.validation_data.epochs")) {
        return REPORT(c, "task.validation_data.epochs", NULL,
                      "epochs count in task.train_data only");
    }
    return BT_OK;
}

#define RATE "trainer.optimizer_config.learning_rate"
#define OPTIMIZER "trainer.optimizer_config.optimizer"

static bt_status check_intervals(const checker *c) {
    int64_t loop = 0;
    int64_t summary = 0;
    if (int_at(c, "trainer.steps_per_loop", &loop) && loop > 0 &&
        int_at(c, "trainer.summary_interval", &summary) && summary % loop != 0) {
        return REPORT(c, "trainer.summary_interval", "trainer.steps_per_loop",
                      "summary_interval (%" PRId64
                      ") must be a multiple of steps_per_loop (%" PRId64 ")",
                      summary, loop);
    }
    return BT_OK;
}

static bt_status check_early_stopping(const checker *c) {
    static const char *const path = "trainer.early_stopping_patience";
    static const char *const folder = "trainer.best_checkpoint_export_subdir";
    static const char *const metric = "trainer.best_checkpoint_eval_metric";
    const char *const        missing = is_empty(c, metric) ? metric : folder;
    const bool               evaluates_between =
        c->mode == BT_CONF_MODE_TRAIN_AND_EVAL || c->mode == BT_CONF_MODE_CONTINUOUS_TRAIN_AND_EVAL;
    if (is_empty(c, path)) {
        return BT_OK;
    }
    if (!evaluates_between) {
        return REPORT(c, path, NULL,
                      "mode '%s' makes no evaluations while it trains: set this to 0, or use "
                      "train_and_eval",
                      bt_conf_mode_name(c->mode));
    }
    return !is_empty(c, missing)
               ? BT_OK
               : REPORT(c, path, missing,
                        "it counts evaluations without a better best-checkpoint metric, and %s is "
                        "empty: set it",
                        missing);
}

/* stepwise: one value more than boundaries; step_cosine_with_offset: as many */
static bt_status check_boundaries(const checker *c, const char *type) {
    const size_t n_boundaries = bt_conf_n_items(c->merge.conf, RATE ".*.boundaries");
    const size_t n_values = bt_conf_n_items(c->merge.conf, RATE ".*.values");
    const size_t more = strcmp(type, "stepwise") == 0 ? 1 : 0;
    if (at(c, RATE ".*.boundaries") == NULL) {
        return BT_OK;
    }
    if (n_boundaries == 0 || n_values == 0) {
        return MISSING(c, RATE ".*.values", "set the values and boundaries of the '%s' rate", type);
    }
    return n_values == n_boundaries + more
               ? BT_OK
               : REPORT(c, RATE ".*.values", RATE ".*.boundaries",
                        "%zu values do not fit %zu boundaries: the '%s' rate wants %s", n_values,
                        n_boundaries, type, more == 1 ? "one value more" : "as many");
}

static bt_status check_rate(const checker *c) {
    static const char *const rates[] = {RATE ".*.initial_learning_rate", RATE ".*.decay_rate"};
    const char              *type = bt_conf_type_of_oneof(c->merge.conf, RATE);
    int64_t                  steps = 1;
    if (type == NULL) {
        return MISSING(c, RATE ".type", "name the type of the learning rate");
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(rates); i++) {
        if (at(c, rates[i]) != NULL && at(c, rates[i])->kind == K_NULL) {
            BT_TRY(MISSING(c, rates[i], "the '%s' rate needs this number", type));
        }
    }
    if (int_at(c, RATE ".*.decay_steps", &steps) && steps == 0) {
        BT_TRY(REPORT(c, RATE ".*.decay_steps", NULL,
                      "a decay over 0 steps has no value; null means train_steps"));
    }
    return check_boundaries(c, type);
}

static bt_status check_optimizer(const checker *c) {
    const char *type = bt_conf_type_of_oneof(c->merge.conf, OPTIMIZER);
    if (type == NULL) {
        return MISSING(c, OPTIMIZER ".type", "name the type of the optimizer");
    }
    if (strcmp(type, "slide") == 0 || strcmp(type, "adafactor") == 0) {
        return MISSING(c, OPTIMIZER ".type",
                       "'%s' is not in the open source of Model Garden; choose another", type);
    }
    if (!bt_conf_is_null(c->merge.conf, OPTIMIZER ".*.clipnorm") &&
        !bt_conf_is_null(c->merge.conf, OPTIMIZER ".*.global_clipnorm")) {
        return REPORT(c, OPTIMIZER ".*.clipnorm", OPTIMIZER ".*.global_clipnorm",
                      "set either clipnorm or global_clipnorm, not both");
    }
    return BT_OK;
}

static bt_status check_training(const checker *c) {
    if (bt_conf_is_null(c->merge.conf, "trainer.train_steps") &&
        bt_conf_is_null(c->merge.conf, "task.train_data.epochs")) {
        BT_TRY(MISSING(c, "trainer.train_steps",
                       "set this, or task.train_data.epochs to count the steps from the data"));
    }
    BT_TRY(check_early_stopping(c));
    BT_TRY(check_rate(c));
    return check_optimizer(c);
}

bt_status bt_conf_check_for_mode(const bt_conf *conf, bt_conf_mode mode, bt_conf_errors *errors,
                                 bt_error *err) {
    /* the checks read only; the merge context is shared with code that writes */
    const checker c = {.merge = {.conf = (bt_conf *)(uintptr_t)conf, .errors = errors, .err = err},
                       .mode = mode};
    BT_TRY(check_task(&c));
    BT_TRY(check_intervals(&c));
    BT_TRY(conf_check_folders(&c.merge));
    if (bt_conf_mode_trains(mode)) {
        BT_TRY(check_data(&c, "task.train_data"));
        BT_TRY(check_training(&c));
    }
    if (bt_conf_mode_evaluates(mode)) {
        BT_TRY(check_data(&c, "task.validation_data"));
    }
    return BT_OK;
}
