/* SPDX-License-Identifier: Apache-2.0
 *
 * Facts in place of defaults, before the configuration is checked: of a run that goes on what
 * it decided when it began (params.yaml of model_dir), else what the weights say of themselves. */
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"
#include "bt/train.h"
#include "bt/weights.h"
#include "labels.h"
#include "model_dir.h"

#define ENCODER "task.model.encoder"

/* Keys that facts may have decided, in an order in which each is there when its turn comes. */
static const char *const decided_keys[] = {
    ENCODER ".type",
    ENCODER ".*.vocab_size",
    ENCODER ".*.hidden_size",
    ENCODER ".*.num_layers",
    ENCODER ".*.num_attention_heads",
    ENCODER ".*.intermediate_size",
    ENCODER ".*.max_position_embeddings",
    ENCODER ".*.type_vocab_size",
    ENCODER ".*.embedding_width",
    ENCODER ".*.embedding_size",
    ENCODER ".*.hidden_activation",
    ENCODER ".*.layer_norm_eps",
    ENCODER ".*.norm_first",
    ENCODER ".*.dropout_rate",
    ENCODER ".*.attention_dropout_rate",
    ENCODER ".*.initializer_range",
    "task.model.head_dropout",
    "task.model.head_initializer_range",
    "task.model.num_classes",
    "task.model.use_encoder_pooler",
    "task.init_head",
    "task.class_names",
    "task.train_data.label_type",
    "task.validation_data.label_type",
    "task.train_data.vocab_file",
    "task.validation_data.vocab_file",
    "task.train_data.lower_case",
    "task.validation_data.lower_case",
    "task.train_data.do_lower_case",
    "task.validation_data.do_lower_case",
    "task.train_data.strip_accents",
    "task.validation_data.strip_accents",
    "task.train_data.tokenize_chinese_chars",
    "task.validation_data.tokenize_chinese_chars",
    "task.train_data.text_rules",
    "task.validation_data.text_rules",
    "task.train_data.seq_length",
    "task.validation_data.seq_length",
    "task.model.max_sequence_length",
};

static bt_status read_params(const bt_conf *conf, const char *path, bt_conf **out, bt_error *err) {
    const char *const  files[] = {path};
    const bt_conf_args args = {
        .experiment = bt_conf_experiment_name(conf), .config_files = files, .n_config_files = 1};
    bt_conf_errors  errors = BT_CONF_ERRORS_INIT;
    bt_error        unread = BT_ERROR_INIT; /* what cannot be compared is told in run_changes.c */
    const bt_status rc = bt_conf_build(&args, out, &errors, &unread);
    bt_conf_errors_deinit(&errors);
    return rc == BT_E_NOMEM ? BT_FAIL(err, rc, "%s", unread.msg) : BT_OK;
}

/* A folder with a checkpoint: *out is params.yaml beside it, or NULL. */
static bt_status find_decided(const bt_train_args *args, bt_conf **out, bt_error *err) {
    bt_status rc = BT_OK;
    char     *state = NULL;
    char     *params = NULL;
    bool      has_state = false;
    bool      has_params = false;
    *out = NULL;
    if (args->model_dir == NULL) {
        return BT_OK;
    }
    BT_CHECK(model_dir_file(args->model_dir, MODEL_STATE, &state, err));
    BT_CHECK(model_dir_file(args->model_dir, MODEL_PARAMS, &params, err));
    rc = bt_fs_look(state, &has_state, err);
    if (rc == BT_OK && has_state) {
        rc = bt_fs_look(params, &has_params, err);
    }
    if (rc ==
        BT_E_IO) { /* a link to itself and its kin: said where a run's own files are checked */
        rc = BT_OK;
        has_params = false;
    }
    BT_CHECK(rc);
    if (has_params) {
        BT_CHECK(read_params(args->conf, params, out, err));
    }
done:
    bt_free(state);
    bt_free(params);
    return rc;
}

static bt_status adopt_decided(bt_conf *conf, const bt_conf *then, bt_error *err) {
    for (size_t i = 0; i < BT_ARRAY_LEN(decided_keys); i++) {
        BT_TRY(bt_conf_adopt_from(conf, then, decided_keys[i], err));
    }
    return BT_OK;
}

bt_status bt_train_adopt_facts(const bt_train_args *args, bool is_dry, bt_error *err) {
    bt_conf *then = NULL;
    /* its checkpoints need not be there yet */
    if (args->mode == BT_CONF_MODE_CONTINUOUS_TRAIN_AND_EVAL || !bt_conf_has(args->conf, ENCODER)) {
        return BT_OK;
    }
    BT_TRY(labels_recall(args, err)); /* without them there is no plan */
    BT_TRY(find_decided(args, &then, err));
    if (then == NULL) {
        return bt_weights_adopt_facts(args->conf, args->mode, args->offline || is_dry, err);
    }
    const bt_status rc = adopt_decided(args->conf, then, err);
    bt_conf_free(then);
    return rc;
}
