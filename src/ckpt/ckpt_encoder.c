/* SPDX-License-Identifier: Apache-2.0
 *
 * What kind of encoder a file holds, inferred from the canonical names that its layout was mapped
 * to; what that kind lacks; and which kinds nothing here computes. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/size.h"
#include "ckpt_internal.h"

const char *bt_ckpt_encoder_name(bt_ckpt_encoder encoder) {
    switch (encoder) {
    case BT_CKPT_NO_ENCODER:
        return "no";
    case BT_CKPT_BERT:
        return "BERT";
    case BT_CKPT_ALBERT:
        return "ALBERT";
    case BT_CKPT_DISTILBERT:
        return "DistilBERT";
    }
    return "unknown";
}

void ckpt_find_encoder(bt_ckpt *ckpt) {
    ckpt->encoder = BT_CKPT_NO_ENCODER;
    ckpt->n_layers = 0;
    if (ckpt_find_place(ckpt, "transformer/self_attention/query/kernel", NULL) != NULL) {
        ckpt->encoder = BT_CKPT_ALBERT;
        ckpt->n_layers = 1;
        return;
    }
    for (;; ckpt->n_layers++) {
        char name[CKPT_NAME_MAX];
        (void)snprintf(name, sizeof name,
                       "transformer/layer_%" PRId64 "/self_attention/query/kernel", ckpt->n_layers);
        if (ckpt_find_place(ckpt, name, NULL) == NULL) {
            return;
        }
        ckpt->encoder = ckpt->is_distilbert ? BT_CKPT_DISTILBERT : BT_CKPT_BERT;
    }
}

bt_ckpt_encoder bt_ckpt_get_encoder(const bt_ckpt *ckpt) {
    return ckpt->encoder;
}

int64_t bt_ckpt_n_layers(const bt_ckpt *ckpt) {
    return ckpt->n_layers;
}

bt_ckpt_absence bt_ckpt_why_absent(const bt_ckpt *ckpt, const char *name) {
    /* Model Garden and Google always write the pooler; Hugging Face leaves it out where the head
     * does not read it */
    if (ckpt->layout != BT_CKPT_SAFETENSORS || ckpt->encoder == BT_CKPT_NO_ENCODER) {
        return BT_CKPT_NEEDED;
    }
    if (bt_str_starts_with(name, "pooler_transform/")) {
        return BT_CKPT_FRESH;
    }
    return ckpt->encoder == BT_CKPT_DISTILBERT && bt_str_starts_with(name, "type_embeddings/")
               ? BT_CKPT_ZERO
               : BT_CKPT_NEEDED;
}

typedef struct refusal_row {
    const char *model_type; /* in config.json */
    const char *prefix;     /* of the tensors' names; NULL: they do not tell */
    const char *name;
    const char *why;
} refusal_row;

#define BPE                                                                                        \
    "its vocabulary is byte-level BPE, which this program cannot read, and its positions start "   \
    "at 2"
#define POSITIONS "its relative positions are not supported"
static const refusal_row refusals[] = {
    {"roberta", "roberta.", "RoBERTa", BPE},
    {"xlm-roberta", NULL, "XLM-RoBERTa",
     "its vocabulary is a SentencePiece model, which this program cannot read, and its positions "
     "start at "
     "2"},
    {"camembert", NULL, "CamemBERT",
     "its vocabulary is a SentencePiece model, which this program cannot read, and its positions "
     "start at "
     "2"},
    {"big_bird", NULL, "BigBird", "its block-sparse attention is not supported"},
    {"convbert", "convbert.", "ConvBERT", "its convolutions are not supported"},
    {"deberta", "deberta.", "DeBERTa", POSITIONS},
    {"deberta-v2", NULL, "DeBERTa", POSITIONS},
    {"electra", "electra.", "ELECTRA", "its names are not mapped here"},
    {"fnet", "fnet.", "FNet", "its Fourier mixing is not supported"},
    {"funnel", "funnel.", "Funnel transformer", "its pooling of the sequence is not supported"},
    {"longformer", "longformer.", "Longformer", "its sliding attention is not supported"},
    {"mobilebert", "mobilebert.", "MobileBERT", "its bottleneck layers are not supported"},
    {"mpnet", "mpnet.", "MPNet", POSITIONS},
    {"xlnet", "transformer.layer.0.rel_attn.", "XLNet", POSITIONS},
};

