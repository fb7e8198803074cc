/* SPDX-License-Identifier: Apache-2.0
 *
 * Schema tables: the encoders of the BERT family.
 * One row a key: name, type, flags, default, range, meaning. Names and defaults are those of Model
 * Garden 2.19.1; EXT marks keys of our own. Keys stand in sorted order. */
#include "conf_schema.h"

/* These refer to each other. */
static const conf_class conf_class_albert_encoder;
static const conf_class conf_class_bert_encoder;
static const conf_class conf_class_big_bird_encoder;
static const conf_class conf_class_mobile_bert_encoder;
static const conf_class conf_class_xl_net_encoder;
static const conf_class conf_class_query_bert;

static const conf_key encoder_keys[] = {
    SECTION("albert", &conf_class_albert_encoder, "ALBERT"),
    SECTION_REFUSED("any", &conf_class_empty, "an encoder given as Python code",
                    "it stands for an encoder that a user's Python code builds; write bert, with "
                    "its keys below task.model.encoder.bert"),
    SECTION("bert", &conf_class_bert_encoder, "BERT"),
    SECTION("bert_v2", &conf_class_bert_encoder, "BERT, new layout"),
    SECTION_REFUSED(
        "bigbird", &conf_class_big_bird_encoder, "BigBird",
        "its block-sparse attention is not supported; write bert for texts of up to 512 tokens"),
    SECTION_REFUSED("fnet", &conf_class_f_net_encoder, "FNet",
                    "its Fourier mixing is not supported; write bert"),
    SECTION_REFUSED("funnel", &conf_class_funnel_encoder, "Funnel transformer",
                    "its pooling of the sequence is not supported; write bert"),
    SECTION_REFUSED("kernel", &conf_class_kernel_encoder, "kernel attention",
                    "its attention by random features is not supported; write bert"),
    SECTION_REFUSED("mobilebert", &conf_class_mobile_bert_encoder, "MobileBERT",
                    "its bottleneck layers are not supported; write bert, with a small model as "
                    "configs/models/minilm.yaml"),
    SECTION_REFUSED("query_bert", &conf_class_query_bert, "BERT with factorised embedding",
                    "its word embedding, projected by itself before the norm, is not supported; "
                    "write bert_v2 (embedding_size there projects behind the norm)"),
    SECTION_REFUSED("reuse", &conf_class_reuse_encoder, "reused attention scores",
                    "its reused attention scores are not supported; write bert"),
    SECTION_REFUSED("sparse_mixer", &conf_class_sparse_mixer_encoder, "Sparse Mixer",
                    "its mixture of experts is not supported; write bert"),
    KEY("type", T_STR, NULLABLE, "bert", RULE_NONE, "which branch is used"),
    SECTION_REFUSED("xlnet", &conf_class_xl_net_encoder, "XLNet",
                    "its two-stream, relative attention is not supported; write bert"),
};
const conf_class conf_class_encoder = {"official.nlp.configs.encoders.EncoderConfig", NULL,
                                       encoder_keys, BT_ARRAY_LEN(encoder_keys), true};

static const conf_key albert_encoder_keys[] = {
    KEY("attention_dropout_rate", T_FLOAT, 0, "0.0", RULE_RATE,
        "dropout of attention probabilities"),
    KEY("dropout_rate", T_FLOAT, 0, "0.0", RULE_RATE,
        "dropout after embeddings, attention and feed-forward"),
    KEY("embedding_width", T_INT, 0, "128", RULE_GE1, "width of the word embedding"),
    KEY("hidden_activation", T_STR, 0, "gelu", RULE_NONE, "activation of the feed-forward layers"),
    KEY("hidden_size", T_INT, 0, "768", RULE_GE1, "width of the model"),
    KEY("initializer_range", T_FLOAT, 0, "0.02", RULE_GE0, "standard deviation of initial weights"),
    KEY("intermediate_size", T_INT, 0, "3072", RULE_GE1, "width of the feed-forward layers"),
    KEY("layer_norm_eps", T_FLOAT, EXT, "1.0e-12", RULE_INSIDE,
        "epsilon of the layer normalisations"),
    KEY("max_position_embeddings", T_INT, 0, "512", RULE_GE1,
        "longest sequence that has positions"),
    KEY("num_attention_heads", T_INT, 0, "12", RULE_GE1,
        "attention heads; must divide hidden_size"),
    KEY("num_layers", T_INT, 0, "12", RULE_GE1, "number of layers"),
    KEY("type_vocab_size", T_INT, 0, "2", RULE_GE1, "number of segment types"),
    KEY("vocab_size", T_INT, 0, "30000", RULE_GE1, "number of pieces in the vocabulary"),
};
static const conf_class conf_class_albert_encoder = {
    "official.nlp.configs.encoders.AlbertEncoderConfig", NULL, albert_encoder_keys,
    BT_ARRAY_LEN(albert_encoder_keys), false};

