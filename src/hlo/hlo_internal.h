/* SPDX-License-Identifier: Apache-2.0
 *
 * One program being written: what the files of the room share. Forward functions keep what their
 * backward twins read; gradients of variables are left beside the variables.
 *
 * T = R * S slots. Letters of products: t slot, h or o hidden, i intermediate, c class or which of
 * query, key and value, b sequence, r row, q and k places in it, n head, d within a head. */
#ifndef BT_HLO_INTERNAL_H
#define BT_HLO_INTERNAL_H

#include "bt/hlo.h"
#include "hlo_text.h"

/* Variables. */

typedef enum hlo_var_kind {
    HLO_VAR_WORD,
    HLO_VAR_POSITION,
    HLO_VAR_TYPE,
    HLO_VAR_EMBEDDING_GAMMA,
    HLO_VAR_EMBEDDING_BETA,
    HLO_VAR_PROJECTION_KERNEL,
    HLO_VAR_PROJECTION_BIAS,
    /* of the layers */
    HLO_VAR_QKV_KERNEL, /* [3,H,H] */
    HLO_VAR_QKV_BIAS,
    HLO_VAR_ATTENTION_KERNEL,
    HLO_VAR_ATTENTION_BIAS,
    HLO_VAR_ATTENTION_GAMMA,
    HLO_VAR_ATTENTION_BETA,
    HLO_VAR_INTERMEDIATE_KERNEL,
    HLO_VAR_INTERMEDIATE_BIAS,
    HLO_VAR_OUTPUT_KERNEL,
    HLO_VAR_OUTPUT_BIAS,
    HLO_VAR_OUTPUT_GAMMA,
    HLO_VAR_OUTPUT_BETA,
    /* of the head */
    HLO_VAR_POOLER_KERNEL,
    HLO_VAR_POOLER_BIAS,
    HLO_VAR_HEAD_POOLER_KERNEL,
    HLO_VAR_HEAD_POOLER_BIAS,
    HLO_VAR_LOGITS_KERNEL,
    HLO_VAR_LOGITS_BIAS,
} hlo_var_kind;
enum {
    HLO_N_VARS = HLO_VAR_LOGITS_BIAS + 1,
    HLO_FIRST_LAYER_VAR = HLO_VAR_QKV_KERNEL,
    HLO_N_LAYER_VARS = HLO_VAR_OUTPUT_BETA - HLO_VAR_QKV_KERNEL + 1
};

typedef struct hlo_var {
    bool      is_used, has_gradient;
    bool      is_stacked;   /* its first axis is the layer */
    int64_t   number;       /* of the program's variables */
    int32_t   rank, n_lead; /* the first n_lead axes count parameters */
    int64_t   dim[BT_HLO_MAX_RANK];
    hlo_value value, gradient, average, slots[BT_OPTIM_MAX_SLOTS];
} hlo_var;

/* The program. */

/* The four words of a bt_rng_key, scalars or lists. */
typedef struct hlo_key {
    hlo_value word[4];
} hlo_key;

typedef struct hlo_step {
    hlo             h;
    const bt_model *model;
    const bt_optim *optim;
    bt_optim_facts  facts;
    bt_hlo_config   config;
    bt_hlo_program *program;
    bt_dtype        ct; /* of factors of products, and of what is kept for the backward */
    bool            dropout;
    bool      first_only; /* the last layer is computed for first tokens, after its attention */
    int64_t   R, S, T, B, H, NH, D, I, L, C, E;
    hlo_value args[BT_HLO_N_ROLES]; /* of roles that are not a variable's */
    hlo_var   vars[HLO_N_VARS];
    hlo_key   keys; /* of all dropout places: embedding, head, head's input, layer by layer */
    hlo_value seq_first, seq_behind; /* [T] int32: hlo_flash.h; with kernels */
    hlo_value key_bias;              /* [T] float32: likewise */
    /* hlo_attention_cudnn.c: int32 [R,M], [R,M+1], true [T] */
    hlo_value seq_lengths, seq_offsets, is_token;
    hlo_value word_rows;   /* [T,E] the word table's gradient, slot by slot */
    hlo_value word_sum_sq; /* of word_rows */
} hlo_step;

/* hlo_variable.c */
BT_MUST_USE bt_status hlo_add_variables(hlo_step *s, bt_error *err);
bool                  hlo_wants_averages(const hlo_step *s);
/* Value and gradient of the layer with that number (int32). */
hlo_value hlo_layer_value(hlo_step *s, hlo_var_kind kind, hlo_value layer);
/* hlo_program.c: one more argument or result; variable -1: of none. */
bt_dtype  hlo_dtype_of(bt_precision precision);
hlo_value hlo_add_argument(hlo_step *s, const bt_hlo_tensor *tensor);

/* hlo_flops.c */
double hlo_product_flops(const hlo_step *s);