static const refusal_row *refusal_of_type(const char *model_type) {
    for (size_t i = 0; i < BT_ARRAY_LEN(refusals); i++) {
        if (strcmp(refusals[i].model_type, model_type) == 0) {
            return &refusals[i];
        }
    }
    return NULL;
}

/* words stand in name, at its beginning or after a dot. */
static bool has_words(const char *name, const char *words) {
    for (const char *at = strstr(name, words); at != NULL; at = strstr(at + 1, words)) {
        if (at == name || at[-1] == '.') {
            return true;
        }
    }
    return false;
}

static const refusal_row *refusal_of_names(const bt_ckpt *ckpt, bool has_model_type) {
    for (size_t t = 0; t < ckpt->n_tensors; t++) {
        for (size_t i = 0; i < BT_ARRAY_LEN(refusals); i++) {
            if (refusals[i].prefix != NULL &&
                has_words(ckpt->tensors[t].name, refusals[i].prefix)) {
                return &refusals[i];
            }
        }
    }
    /* RoBERTa's own file names its tensors as BERT's does, but has one segment type */
    const ckpt_place *const types = ckpt_find_place(ckpt, "type_embeddings/embeddings", NULL);
    const bool              is_roberta = !has_model_type && types != NULL &&
                            ckpt->tensors[types->tensor].rank == 2 &&
                            ckpt->tensors[types->tensor].dim[0] == 1;
    return is_roberta ? refusal_of_type("roberta") : NULL;
}

/* 1 + the largest number that is after mark in any name. */
static int64_t count_numbered(const bt_ckpt *ckpt, const char *mark) {
    int64_t n = 0;
    for (size_t t = 0; t < ckpt->n_tensors; t++) {
        const char *const at = strstr(ckpt->tensors[t].name, mark);
        const char *const digit = at == NULL ? NULL : at + strlen(mark);
        if (digit != NULL && isdigit((unsigned char)*digit)) {
            const int64_t here = 1 + (*digit - '0'); /* beyond 9 it is too many in any case */
            n = here > n ? here : n;
        }
    }
    return n;
}

static bt_status check_groups(const bt_ckpt *ckpt, const bt_ckpt_facts *facts, bt_error *err) {
    const bool    is_tf1 = ckpt->layout == BT_CKPT_TF1;
    const int64_t n_groups = bt_i64_max(
        count_numbered(ckpt, is_tf1 ? "/group_" : "albert_layer_groups."), facts->n_groups);
    const int64_t n_inner = bt_i64_max(
        count_numbered(ckpt, is_tf1 ? "/inner_group_" : "albert_layers."), facts->n_inner_groups);
    if (n_groups <= 1 && n_inner <= 1) { /* 0 where nothing says it */
        return BT_OK;
    }
    return BT_FAIL(err, BT_E_UNSUPPORTED,
                   "%s holds an ALBERT with %" PRId64 " groups of %" PRId64
                   " layers; an encoder here shares 1 layer (1 group of 1)",
                   ckpt->path, bt_i64_max(n_groups, 1), bt_i64_max(n_inner, 1));
}