static const conf_key bert_encoder_keys[] = {
    KEY("attention_dropout_rate", T_FLOAT, 0, "0.1", RULE_RATE,
        "dropout of attention probabilities"),
    KEY("dropout_rate", T_FLOAT, 0, "0.1", RULE_RATE,
        "dropout after embeddings, attention and feed-forward"),
    KEY("embedding_size", T_INT, NULLABLE, NULL, RULE_GE1,
        "width of the word embedding (null = hidden_size)"),
    KEY("hidden_activation", T_STR, 0, "gelu", RULE_NONE, "activation of the feed-forward layers"),
    KEY("hidden_size", T_INT, 0, "768", RULE_GE1, "width of the model"),
    KEY("initializer_range", T_FLOAT, 0, "0.02", RULE_GE0, "standard deviation of initial weights"),
    KEY("intermediate_size", T_INT, 0, "3072", RULE_GE1, "width of the feed-forward layers"),
    KEY("layer_norm_eps", T_FLOAT, EXT, "1.0e-12", RULE_INSIDE,
        "epsilon of the layer normalisations"),
    KEY("max_position_embeddings", T_INT, 0, "512", RULE_GE1,
        "longest sequence that has positions"),
    KEY("norm_first", T_BOOL, 0, "false", RULE_NONE,
        "layer normalisation before each block, not after"),
    KEY("num_attention_heads", T_INT, 0, "12", RULE_GE1,
        "attention heads; must divide hidden_size"),
    KEY("num_layers", T_INT, 0, "12", RULE_GE1, "number of layers"),
    KEY("output_range", T_INT, NULLABLE, NULL, RULE_GE1,
        "only the first positions of the last layer are computed (null = all)"),
    KEY_IGNORED("return_all_encoder_outputs", T_BOOL, QUIET, "false", RULE_NONE,
                "return every layer", WHY_OUTPUTS),
    KEY_IGNORED("return_attention_scores", T_BOOL, QUIET, "false", RULE_NONE,
                "return attention scores", WHY_OUTPUTS),
    KEY_IGNORED("return_word_embeddings", T_BOOL, QUIET, "false", RULE_NONE,
                "return word embeddings", WHY_OUTPUTS),
    KEY("type_vocab_size", T_INT, 0, "2", RULE_GE1, "number of segment types"),
    KEY("vocab_size", T_INT, 0, "30522", RULE_GE1, "number of pieces in the vocabulary"),
};
static const conf_class conf_class_bert_encoder = {
    "official.nlp.configs.encoders.BertEncoderConfig", NULL, bert_encoder_keys,
    BT_ARRAY_LEN(bert_encoder_keys), false};

