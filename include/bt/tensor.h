/* SPDX-License-Identifier: Apache-2.0
 *
 * tensor: dtypes and other kinds, dense tensors, the parameter table that slices the four flat
 * buffers (param, grad, and the optimizer's slots), and the batch of packed tokens. No arithmetic.
 *
 * Dims: B sequences of a batch, T tokens of a batch (packed), H hidden, NH heads, D = H/NH,
 * E embedding width, I intermediate, V vocabulary, P positions, S seq_length of the records,
 * L layers, C classes (docs/numerics.md). */
#ifndef BT_TENSOR_H
#define BT_TENSOR_H

#include "bt/base/arena.h"

enum { BT_MAX_RANK = 4, BT_WIRE_MAX_RANK = 8 }; /* of ours; of what files hold */

/* Values are TensorFlow's DataType numbers (docs/model_garden/numerics.md section 9). */
typedef enum bt_dtype {
    BT_DTYPE_INVALID = 0,
    BT_DTYPE_F32 = 1,
    BT_DTYPE_F64 = 2,
    BT_DTYPE_I32 = 3,
    BT_DTYPE_U8 = 4,
    BT_DTYPE_I16 = 5,
    BT_DTYPE_I8 = 6,
    BT_DTYPE_STRING = 7,
    BT_DTYPE_C64 = 8,
    BT_DTYPE_I64 = 9,
    BT_DTYPE_BOOL = 10,
    BT_DTYPE_BF16 = 14,
    BT_DTYPE_U16 = 17,
    BT_DTYPE_C128 = 18,
    BT_DTYPE_F16 = 19,
    BT_DTYPE_U32 = 22,
    BT_DTYPE_U64 = 23,
} bt_dtype;

bool        bt_dtype_is_known(int64_t number); /* one of the values above? for numbers from files */
size_t      bt_dtype_size(bt_dtype dtype);     /* bytes of an element; 0 for strings */
const char *bt_dtype_name(bt_dtype dtype);     /* "float32", "int64", ... as NumPy says */

typedef struct bt_tensor {
    void    *data; /* borrowed: arena, flat buffer or mapped file */
    bt_dtype dtype;
    int32_t  rank;             /* 0..4 */
    int64_t  dim[BT_MAX_RANK]; /* outermost first, as TF and NumPy; dense row-major, no strides */
    const char *name;          /* TF variable name, or NULL */
} bt_tensor;

/* Product of the dims (1 for rank 0). false: negative dim or overflow. */
BT_MUST_USE bool bt_dims_count(const int64_t *dims, int32_t rank, int64_t *n_elements);
/* "[2, 3]" into buffer; returns it. */
enum { BT_DIMS_TEXT_MAX = 128 };
char *bt_dims_text(const int64_t *dims, int32_t rank, char buffer[BT_DIMS_TEXT_MAX]);

/* Kinds that descriptions, kernels and engines share. */

typedef enum bt_activation {
    BT_ACT_GELU,     /* the tanh approximation, as Model Garden's "gelu" */
    BT_ACT_GELU_ERF, /* the exact one, as Hugging Face's "gelu"; a word of our own */
    BT_ACT_RELU,
    BT_ACT_RELU6,
    BT_ACT_TANH,
    BT_ACT_SWISH,      /* simple_swish: x * sigmoid(x) */
    BT_ACT_HARD_SWISH, /* x * relu6(x + 3) / 6 */
    BT_ACT_MISH,
    BT_ACT_SIGMOID,
    BT_ACT_IDENTITY,
} bt_activation;
enum { BT_N_ACTIVATIONS = BT_ACT_IDENTITY + 1 };

/* What the factors of the large matrix products are rounded to before they are multiplied;
 * everything else is float32, sums too. */
typedef enum bt_precision { BT_PRECISION_F32, BT_PRECISION_BF16, BT_PRECISION_F16 } bt_precision;
enum { BT_N_PRECISIONS = BT_PRECISION_F16 + 1 };

/* How devices compute attention. The numbers are the same but for rounding; dropout's masks are. */
typedef enum bt_attention {
    BT_ATTENTION_XLA,    /* written out, for every device: [rows, heads, slots, slots] in memory */
    BT_ATTENTION_AUTO,   /* the fastest of those that the device has */
    BT_ATTENTION_TRITON, /* our kernels for GPUs: nothing of slots * slots in memory */
    BT_ATTENTION_CUDNN,  /* NVIDIA's, likewise; without dropout */
} bt_attention;

typedef enum bt_encoder_type {
    BT_ENCODER_BERT,
    BT_ENCODER_BERT_V2,
    BT_ENCODER_ALBERT, /* BERT whose layers share one set of parameters */
} bt_encoder_type;

/* Parameters. */

typedef enum bt_init_rule {
    BT_INIT_ZERO,
    BT_INIT_ONE,
    BT_INIT_TRUNCATED_NORMAL, /* mean 0, stddev, re-drawn outside +-2 stddev
                               * (docs/model_garden/numerics.md section 1) */
    BT_INIT_UNIFORM,          /* from -stddev to stddev */
} bt_init_rule;