/* Words of programs that hold a model in a module of theirs: what is behind them is the model's. */
static const char *const wrapper_words[] = {"_forward_module",
                                            "_fsdp_wrapped_module",
                                            "_orig_mod",
                                            "albert",
                                            "auto_model",
                                            "backbone",
                                            "base_model",
                                            "bert",
                                            "bert_model",
                                            "core",
                                            "distilbert",
                                            "embedder",
                                            "encoder",
                                            "lm",
                                            "model",
                                            "module",
                                            "net",
                                            "network",
                                            "plm",
                                            "student",
                                            "teacher",
                                            "text_encoder",
                                            "text_model",
                                            "transformer"};

static bool is_wrapper_word(const char *word, size_t n) {
    bool is_number = n > 0; /* torch.nn.Sequential's names */
    for (size_t i = 0; i < n; i++) {
        is_number = is_number && isdigit((unsigned char)word[i]);
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(wrapper_words); i++) {
        if (strlen(wrapper_words[i]) == n && memcmp(wrapper_words[i], word, n) == 0) {
            return true;
        }
    }
    return is_number;
}

static bt_status check_wrapper(const bt_ckpt *ckpt, const bt_ckpt_facts *facts, bt_error *err) {
    if (ckpt->other_wrapper != NULL) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "%s holds two encoders, one below '%s' and one below '%s': save the one "
                       "that you mean by itself",
                       ckpt->path, ckpt->wrapper, ckpt->other_wrapper);
    }
    for (const char *at = ckpt->wrapper;
         at != NULL && *at != '\0' && facts->model_type[0] == '\0';) {
        const size_t n = strcspn(at, ".");
        if (!is_wrapper_word(at, n)) {
            return BT_FAIL(err, BT_E_UNSUPPORTED,
                           "%s: its names begin with '%s', which may be those of another kind of "
                           "model: put the config.json beside it whose model_type says that it is "
                           "bert, albert or distilbert",
                           ckpt->path, ckpt->wrapper);
        }
        at += n + (at[n] == '.');
    }
    return BT_OK;
}

static bt_status fail_fact(const bt_ckpt *ckpt, const bt_ckpt_facts *facts, const char *what,
                           const char *why, bt_error *err) {
    return BT_FAIL(err, BT_E_UNSUPPORTED, "%s: %s (%s): %s", ckpt->path, what, facts->path, why);
}

const char *bt_ckpt_activation_word(const bt_ckpt *ckpt, const char *activation) {
    static const struct {
        const char *theirs;
        const char *ours;
    } rows[] = {{"gelu", "gelu_erf"},         {"gelu_python", "gelu_erf"},
                {"gelu_new", "gelu"},         {"gelu_pytorch_tanh", "gelu"},
                {"gelu_python_tanh", "gelu"}, {"gelu_accurate", "gelu"},
                {"gelu_fast", "gelu"},        {"silu", "swish"},
                {"swish", "swish"},           {"relu", "relu"},
                {"relu6", "relu6"},           {"tanh", "tanh"},
                {"sigmoid", "sigmoid"},       {"mish", "mish"},
                {"linear", "linear"}};
    if (ckpt->layout != BT_CKPT_SAFETENSORS) {
        return activation; /* Google's and Model Garden's words are the same */
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].theirs, activation) == 0) {
            return rows[i].ours;
        }
    }
    return NULL;
}

