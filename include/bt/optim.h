/* SPDX-License-Identifier: Apache-2.0
 *
 * optim: learning-rate schedules, optimizers, clipping, moving average. Formulas:
 * docs/model_garden/numerics.md sections 3 to 6 and docs/model_garden/config.md sections 5.3, 5.4.
 * The order is pinned: clip by global norm -> weight decay -> Adam -> moving average. */
#ifndef BT_OPTIM_H
#define BT_OPTIM_H

#include "bt/base/pool.h"
#include "bt/base/str.h"
#include "bt/conf.h"
#include "bt/tensor.h"

typedef struct bt_optim bt_optim;

enum { BT_OPTIM_MAX_SLOTS = 4 };

/* What the configuration leaves open: derived steps replace nulls (docs/deviations.md). */
typedef struct bt_optim_derived {
    int64_t train_steps;   /* decay_steps: null means this */
    int64_t warmup_steps;  /* warmup_steps: null means this */
    bool    makes_no_step; /* only asked what it is: runtime.isa may be of another machine */
} bt_optim_derived;

/* What is wrong or missing in trainer.optimizer_config; bt_optim_create takes it for granted. */
BT_MUST_USE bt_status bt_optim_check(const bt_conf_check *check);

/* Reads `trainer.optimizer_config` of conf and resolves for each parameter of the table whether it
 * decays and adapts (regex search on tf_name). Borrowed: table. Errors: BT_E_CONFIG,
 * BT_E_UNSUPPORTED. */
BT_MUST_USE bt_status bt_optim_create(const bt_conf *conf, const bt_optim_derived *derived,
                                      const bt_param_table *table, bt_optim **out, bt_error *err);
void                  bt_optim_free(bt_optim *optim);

/* The rate of update `step` (0 = the first), in float32 arithmetic as TensorFlow's. */
float bt_optim_learning_rate(const bt_optim *optim, int64_t step);
/* By what a parameter's own rate is that rate: trainer.optimizer_config.layer_decay and
 * head_multiplier. */
float bt_optim_multiplier(const bt_optim *optim, int64_t param);
/* "embeddings 0.59, layers.0 0.66, ..., head 10"; nothing where all of them are 1. */
BT_MUST_USE bt_status bt_optim_append_multipliers(const bt_optim *optim, bt_str *text,
                                                  bt_error *err);

const char *bt_optim_name(const bt_optim *optim); /* "adamw", ... */
int32_t     bt_optim_n_slots(const bt_optim *optim);
const char *bt_optim_slot_name(const bt_optim *optim, int32_t slot); /* "m", "v", "momentum", ... */
float bt_optim_slot_init(const bt_optim *optim, int32_t slot); /* 0, or adagrad's start value */
bool  bt_optim_has_average(const bt_optim *optim);
/* Scalars that Model Garden stores beside `iter`: names and values, e.g. beta_1, beta_2, decay. */
int32_t     bt_optim_n_hypers(const bt_optim *optim);
const char *bt_optim_hyper(const bt_optim *optim, int32_t i, float *value);

/* clipvalue clips the gradient row of each token before rows of equal ids are added together, so
 * it needs them: an engine must then fill word_rows below. False in every other configuration. */
bool bt_optim_needs_word_rows(const bt_optim *optim);
/* adamw's gradient_clip_norm: of several replicas each clips its own gradient before they are added
 * together (docs/model_garden/numerics.md section 2). All other clipping works on the sum. */
bool bt_optim_clips_shares(const bt_optim *optim);

/* Rows of the word table that wait.
 * Adam moves every row of the word table at every step, but a batch gives a gradient to few of
 * them. The others can wait and make their steps later, many at once while they are in the cache,
 * to the same bits: their numbers depend on the schedule alone. This keeps the books. The caller
 * brings the rows of a batch up to date before it reads them, and all rows before anybody else
 * does. */
typedef struct bt_optim_rows bt_optim_rows;

/* *out stays NULL where the update cannot wait: no word table with gradient, another rule than
 * Adam's (adam, adamw), amsgrad, a moving average, or clipping that needs every row. Borrowed:
 * optim. */
BT_MUST_USE bt_status bt_optim_rows_create(const bt_optim *optim, bt_optim_rows **out,
                                           bt_error *err);
void                  bt_optim_rows_free(bt_optim_rows *rows); /* accepts NULL */

typedef struct bt_optim_buffers bt_optim_buffers;
/* The next update is `step`; rows that wait for updates of another numbering make them first. */
void bt_optim_rows_begin(bt_optim_rows *rows, const bt_optim_buffers *buffers, int64_t step,
                         bt_pool *pool);
/* Brings the rows of these ids up to date and remembers them as those of the batch. */
void bt_optim_rows_read(bt_optim_rows *rows, const bt_optim_buffers *buffers, const int32_t *ids,
                        int64_t n, bt_pool *pool);