static inline hlo_value hlo_number_of(hlo_step *s, int32_t place) {
    return hlo_element(&s->h, s->args[BT_HLO_NUMBERS], place);
}

/* Parts of a layer. */

/* hlo_philox.c */
void hlo_make_keys(hlo_step *s);
typedef enum hlo_place {
    HLO_PLACE_EMBEDDING,
    HLO_PLACE_HEAD,
    HLO_PLACE_HEAD_INPUT,
    HLO_PLACE_LAYERS, /* then three a layer */
} hlo_place;
enum { HLO_LAYER_PROBS, HLO_LAYER_ATTENTION, HLO_LAYER_FFN, HLO_PLACES_A_LAYER };
hlo_key hlo_key_at(hlo_step *s, hlo_place place);
hlo_key hlo_layer_key(hlo_step *s, hlo_value layer, int32_t which);
/* [T] numbers of the tokens, which name their masks; nothing without dropout. */
hlo_value hlo_slot_tokens(hlo_step *s);
/* x [N,C] float32 with inverted dropout; rows [N] int32 name them. Its own backward. */
hlo_value hlo_dropout(hlo_step *s, hlo_value x, hlo_key key, hlo_value rows, float rate);
/* true where attention from place q to place k is kept, [R,NH,S,S]; starts [R,S]: where the
 * sequence of each slot begins in its row. */
hlo_value hlo_attention_mask(hlo_step *s, hlo_key key, float rate);

/* The same as bits: bit k of the words of a slot and head is that of its sequence's k-th token,
 * [T,NH,words] uint32. */
hlo_value hlo_attention_bits(hlo_step *s, hlo_key key, float rate);
int64_t   hlo_attention_words(const bt_hlo_config *config);
/* Attention drops some of its probabilities. */
bool hlo_drops_attention(const hlo_step *s);

/* hlo_pass.c: dense layers, norms, activations. */
/* A product in the compute dtype, as Model Garden's policy has it: `letters` as hlo_einsum's;
 * float32 comes out. */
hlo_value hlo_product(hlo_step *s, const char *letters, hlo_value a, hlo_value b);
/* sum over the first axis [N,...] */
hlo_value hlo_bias_gradient(hlo_step *s, hlo_value d);
hlo_value hlo_plus_bias(hlo_step *s, hlo_value x, hlo_value bias);
/* Through what the compute dtype can hold. */
hlo_value hlo_kept(hlo_step *s, hlo_value x);
hlo_value hlo_f32(hlo_step *s, hlo_value x);

typedef struct hlo_norm {
    hlo_value gamma, beta;
} hlo_norm;
hlo_value hlo_norm_forward(hlo_step *s, hlo_value x, hlo_norm norm);
typedef struct hlo_norm_gradient {
    hlo_value d_in, d_gamma, d_beta;
} hlo_norm_gradient;
hlo_norm_gradient hlo_norm_backward(hlo_step *s, hlo_value d_out, hlo_value in, hlo_norm norm);

hlo_value hlo_act_forward(hlo_step *s, bt_activation act, hlo_value x);
hlo_value hlo_act_backward(hlo_step *s, bt_activation act, hlo_value d_out, hlo_value x);

/* hlo_attention.c: qkv [T,3,H] */
typedef struct hlo_attention {
    hlo_value context;      /* [T,H] */
    hlo_value max, inv_sum; /* [R,NH,S] of the softmax; cuDNN: one array [sequences,NH,S] */
    hlo_value bits;         /* [T,NH,words] of dropout, with kernels */
} hlo_attention;
hlo_attention hlo_attention_forward(hlo_step *s, hlo_value qkv, hlo_key key);
/* -> the gradient of qkv */
hlo_value hlo_attention_backward(hlo_step *s, hlo_value d_context, hlo_value qkv,
                                 const hlo_attention *a, hlo_key key);
/* hlo_attention_gpu.c: the same by kernels of hlo_flash.h. prepare: once a program, before the
 * layers. */
BT_MUST_USE bt_status hlo_attention_check(const bt_model *model, const bt_hlo_config *config,
                                          bt_error *err);
bool                  hlo_attention_has_bits(const hlo_step *s);
void                  hlo_attention_prepare(hlo_step *s);
hlo_attention         hlo_attention_gpu_forward(hlo_step *s, hlo_value qkv, hlo_key key);
hlo_value             hlo_attention_gpu_backward(hlo_step *s, hlo_value d_context, hlo_value qkv,
                                                 const hlo_attention *a);

/* hlo_attention_cudnn.c: the same by cuDNN. */
int64_t       hlo_cudnn_sequences(const hlo_step *s); /* in its arrays */
void          hlo_cudnn_prepare(hlo_step *s);
hlo_attention hlo_cudnn_forward(hlo_step *s, hlo_value qkv);
hlo_value     hlo_cudnn_backward(hlo_step *s, hlo_value d_context, hlo_value qkv,
                                 const hlo_attention *a);

