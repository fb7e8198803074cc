/* SPDX-License-Identifier: Apache-2.0
 *
 * A dual encoder's weights that sentence-transformers wrote come with facts: how tokens become a
 * vector, whether it has unit length, and where sentences are cut. Where the user says nothing they
 * become keys of the configuration, so that params.yaml holds them. Another pooling is refused with
 * both; another length or normalisation can be meant, and is told. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/log.h"
#include "weights_internal.h"

#define MODEL "task.model"

typedef struct sentence_facts {
    bt_ckpt_sentence file;
    bt_ckpt_facts    config; /* a key that config.json gave a value was not written either */
} sentence_facts;

static bool is_written(const bt_conf *conf, const char *key, const sentence_facts *facts) {
    char origin[BT_CONF_ORIGIN_MAX];
    (void)bt_conf_origin(conf, key, origin);
    return strcmp(origin, "default") != 0 &&
           strncmp(origin, facts->config.path, BT_CONF_ORIGIN_MAX - 1) != 0;
}

static bt_status set_key(bt_conf *conf, const char *key, const char *value, const char *origin,
                         bt_conf_errors *errors, bt_error *err) {
    char      override[128];
    const int n = snprintf(override, sizeof override, "%s=%s", key, value);
    BT_ASSERT(n > 0 && (size_t)n < sizeof override);
    (void)n;
    return bt_conf_set(conf, override, origin, errors, err);
}

static bt_status take_pooling(bt_conf *conf, const sentence_facts *facts, bt_conf_errors *errors,
                              bt_error *err) {
    static const char key[] = MODEL ".pooling";
    const char       *word = NULL;
    char              origin[BT_CONF_ORIGIN_MAX];
    BT_TRY(bt_conf_get_str(conf, key, &word, err));
    if (strcmp(word, facts->file.pooling) == 0) {
        return BT_OK;
    }
    if (is_written(conf, key, facts)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s is '%s' (%s), but the weights of task.init_checkpoint were trained with "
                       "'%s' (%s): leave the key out, or take weights without that file",
                       key, word, bt_conf_origin(conf, key, origin), facts->file.pooling,
                       facts->file.path);
    }
    bt_log(BT_LOG_INFO, "%s is '%s', as %s says", key, facts->file.pooling, facts->file.path);
    return set_key(conf, key, facts->file.pooling, facts->file.path, errors, err);
}

static bt_status take_normalize(bt_conf *conf, const sentence_facts *facts, bt_conf_errors *errors,
                                bt_error *err) {
    static const char key[] = MODEL ".normalize";
    bool              is_unit = false;
    BT_TRY(bt_conf_get_bool(conf, key, &is_unit, err));
    if (facts->file.normalize < 0 || is_unit == (facts->file.normalize == 1)) {
        return BT_OK;
    }
    const char *const word = facts->file.normalize == 1 ? "true" : "false";
    if (is_written(conf, key, facts)) {
        bt_log(BT_LOG_WARNING, "%s is %s, but the modules beside %s make vectors %s: the key wins",
               key, is_unit ? "true" : "false", facts->file.path,
               facts->file.normalize == 1 ? "of unit length" : "as long as they come");
        return BT_OK;
    }
    bt_log(BT_LOG_INFO, "%s is %s, as the modules beside %s say", key, word, facts->file.path);
    return set_key(conf, key, word, facts->file.path, errors, err);
}

/* The lengths go together: one that was written is meant for all. */
static bt_status take_length(bt_conf *conf, const sentence_facts *facts, bt_conf_errors *errors,
                             bt_error *err) {
    static const char *const keys[] = {MODEL ".max_sequence_length", "task.train_data.seq_length",
                                       "task.validation_data.seq_length"};
    int64_t                  length = 0;
    bool                     is_open = true;
    char                     text[32];
    BT_TRY(bt_conf_get_i64(conf, keys[0], &length, err));
    if (facts->file.max_seq_length == 0 || length == facts->file.max_seq_length) {
        return BT_OK;
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(keys); i++) {
        is_open = is_open && bt_conf_has(conf, keys[i]) && !is_written(conf, keys[i], facts);
    }
    if (!is_open) {
        bt_log(BT_LOG_WARNING,
               "%s is %" PRId64 ": sentences are cut there, where sentence-transformers cuts them "
               "at %" PRId64 " tokens (max_seq_length of the weights): the key wins",
               keys[0], length, facts->file.max_seq_length);
        return BT_OK;
    }
    bt_log(BT_LOG_INFO, "sentences are cut at %" PRId64 " tokens, as max_seq_length beside %s says",
           facts->file.max_seq_length, facts->file.path);
    (void)snprintf(text, sizeof text, "%" PRId64, facts->file.max_seq_length);
    for (size_t i = 0; i < BT_ARRAY_LEN(keys); i++) {
        BT_TRY(set_key(conf, keys[i], text, facts->file.path, errors, err));
    }
    return BT_OK;
}

/* do_lower_case of sentence-transformers is before the tokenizer: one that leaves the case
 * leaves the accents too. */
static bt_status take_case_of(bt_conf *conf, const char *section, const sentence_facts *facts,
                              bt_conf_errors *errors, bt_error *err) {
    char key[64];
    char accents[64];
    char origin[BT_CONF_ORIGIN_MAX];
    bool lowers = true;
    (void)snprintf(key, sizeof key, "%s.lower_case", section);
    (void)snprintf(accents, sizeof accents, "%s.strip_accents", section);
    BT_TRY(bt_conf_get_bool(conf, key, &lowers, err));
    if (lowers) {
        return BT_OK;
    }
    if (bt_conf_is_written(conf, key)) {
        bt_log(
            BT_LOG_WARNING,
            "%s (%s) is false, but do_lower_case of sentence_bert_config.json beside %s is true: "
            "the key wins",
            key, bt_conf_origin(conf, key, origin), facts->file.path);
        return BT_OK;
    }
    bt_log(BT_LOG_INFO, "%s is true, as do_lower_case of sentence_bert_config.json beside %s says",
           key, facts->file.path);
    if (bt_conf_is_null(conf, accents)) {
        BT_TRY(set_key(conf, accents, "false", facts->file.path, errors, err));
    }
    return set_key(conf, key, "true", facts->file.path, errors, err);
}

static bt_status take_case(bt_conf *conf, const sentence_facts *facts, bt_conf_errors *errors,
                           bt_error *err) {
    if (!facts->file.lowers_case) {
        return BT_OK;
    }
    BT_TRY(take_case_of(conf, "task.train_data", facts, errors, err));
    return take_case_of(conf, "task.validation_data", facts, errors, err);
}

bt_status sentence_facts_adopt(bt_conf *conf, bt_ckpt *ckpt, bt_conf_errors *errors,
                               bt_error *err) {
    sentence_facts facts;
    BT_TRY(bt_ckpt_read_sentence(ckpt, &facts.file, err));
    if (facts.file.pooling[0] == '\0') {
        return BT_OK;
    }
    BT_TRY(bt_ckpt_read_facts(ckpt, &facts.config, err));
    BT_TRY(take_pooling(conf, &facts, errors, err));
    BT_TRY(take_normalize(conf, &facts, errors, err));
    BT_TRY(take_case(conf, &facts, errors, err));
    return take_length(conf, &facts, errors, err);
}