/* All rows. */
void bt_optim_rows_settle(bt_optim_rows *rows, const bt_optim_buffers *buffers, bt_pool *pool);
/* The rows of the last bt_optim_rows_read, each once: those with a gradient. Borrowed. */
const int32_t *bt_optim_rows_batch(const bt_optim_rows *rows, int64_t *n);

/* One update in place. grad is clobbered. word_rows_sum_sq: sum of squares of the word embedding's
 * gradient rows before equal ids were added together (docs/model_garden/numerics.md section 3).
 * Returns the norm of the gradient before any clipping, as clipping sees it, through *grad_norm;
 * when it is not finite nothing is changed and *applied is false. pool may be NULL. Bits do not
 * depend on the number of threads. Calls no heap. One caller at a time: scratch belongs to optim.
 */
struct bt_optim_buffers {
    float *param;
    float *grad;
    float *slots[BT_OPTIM_MAX_SLOTS];
    float *average; /* NULL without EMA */
    /* only when bt_optim_needs_word_rows: gradient of each token's word row [n_word_rows, E] and
     * its word id; grad holds their sum as always */
    const float   *word_rows;
    const int32_t *word_ids;
    int64_t        n_word_rows;
    /* rows of the word table that are not those of the batch wait; NULL: all are updated */
    bt_optim_rows *rows;
    /* grad is the sum of clipped shares (bt_optim_share_norm) */
    bool is_of_clipped;
    /* Not NULL: called once elements [first, first + n) of a parameter of the table have the values
     * that this update gives them, by the thread that wrote them, while they are in its cache: each
     * element of what is trained once in an update, in no order, several threads at a time. Not for
     * rows that wait, nor where nothing is applied. */
    void (*written)(void *context, int64_t param, int64_t first, int64_t n);
    void *written_context;
};
/* Of a replica, where bt_optim_clips_shares: the norm of its own gradient, and by what factor that
 * is clipped. Changes nothing. */
double bt_optim_share_norm(const bt_optim *optim, const bt_optim_buffers *buffers,
                           double word_rows_sum_sq, bt_pool *pool, float *factor);
/* Does the update of a parameter need nothing but its own sum of clipped shares, which are finite?
 * Then it can be made parameter by parameter: of those from first to before end, each once in a
 * step, in any order; together they make the bits of bt_optim_apply. */
bool bt_optim_is_by_parameter(const bt_optim *optim);
void bt_optim_apply_part(const bt_optim *optim, const bt_optim_buffers *buffers, int64_t n_done,
                         int64_t first, int64_t end, bt_pool *pool);
void bt_optim_apply(const bt_optim *optim, const bt_optim_buffers *buffers, int64_t n_done,
                    double word_rows_sum_sq, bt_pool *pool, double *grad_norm, bool *applied);

/* The update as data.
 * For an engine that writes the update as a program instead of calling bt_optim_apply. */

typedef enum bt_optim_kind {
    BT_OPTIM_ADAM,
    BT_OPTIM_LAMB,
    BT_OPTIM_SGD,
    BT_OPTIM_RMSPROP,
    BT_OPTIM_ADAGRAD,
    BT_OPTIM_LARS,
} bt_optim_kind;

/* Everything about the rule that no step changes; 0 or false where the rule has no such thing. */
typedef struct bt_optim_facts {
    bt_optim_kind kind;
    float         beta_1, beta_2, one_minus_beta_1, one_minus_beta_2;
    float         epsilon, weight_decay, momentum, rho, eeta;
    bool          amsgrad, nesterov, centered, classic_momentum;
    double        gradient_clip_norm, clipvalue, clipnorm, global_clipnorm; /* 0: off; so ordered */
    bool skips_zero_rows; /* rows of the word table without gradient stay as they are, slots too */
} bt_optim_facts;
bt_optim_facts bt_optim_get_facts(const bt_optim *optim);
/* Of a parameter of the table: weight decay; LAMB's and LARS's trust ratio. */
bool bt_optim_decays(const bt_optim *optim, int64_t param);
bool bt_optim_adapts(const bt_optim *optim, int64_t param);

/* The numbers of the update after n_done others. */
typedef struct bt_optim_numbers {
    float lr;           /* with the rule's own decay */
    float alpha;        /* Adam's rate: lr * sqrt(correction_2) / correction_1 */
    float correction_1; /* 1 - beta_1^t */
    float correction_2;
    float one_minus_average_decay;
} bt_optim_numbers;
bt_optim_numbers bt_optim_get_numbers(const bt_optim *optim, int64_t n_done);

/* For --version: the line "patterns: PCRE2 ...". */
BT_MUST_USE bt_status bt_optim_append_build_info(bt_str *text, bt_error *err);

#endif
