/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the optim room share: the settings read from the configuration, the table rows
 * of schedules and optimizers, and the work of one step cut into chunks. */
#ifndef BT_OPTIM_INTERNAL_H
#define BT_OPTIM_INTERNAL_H

#include "bt/kern.h"
#include "bt/optim.h"

/* Learning rate. */

/* Keys of every schedule and warm-up together; each reads only its own. */
typedef struct schedule_options {
    double         initial; /* initial_learning_rate, or learning_rate of `constant` */
    double         end;
    double         power;
    double         alpha;
    double         decay_rate;
    double         fraction; /* linear_decay_fraction */
    double         pre_offset;
    int64_t        steps; /* decay_steps or total_decay_steps */
    int64_t        offset;
    bool           cycle;
    bool           staircase;
    const double  *values; /* owned by the schedule */
    size_t         n_values;
    const int64_t *boundaries; /* owned */
    size_t         n_boundaries;
} schedule_options;

/* All rates in float32, with TensorFlow's order of operations. step: iterations, as float. */
typedef float (*schedule_fn)(const schedule_options *o, float step);

typedef struct warmup_options {
    int64_t steps;
    double  start; /* warmup_learning_rate */
    double  power;
    float   target; /* base(steps), fixed when the schedule is built */
} warmup_options;
typedef float (*warmup_fn)(const warmup_options *o, float step);

typedef struct learning_rate {
    schedule_options options;
    schedule_fn      base;
    warmup_options   warmup_options;
    warmup_fn        warmup;   /* NULL: none */
    bool             is_plain; /* a number, no schedule: TensorFlow then stores it as a variable */
    double          *values;
    int64_t         *boundaries;
} learning_rate;

/* Reads trainer.optimizer_config.learning_rate and .warmup. Deinit also after a failure. */
BT_MUST_USE bt_status learning_rate_init(learning_rate *rate, const bt_conf *conf,
                                         const bt_optim_derived *derived, bt_error *err);
void                  learning_rate_deinit(learning_rate *rate);
float                 learning_rate_at(const learning_rate *rate, int64_t step);

/* Patterns. */

/* Compiled regular expressions of Python's module re (pattern_syntax.c says which syntax). */
typedef struct pattern_list pattern_list;
/* key: for messages. items may be 0: *out is then an empty list. */
BT_MUST_USE bt_status pattern_list_create(const char *key, const bt_conf_str_list *texts,
                                          pattern_list **out, bt_error *err);
void                  pattern_list_free(pattern_list *list);
/* *found: one of them is somewhere in text. Errors: no memory; a pattern that takes too long. */
BT_MUST_USE bt_status pattern_list_search(const pattern_list *list, const char *text, bool *found,
                                          bt_error *err);
/* Name and version of the library that searches. */
void pattern_library_version(char *text, size_t size);
bool pattern_list_is_empty(const pattern_list *list);

/* Optimizers. */

/* Keys of every optimizer together; 0 for those that the selected one does not have. */
typedef struct optim_options {
    double           beta_1;
    double           beta_2;
    double           epsilon;
    double           weight_decay; /* weight_decay_rate, weight_decay */
    double           momentum;
    double           rho;
    double           eeta;
    double           initial_accumulator;
    double           decay; /* lr / (1 + decay * step) */
    double           gradient_clip_norm;
    bt_conf_opt_f64  clipvalue;
    bt_conf_opt_f64  clipnorm;
    bt_conf_opt_f64  global_clipnorm;
    bool             amsgrad;
    bool             nesterov;
    bool             centered;
    bool             classic_momentum;
    bt_conf_str_list include_decay; /* borrowed from conf: used in create only */
    bt_conf_str_list exclude_decay;
    bt_conf_str_list exclude_adaptation;
} optim_options;

typedef struct ema_options {
    bool    on;
    bool    dynamic;
    double  decay;
    int64_t start_step;
} ema_options;

typedef struct optim_slot {
    const char *name;
    float       init;
} optim_slot;

typedef struct optim_hyper {
    const char *name;
    float       value;
} optim_hyper;

enum { OPTIM_MAX_HYPERS = 6 };

/* One parameter's part of a step. Everything is within one parameter. */
typedef struct optim_chunk {
    int64_t param; /* index in the table */
    int64_t first; /* element in the flat buffers */
    int64_t n;
} optim_chunk;

