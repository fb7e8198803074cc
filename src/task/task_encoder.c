/* SPDX-License-Identifier: Apache-2.0
 *
 * The encoder's section, read alike by every task: task.model.encoder -> bt_encoder_config. */
#include <inttypes.h>
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

/* Types that the configuration knows and no engine computes. */
static const struct {
    const char *name;
    const char *why; /* and what to write instead */
} refused_rows[] = {
    {"any", "it stands for an encoder that a user's Python code builds; write bert, with its keys "
            "below task.model.encoder.bert"},
    {"bigbird", "its block-sparse attention is not supported; write bert for texts of up to 512 "
                "tokens"},
    {"fnet", "its Fourier mixing is not supported; write bert"},
    {"funnel", "its pooling of the sequence is not supported; write bert"},
    {"kernel", "its attention by random features is not supported; write bert"},
    {"mobilebert", "its bottleneck layers are not supported; write bert, with a small model as "
                   "configs/models/minilm.yaml"},
    {"query_bert", "its word embedding, projected by itself before the norm, is not supported; "
                   "write bert_v2 (embedding_size there projects after the norm)"},
    {"reuse", "its reused attention scores are not supported; write bert"},
    {"sparse_mixer", "its mixture of experts is not supported; write bert"},
    {"xlnet", "its two-stream, relative attention is not supported; write bert"},
};

static const encoder_row *find_row(const char *type) {
    for (size_t i = 0; i < BT_ARRAY_LEN(encoder_rows); i++) {
        if (strcmp(encoder_rows[i].name, type) == 0) {
            return &encoder_rows[i];
        }
    }
    return NULL;
}

const char *task_encoder_refusal(const char *type) {
    if (find_row(type) != NULL) {
        return NULL;
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(refused_rows); i++) {
        if (strcmp(refused_rows[i].name, type) == 0) {
            return refused_rows[i].why;
        }
    }
    return "write bert, bert_v2 or albert";
}

static bt_status find_type(const bt_conf *conf, const encoder_row **out, bt_error *err) {
    const char *const set = bt_conf_type_of_oneof(conf, ENCODER);
    const char *const name = set != NULL ? set : "null";
    *out = find_row(name);
    return *out != NULL ? BT_OK
                        : BT_FAIL(err, BT_E_UNSUPPORTED, ENCODER ".type: '%s': %s", name,
                                  task_encoder_refusal(name));
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
    encoder_keys       keys = {0};
    const encoder_row *row = NULL;
    BT_TRY(find_type(conf, &row, err));
    encoder->type = row->type;
    BT_TRY(bind_keys(conf, row->keys, encoder, &keys, err));
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
