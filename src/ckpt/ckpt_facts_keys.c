/* SPDX-License-Identifier: Apache-2.0
 *
 * The keys of config.json (Hugging Face, all versions) and of Google's bert_config.json and
 * albert_config.json: what kind of value each holds. One of another kind is damage; one that is not
 * here may change what the model computes, and is told. */
#include <string.h>

#include "bt/base/str.h"
#include "ckpt_facts_keys.h"

typedef enum key_kind {
    ANY, /* bookkeeping, or compared elsewhere */
    COUNT,
    NUMBER,
    POSITIVE,
    SHARE,
    TEXT,
    FLAG,
    NAMES,
} key_kind;

typedef struct key_row {
    const char *name;
    key_kind    kind;
} key_row;

/* What the encoder is. */
static const key_row architecture[] = {
    {"activation", TEXT},
    {"add_cross_attention", FLAG},
    {"attention_dropout", SHARE},
    {"attention_probs_dropout_prob", SHARE},
    {"classifier_dropout", SHARE},
    {"classifier_dropout_prob", SHARE},
    {"dim", COUNT},
    {"dropout", SHARE},
    {"embedding_size", COUNT},
    {"hidden_act", TEXT},
    {"hidden_dim", COUNT},
    {"hidden_dropout_prob", SHARE},
    {"hidden_size", COUNT},
    {"id2label", NAMES},
    {"initializer_range", NUMBER},
    {"inner_group_num", COUNT},
    {"intermediate_size", COUNT},
    {"is_decoder", FLAG},
    {"is_encoder_decoder", FLAG},
    {"label2id", NAMES},
    {"layer_norm_eps", POSITIVE},
    {"max_position_embeddings", COUNT},
    {"model_type", TEXT},
    {"n_heads", COUNT},
    {"n_layers", COUNT},
    {"num_attention_heads", COUNT},
    {"num_hidden_groups", COUNT},
    {"num_hidden_layers", COUNT},
    {"position_embedding_type", TEXT},
    {"problem_type", TEXT},
    {"type_vocab_size", COUNT},
    {"vocab_size", COUNT},
};

/* Programs keep these for themselves, for generating text, or for heads that are compared by their
 * tensors. */
static const char *const bookkeeping[] = {
    "_attn_implementation_autoset",
    "_commit_hash",
    "_name_or_path",
    "_num_labels",
    "architectures",
    "attn_implementation",
    "auto_map",
    "bad_words_ids",
    "begin_suppress_tokens",
    "bos_token_id",
    "chunk_size_feed_forward",
    "cls_token_id",
    "cross_attention_hidden_size",
    "custom_pipelines",
    "decoder_start_token_id",
    "directionality",
    "diversity_penalty",
    "do_sample",
    "down_scale_factor",
    "dtype",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "eos_token_id",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "gap_size",
    "gradient_checkpointing",
    "language",
    "layers_to_keep",
    "length_penalty",
    "mask_token_id",
    "max_length",
    "min_length",
    "name",
    "net_structure_type",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_labels",
    "num_memory_blocks",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_past",
    "output_scores",
    "pad_token_id",
    "pooler_fc_size",
    "pooler_num_attention_heads",
    "pooler_num_fc_layers",
    "pooler_size_per_head",
    "pooler_type",
    "prefix",
    "pruned_heads",
    "qa_dropout",
    "quantization_config",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict",
    "return_dict_in_generate",
    "sentence_transformers",
    "sep_token_id",
    "seq_classif_dropout",
    "sinusoidal_pos_embds",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "tie_word_embeddings",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers_version",
    "typical_p",
    "use_bfloat16",
    "use_cache",
};

static bool is_of_kind(const json_t *value, key_kind kind) {
    switch (kind) {
    case ANY:
        return true;
    case COUNT:
        return json_is_integer(value) && json_integer_value(value) >= 0;
    case NUMBER:
        return json_is_number(value);
    case POSITIVE:
        return json_is_number(value) && json_number_value(value) > 0;
    case SHARE:
        return json_is_number(value) && json_number_value(value) >= 0 &&
               json_number_value(value) < 1;
    case TEXT:
        return json_is_string(value);
    case FLAG:
        return json_is_boolean(value);
    case NAMES:
        return json_is_object(value);
    }
    return true;
}

static const char *word_of(key_kind kind) {
    static const char *const words[] = {[ANY] = "a value",
                                        [COUNT] = "a whole number",
                                        [NUMBER] = "a number",
                                        [POSITIVE] = "a number above 0",
                                        [SHARE] = "a number from 0 to below 1",
                                        [TEXT] = "text",
                                        [FLAG] = "a flag (true or false)",
                                        [NAMES] = "an object of names by their numbers"};
    return words[kind];
}

static bool find_key(const char *name, key_kind *kind) {
    *kind = ANY;
    for (size_t i = 0; i < BT_ARRAY_LEN(architecture); i++) {
        if (strcmp(architecture[i].name, name) == 0) {
            *kind = architecture[i].kind;
            return true;
        }
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(bookkeeping); i++) {
        if (strcmp(bookkeeping[i], name) == 0) {
            return true;
        }
    }
    return false;
}

bt_status ckpt_facts_check_keys(const json_t *root, const char *path, char *unknown,
                                size_t n_unknown, bt_error *err) {
    const char *name = NULL;
    json_t     *value = NULL;
    bool        has_room = true;
    unknown[0] = '\0';
    json_object_foreach((json_t *)(uintptr_t)root, name, value) {
        key_kind kind = ANY;
        if (!find_key(name, &kind)) {
            has_room = has_room && bt_list_add(unknown, n_unknown, name);
        } else if (!json_is_null(value) && !is_of_kind(value, kind)) {
            return BT_FAIL(err, BT_E_FORMAT, "%s: %s is not %s", path, name, word_of(kind));
        }
    }
    return BT_OK;
}