static const conf_key big_bird_encoder_keys[] = {
    KEY("attention_dropout_rate", T_FLOAT, 0, "0.1", RULE_RATE,
        "dropout of attention probabilities"),
    KEY("block_size", T_INT, 0, "64", RULE_GE1, "tokens per attention block"),
    KEY("dropout_rate", T_FLOAT, 0, "0.1", RULE_RATE,
        "dropout after embeddings, attention and feed-forward"),
    KEY("embedding_width", T_INT, NULLABLE, NULL, RULE_GE1, "width of the word embedding"),
    KEY("hidden_activation", T_STR, 0, "gelu", RULE_NONE, "activation of the feed-forward layers"),
    KEY("hidden_size", T_INT, 0, "768", RULE_GE1, "width of the model"),
    KEY("initializer_range", T_FLOAT, 0, "0.02", RULE_GE0, "standard deviation of initial weights"),
    KEY("intermediate_size", T_INT, 0, "3072", RULE_GE1, "width of the feed-forward layers"),
    KEY("max_position_embeddings", T_INT, 0, "4096", RULE_GE1,
        "longest sequence that has positions"),
    KEY("norm_first", T_BOOL, 0, "false", RULE_NONE,
        "layer normalisation before each block, not after"),
    KEY("num_attention_heads", T_INT, 0, "12", RULE_GE1,
        "attention heads; must divide hidden_size"),
    KEY("num_layers", T_INT, 0, "12", RULE_GE1, "number of layers"),
    KEY("num_rand_blocks", T_INT, 0, "3", RULE_NONE, "random blocks per row"),
    KEY("type_vocab_size", T_INT, 0, "16", RULE_GE1, "number of segment types"),
    KEY("use_gradient_checkpointing", T_BOOL, 0, "false", RULE_NONE,
        "recompute activations in the backward pass"),
    KEY("vocab_size", T_INT, 0, "50358", RULE_GE1, "number of pieces in the vocabulary"),
};
static const conf_class conf_class_big_bird_encoder = {
    "official.nlp.configs.encoders.BigBirdEncoderConfig", NULL, big_bird_encoder_keys,
    BT_ARRAY_LEN(big_bird_encoder_keys), false};

static const conf_key mobile_bert_encoder_keys[] = {
    KEY("attention_probs_dropout_prob", T_FLOAT, 0, "0.1", RULE_RATE,
        "dropout of attention probabilities"),
    KEY("classifier_activation", T_BOOL, 0, "true", RULE_NONE, "activation in the pooler"),
    KEY("hidden_activation", T_STR, 0, "gelu", RULE_NONE, "activation of the feed-forward layers"),
    KEY("hidden_dropout_prob", T_FLOAT, 0, "0.1", RULE_RATE, "dropout of the hidden layers"),
    KEY("hidden_size", T_INT, 0, "512", RULE_GE1, "width of the model"),
    KEY("initializer_range", T_FLOAT, 0, "0.02", RULE_GE0, "standard deviation of initial weights"),
    KEY("input_mask_dtype", T_STR, 0, "int32", RULE_NONE, "type of the mask"),
    KEY("intermediate_size", T_INT, 0, "4096", RULE_GE1, "width of the feed-forward layers"),
    KEY("intra_bottleneck_size", T_INT, 0, "1024", RULE_GE1, "width inside the bottleneck"),
    KEY("key_query_shared_bottleneck", T_BOOL, 0, "false", RULE_NONE,
        "share the bottleneck of keys and queries"),
    KEY("max_sequence_length", T_INT, 0, "512", RULE_GE1, "longest sequence"),
    KEY("normalization_type", T_STR, 0, "layer_norm", RULE_NONE, "layer_norm or no_norm"),
    KEY("num_attention_heads", T_INT, 0, "4", RULE_GE1, "attention heads; must divide hidden_size"),
    KEY("num_blocks", T_INT, 0, "24", RULE_GE1, "number of layers"),
    KEY("num_feedforward_networks", T_INT, 0, "1", RULE_GE1, "feed-forward networks per layer"),
    KEY("type_vocab_size", T_INT, 0, "2", RULE_GE1, "number of segment types"),
    KEY("use_bottleneck_attention", T_BOOL, 0, "false", RULE_NONE,
        "attention inside the bottleneck"),
    KEY("word_embed_size", T_INT, 0, "128", RULE_GE1, "width of the word embedding"),
    KEY("word_vocab_size", T_INT, 0, "30522", RULE_GE1, "number of pieces in the vocabulary"),
};
static const conf_class conf_class_mobile_bert_encoder = {
    "official.nlp.configs.encoders.MobileBertEncoderConfig", NULL, mobile_bert_encoder_keys,
    BT_ARRAY_LEN(mobile_bert_encoder_keys), false};

