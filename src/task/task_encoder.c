/* SPDX-License-Identifier: Apache-2.0
 *
 * The encoder's section, read alike by every task: task.model.encoder -> bt_encoder_config. */
#include <string.h>

#include "task_internal.h"

#define ENCODER "task.model.encoder"

/* Fields of the encoder's section in the widths of the file; checked before they are narrowed. */
typedef struct encoder_keys {
    const char     *hidden_activation;
    bt_conf_opt_i64 embedding_size;
    bt_conf_opt_i64 output_range;
} encoder_keys;

static const bt_conf_field encoder_fields[] = {
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
    {"norm_first", BT_CONF_FIELD_BOOL, offsetof(bt_encoder_config, norm_first)},
};
static const bt_conf_field encoder_key_fields[] = {
    {"hidden_activation", BT_CONF_FIELD_STR, offsetof(encoder_keys, hidden_activation)},
    {"embedding_size", BT_CONF_FIELD_OPT_I64, offsetof(encoder_keys, embedding_size)},
    {"output_range", BT_CONF_FIELD_OPT_I64, offsetof(encoder_keys, output_range)},
};

static bt_status read_encoder_type(const bt_conf *conf, bt_encoder_type *out, bt_error *err) {
    static const struct {
        const char     *name;
        bt_encoder_type type;
    } rows[] = {{"bert", BT_ENCODER_BERT}, {"bert_v2", BT_ENCODER_BERT_V2}};
    const char *const name = bt_conf_type_of_oneof(conf, ENCODER);
    for (size_t i = 0; name != NULL && i < BT_ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].name, name) == 0) {
            *out = rows[i].type;
            return BT_OK;
        }
    }
    return BT_FAIL(err, BT_E_UNSUPPORTED,
                   ENCODER ".type: '%s': this version trains the encoders bert and bert_v2",
                   name != NULL ? name : "null");
}

static bt_status read_output_range(const bt_conf_opt_i64 *value, int64_t *out, bt_error *err) {
    if (value->is_set && value->value < 1) {
        return BT_FAIL(err, BT_E_CONFIG,
                       ENCODER ".*.output_range: expected null or a number >= 1, got %" PRId64,
                       value->value);
    }
    *out = value->is_set ? value->value : 0;
    return BT_OK;
}

bt_status task_read_encoder(const bt_conf *conf, bt_encoder_config *encoder, bt_error *err) {
    encoder_keys keys = {0};
    BT_TRY(read_encoder_type(conf, &encoder->type, err));
    BT_TRY(bt_conf_bind(conf, ENCODER ".*", encoder_fields, BT_ARRAY_LEN(encoder_fields), encoder,
                        err));
    BT_TRY(bt_conf_bind(conf, ENCODER ".*", encoder_key_fields, BT_ARRAY_LEN(encoder_key_fields),
                        &keys, err));
    BT_TRY(bt_activation_from_name(keys.hidden_activation, &encoder->hidden_activation, err));
    BT_TRY(read_output_range(&keys.output_range, &encoder->output_range, err));
    encoder->embedding_size =
        keys.embedding_size.is_set ? keys.embedding_size.value : encoder->hidden_size;
    if (encoder->num_attention_heads < 1 ||
        encoder->hidden_size % encoder->num_attention_heads != 0) {
        const char *const type = bt_conf_type_of_oneof(conf, ENCODER);
        return BT_FAIL(err, BT_E_CONFIG,
                       ENCODER ".%s.num_attention_heads is %" PRId64
                               ", which does not divide " ENCODER ".%s.hidden_size, %" PRId64,
                       type, encoder->num_attention_heads, type, encoder->hidden_size);
    }
    return BT_OK;
}

bt_status task_check_seq_length(const bt_conf *conf, const char *section, int64_t seq_length,
                                const bt_encoder_config *encoder, bt_error *err) {
    const int64_t n_positions = encoder->max_position_embeddings;
    if (seq_length < 1 || seq_length > n_positions) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s.seq_length is %" PRId64 ", but " ENCODER
                       ".%s.max_position_embeddings is %" PRId64
                       ": the model has no positions beyond that",
                       section, seq_length, bt_conf_type_of_oneof(conf, ENCODER), n_positions);
    }
    return BT_OK;
}
