/* SPDX-License-Identifier: Apache-2.0
 *
 * The encoder's section, read alike by every task: task.model.encoder -> bt_encoder_config. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "task_internal.h"

#define ENCODER TASK_ENCODER

typedef enum encoder_keys_kind { KEYS_OF_BERT, KEYS_OF_ALBERT } encoder_keys_kind;

typedef struct encoder_row {
    const char       *name;
    bt_encoder_type   type;
    encoder_keys_kind keys;
} encoder_row;

static const encoder_row encoder_rows[] = {
    {"bert", BT_ENCODER_BERT, KEYS_OF_BERT},
    {"bert_v2", BT_ENCODER_BERT_V2, KEYS_OF_BERT},
    {"albert", BT_ENCODER_ALBERT, KEYS_OF_ALBERT},
};

static const encoder_row *find_row(const char *type) {
    for (size_t i = 0; i < BT_ARRAY_LEN(encoder_rows); i++) {
        if (strcmp(encoder_rows[i].name, type) == 0) {
            return &encoder_rows[i];
        }
    }
    return NULL;
}

static bt_status find_type(const bt_conf *conf, const encoder_row **out, bt_error *err) {
    const char *const type = bt_conf_type_of_oneof(conf, ENCODER);
    *out = type == NULL ? NULL : find_row(type);
    return *out != NULL
               ? BT_OK
               : BT_FAIL(err, BT_E_UNSUPPORTED, ENCODER ".type: no encoder of the type '%s'",
                         type == NULL ? "null" : type);
}

/* Fields of the encoder's section in the widths of the file; checked before they are narrowed. */
typedef struct encoder_keys {
    const char     *hidden_activation;
    bt_conf_opt_i64 embedding_size;
    bt_conf_opt_i64 output_range;
} encoder_keys;

static const bt_conf_field common_fields[] = {
    {"vocab_size", BT_CONF_FIELD_I64, offsetof(bt_encoder_config, vocab_size)},
    {"hidden_size", BT_CONF_FIELD_I64, offsetof(bt_encoder_config, hidden_size)},
    {"num_layers", BT_CONF_FIELD_I64, offsetof(bt_encoder_config, num_layers)},
    {"num_attention_heads", BT_CONF_FIELD_I64, offsetof(bt_encoder_config, num_attention_heads)},
    {"intermediate_size", BT_CONF_FIELD_I64, offsetof(bt_encoder_config, intermediate_size)},
    {"max_position_embeddings", BT_CONF_FIELD_I64,
     offsetof(bt_encoder_config, max_position_embeddings)},
    {"type_vocab_size", BT_CONF_FIELD_I64, offsetof(bt_encoder_config, type_vocab_size)},
    {"dropout_rate", BT_CONF_FIELD_F32, offsetof(bt_encoder_config, dropout_rate)},
    {"attention_dropout_rate", BT_CONF_FIELD_F32,
     offsetof(bt_encoder_config, attention_dropout_rate)},
    {"initializer_range", BT_CONF_FIELD_F32, offsetof(bt_encoder_config, initializer_range)},
    {"layer_norm_eps", BT_CONF_FIELD_F32, offsetof(bt_encoder_config, norm_eps)},
};
static const bt_conf_field bert_fields[] = {
    {"norm_first", BT_CONF_FIELD_BOOL, offsetof(bt_encoder_config, norm_first)},
};
static const bt_conf_field bert_key_fields[] = {
    {"hidden_activation", BT_CONF_FIELD_STR, offsetof(encoder_keys, hidden_activation)},
    {"embedding_size", BT_CONF_FIELD_OPT_I64, offsetof(encoder_keys, embedding_size)},
    {"output_range", BT_CONF_FIELD_OPT_I64, offsetof(encoder_keys, output_range)},
};
static const bt_conf_field albert_key_fields[] = {
    {"hidden_activation", BT_CONF_FIELD_STR, offsetof(encoder_keys, hidden_activation)},
    {"embedding_width", BT_CONF_FIELD_OPT_I64, offsetof(encoder_keys, embedding_size)},
};