static const conf_key xl_net_encoder_keys[] = {
    KEY("attention_dropout_rate", T_FLOAT, 0, "0.1", RULE_RATE,
        "dropout of attention probabilities"),
    KEY("attention_type", T_STR, 0, "bi", RULE_NONE, "bi or uni"),
    KEY("bi_data", T_BOOL, 0, "false", RULE_NONE, "batch holds both directions"),
    KEY("clamp_length", T_INT, 0, "-1", RULE_NONE, "largest relative distance (-1 = no limit)"),
    KEY("dropout_rate", T_FLOAT, 0, "0.1", RULE_RATE,
        "dropout after embeddings, attention and feed-forward"),
    KEY("embedding_width", T_INT, 0, "1024", RULE_GE1, "width of the word embedding"),
    KEY("head_size", T_INT, 0, "64", RULE_GE1, "width of a head"),
    KEY("hidden_size", T_INT, 0, "1024", RULE_GE1, "width of the model"),
    KEY("initializer_range", T_FLOAT, 0, "0.02", RULE_GE0, "standard deviation of initial weights"),
    KEY("inner_activation", T_STR, 0, "gelu", RULE_NONE, "activation of the feed-forward layers"),
    KEY("inner_size", T_INT, 0, "4096", RULE_GE1, "width of the feed-forward layers"),
    KEY("memory_length", T_INT, 0, "0", RULE_NONE, "positions remembered"),
    KEY("num_attention_heads", T_INT, 0, "16", RULE_GE1,
        "attention heads; must divide hidden_size"),
    KEY("num_layers", T_INT, 0, "24", RULE_GE1, "number of layers"),
    KEY("reuse_length", T_INT, 0, "0", RULE_NONE, "positions reused"),
    KEY("same_length", T_BOOL, 0, "false", RULE_NONE, "same attention length for every token"),
    KEY("tie_attention_biases", T_BOOL, 0, "false", RULE_NONE, "share attention biases"),
    KEY("two_stream", T_BOOL, 0, "false", RULE_NONE, "two-stream attention"),
    KEY("use_cls_mask", T_BOOL, 0, "false", RULE_NONE, "mask for the class token"),
    KEY("vocab_size", T_INT, 0, "32000", RULE_GE1, "number of pieces in the vocabulary"),
};
static const conf_class conf_class_xl_net_encoder = {
    "official.nlp.configs.encoders.XLNetEncoderConfig", NULL, xl_net_encoder_keys,
    BT_ARRAY_LEN(xl_net_encoder_keys), false};

static const conf_key query_bert_keys[] = {
    KEY("attention_dropout_rate", T_FLOAT, 0, "0.1", RULE_RATE,
        "dropout of attention probabilities"),
    KEY("dropout_rate", T_FLOAT, 0, "0.1", RULE_RATE,
        "dropout after embeddings, attention and feed-forward"),
    KEY("embedding_size", T_INT, NULLABLE, NULL, RULE_GE1,
        "width of the word embedding (null = hidden_size)"),
    KEY("hidden_activation", T_STR, 0, "gelu", RULE_NONE, "activation of the feed-forward layers"),
    KEY("hidden_size", T_INT, 0, "768", RULE_GE1, "width of the model"),
    KEY("initializer_range", T_FLOAT, 0, "0.02", RULE_GE0, "standard deviation of initial weights"),
    KEY("intermediate_size", T_INT, 0, "3072", RULE_GE1, "width of the feed-forward layers"),
    KEY("max_position_embeddings", T_INT, 0, "512", RULE_GE1,
        "longest sequence that has positions"),
    KEY("norm_first", T_BOOL, 0, "false", RULE_NONE,
        "layer normalisation before each block, not after"),
    KEY("num_attention_heads", T_INT, 0, "12", RULE_GE1,
        "attention heads; must divide hidden_size"),
    KEY("num_layers", T_INT, 0, "12", RULE_GE1, "number of layers"),
    KEY("output_range", T_INT, NULLABLE, NULL, RULE_GE1,
        "only the first positions of the last layer are computed (null = all)"),
    KEY_IGNORED("return_all_encoder_outputs", T_BOOL, QUIET, "false", RULE_NONE,
                "return every layer", WHY_OUTPUTS),
    KEY_IGNORED("return_attention_scores", T_BOOL, QUIET, "false", RULE_NONE,
                "return attention scores", WHY_OUTPUTS),
    KEY("type_vocab_size", T_INT, 0, "2", RULE_GE1, "number of segment types"),
    KEY("vocab_size", T_INT, 0, "30522", RULE_GE1, "number of pieces in the vocabulary"),
};
static const conf_class conf_class_query_bert = {"official.nlp.configs.encoders.QueryBertConfig",
                                                 NULL, query_bert_keys,
                                                 BT_ARRAY_LEN(query_bert_keys), false};
