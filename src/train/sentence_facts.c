/* SPDX-License-Identifier: Apache-2.0
 *
 * A dual encoder's weights that sentence-transformers wrote come with facts: how tokens become a
 * vector, whether it has unit length, and where sentences are cut. Where the user says nothing they
 * become keys of the configuration, so that params.yaml holds them. Another pooling is refused with
 * both; another length or normalisation can be meant, and is told. */
#include "run.h"

#include <stdio.h>
#include <string.h>

#define MODEL "task.model"

static bool is_written(const bt_conf *conf, const char *key) {
    char origin[BT_CONF_ORIGIN_MAX];
    return strcmp(bt_conf_origin(conf, key, origin), "default") != 0;
}

static bt_status set_key(bt_conf *conf, const char *key, const char *value, const char *origin,
                         bt_conf_errors *errors, bt_error *err) {
    char      override[128];
    const int n = snprintf(override, sizeof override, "%s=%s", key, value);
    BT_ASSERT(n > 0 && (size_t)n < sizeof override);
    (void)n;
    return bt_conf_set(conf, override, origin, errors, err);
}

static bt_status take_pooling(bt_conf *conf, const bt_ckpt_sentence *file, bt_conf_errors *errors,
                              bt_error *err) {
    static const char key[] = MODEL ".pooling";
    const char       *word = NULL;
    char              origin[BT_CONF_ORIGIN_MAX];
    BT_TRY(bt_conf_get_str(conf, key, &word, err));
    if (strcmp(word, file->pooling) == 0) {
        return BT_OK;
    }
    if (is_written(conf, key)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s is '%s' (%s), but the weights of task.init_checkpoint were trained with "
                       "'%s' (%s): leave the key out, or take weights without that file",
                       key, word, bt_conf_origin(conf, key, origin), file->pooling, file->path);
    }
    bt_log(BT_LOG_INFO, "%s is '%s', as %s says", key, file->pooling, file->path);
    return set_key(conf, key, file->pooling, file->path, errors, err);
}

static bt_status take_normalize(bt_conf *conf, const bt_ckpt_sentence *file, bt_conf_errors *errors,
                                bt_error *err) {
    static const char key[] = MODEL ".normalize";
    bool              is_unit = false;
    BT_TRY(bt_conf_get_bool(conf, key, &is_unit, err));
    if (file->normalize < 0 || is_unit == (file->normalize == 1)) {
        return BT_OK;
    }
    const char *const word = file->normalize == 1 ? "true" : "false";
    if (is_written(conf, key)) {
        bt_log(BT_LOG_WARNING, "%s is %s, but the modules beside %s make vectors %s: the key wins",
               key, is_unit ? "true" : "false", file->path,
               file->normalize == 1 ? "of unit length" : "as long as they come");
        return BT_OK;
    }
    bt_log(BT_LOG_INFO, "%s is %s, as the modules beside %s say", key, word, file->path);
    return set_key(conf, key, word, file->path, errors, err);
}

/* The lengths go together: one that was written is meant for all. */
static bt_status take_length(bt_conf *conf, const bt_ckpt_sentence *file, bt_conf_errors *errors,
                             bt_error *err) {
    static const char *const keys[] = {MODEL ".max_sequence_length", "task.train_data.seq_length",
                                       "task.validation_data.seq_length"};
    int64_t                  length = 0;
    bool                     is_open = true;
    char                     text[32];
    BT_TRY(bt_conf_get_i64(conf, keys[0], &length, err));
    if (file->max_seq_length == 0 || length == file->max_seq_length) {
        return BT_OK;
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(keys); i++) {
        is_open = is_open && bt_conf_has(conf, keys[i]) && !is_written(conf, keys[i]);
    }
    if (!is_open) {
        bt_log(BT_LOG_WARNING,
               "%s is %" PRId64 ": sentences are cut there, where sentence-transformers cuts them "
               "at %" PRId64 " tokens (max_seq_length of the weights): the key wins",
               keys[0], length, file->max_seq_length);
        return BT_OK;
    }
    bt_log(BT_LOG_INFO, "sentences are cut at %" PRId64 " tokens, as max_seq_length beside %s says",
           file->max_seq_length, file->path);
    (void)snprintf(text, sizeof text, "%" PRId64, file->max_seq_length);
    for (size_t i = 0; i < BT_ARRAY_LEN(keys); i++) {
        BT_TRY(set_key(conf, keys[i], text, file->path, errors, err));
    }
    return BT_OK;
}

bt_status sentence_facts_adopt(bt_conf *conf, const bt_ckpt *ckpt, bt_conf_errors *errors,
                               bt_error *err) {
    bt_ckpt_sentence file;
    BT_TRY(bt_ckpt_read_sentence(ckpt, &file, err));
    if (file.pooling[0] == '\0') {
        return BT_OK;
    }
    BT_TRY(take_pooling(conf, &file, errors, err));
    BT_TRY(take_normalize(conf, &file, errors, err));
    return take_length(conf, &file, errors, err);
}