#define BIND(fields, object)                                                                       \
    bt_conf_bind(conf, ENCODER ".*", (fields), BT_ARRAY_LEN(fields), (object), err)

static bt_status bind_keys(const bt_conf *conf, encoder_keys_kind kind, bt_encoder_config *encoder,
                           encoder_keys *keys, bt_error *err) {
    BT_TRY(BIND(common_fields, encoder));
    switch (kind) {
    case KEYS_OF_BERT:
        BT_TRY(BIND(bert_fields, encoder));
        return BIND(bert_key_fields, keys);
    case KEYS_OF_ALBERT:
        return BIND(albert_key_fields, keys);
    }
    return BT_OK;
}

#define LORA "task.model.lora"

/* Fields of task.model.lora in the widths of the file. */
typedef struct lora_keys {
    double           alpha;
    int64_t          rank;
    float            dropout;
    bool             rslora;
    bt_conf_str_list targets;
} lora_keys;

static const bt_conf_field lora_fields[] = {
    {"alpha", BT_CONF_FIELD_F64, offsetof(lora_keys, alpha)},
    {"rank", BT_CONF_FIELD_I64, offsetof(lora_keys, rank)},
    {"dropout", BT_CONF_FIELD_F32, offsetof(lora_keys, dropout)},
    {"rslora", BT_CONF_FIELD_BOOL, offsetof(lora_keys, rslora)},
    {"targets", BT_CONF_FIELD_STR_LIST, offsetof(lora_keys, targets)},
};

static bt_status check_lora(const bt_encoder_config *encoder, const lora_keys *keys,
                            bt_error *err) {
    const int64_t H = encoder->hidden_size;
    if (encoder->type == BT_ENCODER_ALBERT) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       LORA ": ALBERT's layers share one set of kernels, for which there are no "
                            "adapters here: set it to null");
    }
    if (keys->rank > H) {
        return BT_FAIL(err, BT_E_CONFIG,
                       LORA ".rank: %" PRId64 " is more than the hidden size %" PRId64
                            ", so that adapters would be larger than the kernels: set it to "
                            "8, say",
                       keys->rank, H);
    }
    return keys->targets.n > 0
               ? BT_OK
               : BT_FAIL(err, BT_E_CONFIG,
                         LORA ".targets: an empty list, so that nothing of the encoder would be "
                              "trained: name kernels, or take task.model.freeze: encoder");
}

static bt_status read_lora(const bt_conf *conf, bt_encoder_config *encoder, bt_error *err) {
    lora_keys             keys = {0};
    bt_lora_config *const lora = &encoder->lora;
    if (bt_conf_peek_is_null(conf, LORA)) {
        return BT_OK;
    }
    BT_TRY(bt_conf_bind(conf, LORA, lora_fields, BT_ARRAY_LEN(lora_fields), &keys, err));
    BT_TRY(check_lora(encoder, &keys, err));
    for (size_t i = 0; i < keys.targets.n; i++) {
        bt_lora_target target = BT_LORA_QUERY;
        BT_TRY(bt_lora_target_from_name(keys.targets.items[i], &target, err));
        lora->has[target] = true;
    }
    lora->rank = keys.rank;
    lora->dropout_rate = keys.dropout;
    lora->scale = (float)(keys.alpha / (keys.rslora ? sqrt((double)keys.rank) : (double)keys.rank));
    return BT_OK;
}

bt_status task_read_encoder(const bt_conf *conf, bt_encoder_config *encoder, bt_error *err) {
    encoder_keys       keys = {0};
    const encoder_row *row = NULL;
    BT_TRY(find_type(conf, &row, err));
    encoder->type = row->type;
    BT_TRY(bind_keys(conf, row->keys, encoder, &keys, err));
    BT_TRY(bt_activation_from_name(keys.hidden_activation, &encoder->hidden_activation, err));
    encoder->output_range = keys.output_range.is_set ? keys.output_range.value : 0;
    encoder->embedding_size =
        keys.embedding_size.is_set ? keys.embedding_size.value : encoder->hidden_size;
    return read_lora(conf, encoder, err);
}