typedef struct bt_param {
    const char *name; /* canonical variable name (encoder type bert), no ":0"; owned by the table */
    const char
           *tf_name; /* what Model Garden calls it and regexes see (bert_v2 has a prefix); owned */
    int32_t rank;
    int64_t dim[BT_MAX_RANK]; /* TF's shape, e.g. query/kernel [H,NH,D] */
    int64_t n_elements;
    int64_t offset; /* first element in each flat buffer; a multiple of 16 (64 bytes) */
    bt_init_rule init;
    float        init_stddev;
    bool         has_gradient; /* false: no loss reads it, or it is frozen: no slots, no decay
                                * (docs/model_garden/numerics.md 2) */
    int32_t depth;   /* 0: embeddings; l + 1: layer l (of shared layers 1); then the pooler and the
                      * head */
    bool is_encoder; /* must be found in init_checkpoint */
    bool is_adapter; /* one of the two factors of LoRA beside a kernel */
    bool is_word_embedding; /* its gradient enters the norm row by row
                             * (docs/model_garden/numerics.md 3) */
} bt_param;

/* Which of Model Garden's Keras objects hold the variables: a checkpoint's object graph repeats
 * them. */
typedef enum bt_keras_model {
    BT_KERAS_CLASSIFIER,        /* with a pooler of its own */
    BT_KERAS_POOLED_CLASSIFIER, /* reads the encoder's pooler */
    BT_KERAS_SPAN_LABELER,
    BT_KERAS_TOKEN_CLASSIFIER,
    BT_KERAS_DUAL_ENCODER,
    BT_KERAS_RAW_DUAL_ENCODER, /* vectors are not made to have unit length */
} bt_keras_model;
typedef struct bt_keras_classes {
    bt_encoder_type encoder;
    bt_keras_model  model;
} bt_keras_classes;

/* The one list: shapes, init, checkpoint names, optimizer and all-reduce all walk it. */
typedef struct bt_param_table {
    bt_param        *params; /* owned */
    int64_t          n_params;
    int64_t          n_elements; /* of a flat buffer, gaps included (gaps stay 0) */
    bt_keras_classes keras;
    bt_arena         names;
} bt_param_table;

BT_MUST_USE bt_status bt_param_table_init(bt_param_table *table, int64_t max_params, bt_error *err);
void                  bt_param_table_deinit(bt_param_table *table);
/* Appends; computes n_elements and offset; copies the names. Errors: BT_E_SHAPE (overflow). */
BT_MUST_USE bt_status bt_param_table_add(bt_param_table *table, const bt_param *param,
                                         int64_t *index, bt_error *err);
/* Elements of the parameters that have a gradient. */
int64_t bt_param_table_n_trained(const bt_param_table *table);
/* index of a canonical name, or -1 */
int64_t bt_param_table_find(const bt_param_table *table, const char *name);

/* A batch of packed tokens.
 * The concatenation of the real tokens of B sequences, in the order of the records. Token t of
 * sequence b is at offsets[b] + t. Everything is borrowed until the next batch of its producer.
 * A dual encoder's batch of n pairs is one of 2n sequences: left and right side take turns. */
typedef struct bt_batch {
    int64_t        n_seqs;     /* B */
    int64_t        n_rows;     /* of the data: n_seqs, or half of them where a row is a pair */
    int64_t        n_tokens;   /* T = offsets[n_seqs] */
    int64_t        max_tokens; /* of the longest sequence here */
    int64_t        seq_length; /* S of the records: B*S - T is the padding avoided */
    const int64_t *offsets;    /* [B+1] */
    const int32_t *ids;        /* [T] word ids, checked against the vocabulary */
    const int32_t *types;      /* [T] segment ids, checked */
    const int32_t *positions;  /* [T] place in the record */
    /* [T] 1: may be attended to. NULL: every token. Only rows whose first token is masked, or a
     * task that keeps padding (runtime.padding), make it non-NULL; a sequence of all zeros gives
     * the uniform softmax over its tokens, as Model Garden's -1e9 does in float32. */
    const uint8_t *key_mask;
    const int32_t *int_labels;   /* class [B]; tagging [T]; span start and end [2,B]; or NULL */
    const float   *float_labels; /* regression [B]; several labels [B,C]; or NULL */
    const float   *row_weights;  /* [B] >= 0, of a row in the training loss; NULL: all 1 */
    const int64_t *example_ids;  /* [B] or NULL */
    const int64_t *sentence_ids; /* [B] or NULL: which sentence of its file a sequence belongs to */
    const int64_t *sub_sentence_ids; /* [B] or NULL: index of the piece within that sentence */
    int64_t        first_record;     /* number of the first record since the start of the stream */
} bt_batch;

/* What a stream of random numbers (bt/base/rng.h) is for. Values are part of the reproducibility
 * promise: append, never renumber. */
typedef enum bt_rng_site {
    BT_SITE_INIT = 1,
    BT_SITE_SHUFFLE = 2,
    BT_SITE_EMBEDDING_DROPOUT = 3,
    BT_SITE_ATTENTION_PROBS_DROPOUT = 4,
    BT_SITE_ATTENTION_OUTPUT_DROPOUT = 5,
    BT_SITE_FFN_OUTPUT_DROPOUT = 6,
    BT_SITE_HEAD_DROPOUT = 7,
    BT_SITE_HEAD_INPUT_DROPOUT = 8,
    BT_SITE_LORA_DROPOUT =
        10, /* to 15: of what each of the bt_lora_targets reads; the next is 16 */
} bt_rng_site;

#endif