/* Encoder, head. */

/* A layer, and the tokens that it is computed for after its attention: N of them, all T or the B
 * first ones. */
typedef struct hlo_layer {
    hlo_value number; /* int32 */
    bool      first_only;
    hlo_value tokens; /* [N] their numbers, which name masks; nothing without dropout */
} hlo_layer;

/* What of each layer is kept for the backward. */
typedef struct hlo_layer_keep {
    hlo_value     qkv; /* [T,3,H] */
    hlo_attention attention;
    hlo_value     sum_1;   /* [N,H] x + attention */
    hlo_value     pre_act; /* [N,I] */
    hlo_value     sum_2;   /* [N,H] the feed-forward's residual sum */
} hlo_layer_keep;
enum { HLO_N_KEPT = 8 };
int32_t hlo_n_kept(const hlo_step *s); /* hlo_encoder.c: so many of them there are */

/* What the backward needs of the encoder: keeps of all layers, [L,...]; with recomputation their
 * inputs alone. A last layer for first tokens is beside them, which are [L-1,...] then. */
typedef struct hlo_encoder_keep {
    hlo_value      embedding_sum; /* [T,E] */
    hlo_value      embedding_out; /* [T,E], after dropout; before the projection */
    hlo_value      embedded;      /* [T,H] the input of layer 0 */
    hlo_value      layers[HLO_N_KEPT];
    hlo_value      last_in; /* [T,H] */
    hlo_layer_keep last;
} hlo_encoder_keep;

/* hlo_encoder.c: the output [T,H] of the last of n_layers (int32) layers; with s->first_only that
 * of the last of all, [B,H]. */
hlo_value hlo_encoder_forward(hlo_step *s, hlo_value n_layers, hlo_encoder_keep *keep);
/* One layer; returns its output. */
hlo_value hlo_layer_forward(hlo_step *s, const hlo_layer *layer, hlo_value x, hlo_layer_keep *keep);
hlo_layer hlo_layer_at(hlo_step *s, hlo_value number, bool first_only);
/* [T,...] -> [N,...], and back: what is not there becomes 0. */
hlo_value hlo_layer_rows(hlo_step *s, const hlo_layer *layer, hlo_value x);
hlo_value hlo_layer_rows_backward(hlo_step *s, const hlo_layer *layer, hlo_value d);
hlo_norm  hlo_layer_norm(hlo_step *s, hlo_var_kind gamma, hlo_value layer);
hlo_value hlo_layer_qkv_input(hlo_step *s, hlo_value layer, hlo_value x);
hlo_norm  hlo_ffn_norm(hlo_step *s, hlo_value layer);
/* hlo_encoder_grad.c */
void hlo_encoder_backward(hlo_step *s, hlo_value d_out, const hlo_encoder_keep *keep);

/* hlo_head.c: of first tokens [B,H], and back */
hlo_value hlo_first_rows(hlo_step *s, hlo_value x);
hlo_value hlo_first_rows_backward(hlo_step *s, hlo_value d_rows);
typedef struct hlo_head_keep {
    hlo_value encoded;    /* [T,H], or [B,H] with s->first_only */
    hlo_value rows;       /* [B,H] first tokens, where the head reads those */
    hlo_value pooled_pre; /* before tanh */
    hlo_value pooled;     /* [B,H] */
    hlo_value dropped;    /* what the logits are made of */
    hlo_value vectors;    /* [B,H] of a ranking loss */
} hlo_head_keep;
hlo_value hlo_head_forward(hlo_step *s, hlo_value encoded, hlo_head_keep *keep);
hlo_value hlo_head_backward(hlo_step *s, hlo_value d_logits, const hlo_head_keep *keep);
/* tanh of the encoder's own pooler over the first tokens. */
hlo_value hlo_pooled_output(hlo_step *s, hlo_value encoded);
/* [T] numbers of sequences, B where empty; true [B,T] where the slot is the sequence's. */
hlo_value hlo_slot_sequences(hlo_step *s);
hlo_value hlo_is_of_sequence(hlo_step *s);

/* hlo_loss.c: d_logits NULL: not wanted. */
hlo_value hlo_loss(hlo_step *s, hlo_value logits, hlo_value *d_logits);

/* hlo_clip.c, hlo_optim.c: leave the new values in the variables; the norm. */
hlo_value hlo_global_norm(hlo_step *s);
void      hlo_clip(hlo_step *s, hlo_value norm);
/* x [lead...], a number for each parameter of a variable, or a scalar: over the variable's shape */
hlo_value hlo_over_variable(hlo_step *s, const hlo_var *var, hlo_value x);
/* sum of squares of each parameter of a variable, [lead...] */
hlo_value hlo_parameter_sum_sq(hlo_step *s, const hlo_var *var, hlo_value x);
void      hlo_update(hlo_step *s, hlo_value is_finite);

#endif