/* What clipping and the patterns decided for one parameter. */
typedef struct optim_param_state {
    bool   decays;
    bool   adapts;
    float  multiplier; /* of the learning rate */
    double sum_sq;     /* of its gradient, word rows un-aggregated */
    float  grad_scale;
    float  ratio; /* trust ratio of lamb and lars */
} optim_param_state;

/* The numbers of one step, the same for every parameter. */
typedef struct optim_step {
    const bt_optim         *optim;
    const bt_optim_buffers *buffers;
    float                   lr;
    float                   beta_1;
    float                   beta_2;
    float                   one_minus_beta_1;
    float                   one_minus_beta_2;
    float                   correction_1; /* 1 - beta_1^t */
    float                   correction_2;
    float                   alpha;
    float                   epsilon;
    float                   one_minus_average_decay;
} optim_step;

/* Pointers of one chunk into the flat buffers. */
typedef struct optim_span {
    float  *param;
    float  *grad;
    float  *slots[BT_OPTIM_MAX_SLOTS];
    int64_t n;
    int64_t row; /* > 0: rows of this length are left alone when their gradient is
                    0 (TensorFlow's lazy sparse updates) */
    const optim_param_state *state;
} optim_span;

/* One row of the table of optimizers. */
typedef struct optim_rule {
    const char          *type;
    bt_optim_kind        kind;
    const bt_conf_field *fields; /* below trainer.optimizer_config.optimizer.<type> */
    size_t               n_fields;
    bool                 is_experimental;
    /* names the slots and the stored scalars from the options */
    void (*describe)(bt_optim *optim);
    /* one chunk; with needs_norms it leaves the raw update in grad */
    void (*update)(const optim_step *step, const optim_span *span);
    /* lamb, lars: after |param| and |update| of the whole parameter are known */
    void (*finish)(const optim_step *step, const optim_span *span);
    bool needs_norms;
    bool ratio_has_eeta; /* its trust ratio is multiplied with eeta */
    bool rows_can_wait;  /* the step of an element with gradient 0 depends on the schedule alone */
    bool names_have_no_end; /* patterns search the plain name, not the one with ":0" */
    /* its sparse kernel skips rows that are not in the batch, when momentum is on */
    bool is_lazy;
} optim_rule;

/* optim_layers.c: of every parameter; optim->params is there. */
BT_MUST_USE bt_status optim_read_multipliers(bt_optim *optim, const bt_conf *conf, bt_error *err);

/* optim_rules.c: NULL: no optimizer of that name. */
const optim_rule *optim_find_rule(const char *type);

/* Of a schedule's boundaries. */
enum { OPTIM_MAX_LEVELS = 100000 };

struct bt_optim {
    const optim_rule     *rule;
    optim_options         options;
    ema_options           ema;
    learning_rate         rate;
    const bt_param_table *table; /* borrowed */
    bt_kern               kern;
    optim_slot            slots[BT_OPTIM_MAX_SLOTS];
    int32_t               n_slots;
    optim_hyper           hypers[OPTIM_MAX_HYPERS];
    int32_t               n_hypers;
    optim_param_state    *params; /* [n_params] owned; scratch of a step but decays, adapts */
    optim_chunk          *chunks; /* [n_chunks] owned */
    int64_t               n_chunks;
    double               *partials; /* [2 * n_chunks] owned scratch */
};

/* Helpers of the describe functions. */
void optim_add_hyper(bt_optim *optim, const char *name, double value);

/* Update functions, one file a family. */
void               optim_update_adam(const optim_step *step, const optim_span *span);
bt_kern_adamw_args optim_adam_args(const optim_step *step, const optim_param_state *state);
void               optim_update_lamb(const optim_step *step, const optim_span *span);
void               optim_finish_lamb(const optim_step *step, const optim_span *span);
void               optim_update_sgd(const optim_step *step, const optim_span *span);
void               optim_update_rmsprop(const optim_step *step, const optim_span *span);
void               optim_update_adagrad(const optim_step *step, const optim_span *span);
void               optim_update_lars(const optim_step *step, const optim_span *span);
void               optim_finish_lars(const optim_step *step, const optim_span *span);

/* optim_rows.c: does that parameter's table have rows that wait? (rows may be NULL) */
bool optim_rows_has(const bt_optim_rows *rows, int64_t param);
/* Update number n_done of the rows of the batch; the others remember that it was made. */
void optim_rows_update(bt_optim_rows *rows, const optim_step *step, int64_t n_done, bt_pool *pool);

#endif