static bt_status check_facts(const bt_ckpt *ckpt, const bt_ckpt_facts *facts, bt_error *err) {
    char what[BT_CKPT_WORD_MAX + 40];
    if (facts->positions[0] != '\0' && strcmp(facts->positions, "absolute") != 0) {
        (void)snprintf(what, sizeof what, "position_embedding_type is '%s'", facts->positions);
        return fail_fact(ckpt, facts, what,
                         "only absolute positions are supported; start from weights with those",
                         err);
    }
    if (facts->is_decoder || facts->has_cross_attention) {
        return fail_fact(
            ckpt, facts, facts->is_decoder ? "is_decoder is true" : "add_cross_attention is true",
            "a decoder, in which each token sees only those before it, is not supported", err);
    }
    if (facts->has_pruned_heads) {
        return fail_fact(ckpt, facts, "pruned_heads", "layers with fewer heads are not supported",
                         err);
    }
    if (facts->has_own_code) {
        return fail_fact(ckpt, facts, "auto_map",
                         "code of the repository's own computes this model, which is not run here",
                         err);
    }
    if (facts->is_quantized) {
        return fail_fact(ckpt, facts, "quantization_config",
                         "weights that were made smaller by quantization cannot be read", err);
    }
    if (facts->activation[0] != '\0' && ckpt->layout == BT_CKPT_SAFETENSORS &&
        bt_ckpt_activation_word(ckpt, facts->activation) == NULL) {
        (void)snprintf(what, sizeof what, "the activation '%s'", facts->activation);
        return fail_fact(ckpt, facts, what, "it is not computed here", err);
    }
    if (ckpt->foreign >= 0) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "%s: tensor '%s' is part of its encoder and of no supported one: its "
                       "model computes something else",
                       ckpt->path, ckpt->tensors[ckpt->foreign].name);
    }
    return BT_OK;
}

/* Tensors of other sizes than the configuration's: one of them is of another model. Fewer layers
 * can be meant. */
static bt_status check_sizes(const bt_ckpt *ckpt, const bt_ckpt_facts *facts, bt_error *err) {
    bt_ckpt_sizes sizes;
    bt_ckpt_read_sizes(ckpt, &sizes);
    const struct {
        const char *name;
        int64_t     told;
        int64_t     found;
    } rows[] = {
        {"hidden_size", facts->hidden_size, sizes.hidden_size},
        {"vocab_size", facts->vocab_size, sizes.vocab_size},
        {"intermediate_size", facts->intermediate_size, sizes.intermediate_size},
        {"max_position_embeddings", facts->max_positions, sizes.max_position_embeddings},
        {"type_vocab_size", facts->n_types, sizes.type_vocab_size},
        {"num_hidden_layers", bt_i64_max(facts->n_layers, sizes.num_layers), sizes.num_layers},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (rows[i].told > 0 && rows[i].found > 0 && rows[i].told != rows[i].found) {
            return BT_FAIL(err, BT_E_SHAPE,
                           "%s: its tensors have %s %" PRId64 ", but %s says %" PRId64
                           ": one of them is of another model",
                           ckpt->path, rows[i].name, rows[i].found, facts->path, rows[i].told);
        }
    }
    return BT_OK;
}

bt_status bt_ckpt_check_kind(const bt_ckpt *ckpt, const bt_ckpt_facts *facts, bt_error *err) {
    static const char *const known[] = {"bert", "albert", "distilbert"};
    if (ckpt->layout != BT_CKPT_SAFETENSORS) {
        BT_TRY(check_groups(ckpt, facts, err));
        BT_TRY(check_facts(ckpt, facts, err));
        return check_sizes(ckpt, facts, err);
    }
    bool is_known = facts->model_type[0] == '\0';
    for (size_t i = 0; i < BT_ARRAY_LEN(known); i++) {
        is_known = is_known || strcmp(facts->model_type, known[i]) == 0;
    }
    const refusal_row *const row = is_known ? refusal_of_names(ckpt, facts->model_type[0] != '\0')
                                            : refusal_of_type(facts->model_type);
    if (row != NULL) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "%s holds %s: %s; start from weights of BERT, ALBERT or DistilBERT",
                       ckpt->path, row->name, row->why);
    }
    if (!is_known) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "%s holds a model of type '%s' (%s), which is not supported; start from "
                       "weights of BERT, ALBERT or DistilBERT",
                       ckpt->path, facts->model_type, facts->path);
    }
    BT_TRY(check_wrapper(ckpt, facts, err));
    BT_TRY(check_groups(ckpt, facts, err));
    BT_TRY(check_facts(ckpt, facts, err));
    return check_sizes(ckpt, facts, err);
}
