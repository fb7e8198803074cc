/* SPDX-License-Identifier: Apache-2.0
 *
 * Learning-rate schedules and warm-ups: docs/model_garden/numerics.md section 6,
 * docs/model_garden/config.md 5.4. All values are float32 and every operation is in
 * TensorFlow's order, Python constants being rounded where TensorFlow rounds them. One table row a
 * schedule. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "optim_internal.h"

#define RATE_PREFIX "trainer.optimizer_config.learning_rate"
#define WARMUP_PREFIX "trainer.optimizer_config.warmup"

enum { PATH_MAX_BYTES = 128 };

static const float pi_f32 = 3.14159265358979323846F;

/* x of the schedules that have an offset. The subtraction is TensorFlow's, in float32. */
static float shifted(const schedule_options *o, float step) {
    return step - (float)o->offset;
}

static float rate_constant(const schedule_options *o, float step) {
    (void)step;
    return (float)o->initial;
}

static float rate_polynomial(const schedule_options *o, float step) {
    const float initial = (float)o->initial;
    const float end = (float)o->end;
    float       x = shifted(o, step);
    float       steps = (float)o->steps;
    if (o->cycle) {
        steps *= x == 0.0F ? 1.0F : ceilf(x / (float)o->steps);
    } else {
        x = fminf(x, steps);
    }
    const float p = x / steps;
    return (initial - end) * powf(1.0F - p, (float)o->power) + end;
}

static float rate_exponential(const schedule_options *o, float step) {
    float p = shifted(o, step) / (float)o->steps;
    if (o->staircase) {
        p = floorf(p);
    }
    return (float)o->initial * powf((float)o->decay_rate, p);
}

static float rate_cosine(const schedule_options *o, float step) {
    const float steps = (float)o->steps;
    const float completed = fminf(shifted(o, step), steps) / steps;
    const float cosine = 0.5F * (1.0F + cosf(pi_f32 * completed));
    const float decayed = (float)(1.0 - o->alpha) * cosine + (float)o->alpha;
    return (float)o->initial * decayed;
}

static float rate_stepwise(const schedule_options *o, float step) {
    const float x = shifted(o, step);
    for (size_t i = 0; i < o->n_boundaries; i++) {
        if (x <= (float)o->boundaries[i]) { /* the boundary itself has the earlier value */
            return (float)o->values[i];
        }
    }
    return (float)o->values[o->n_values - 1];
}

static float rate_power(const schedule_options *o, float step) {
    return (float)o->initial * powf(fmaxf(step, 1.0F), (float)o->power);
}

static float rate_power_linear(const schedule_options *o, float step) {
    const float  x = shifted(o, step);
    const double tail = (double)o->steps * o->fraction;
    float        rate = (float)o->initial * powf(fmaxf(x, 1.0F), (float)o->power);
    if (tail > 0.0) {
        rate *= fminf(1.0F, ((float)o->steps - x) / (float)tail);
        rate = fmaxf(0.0F, rate);
    }
    return rate;
}

static float rate_power_with_offset(const schedule_options *o, float step) {
    const float x = shifted(o, step);
    const float after = powf(fmaxf(x, 1.0F), (float)o->power) * (float)o->initial;
    const float pre = (float)o->pre_offset;
    return fminf(step > (float)o->offset ? after : pre, pre);
}

static float cosine_level(double from, double to, float x, int64_t n_steps) {
    const float angle = pi_f32 * x / (float)n_steps;
    return (float)(from - to) * (cosf(angle) + 1.0F) / 2.0F + (float)to;
}

/* The first level counts from 0, not from boundaries[0]; the last has no length, and its rate is
 * not a number: Model Garden's own arithmetic. learning_rate_init refuses runs that get there. */
static float rate_step_cosine(const schedule_options *o, float step) {
    const float x = shifted(o, step);
    size_t      level = 0;
    for (size_t i = 1; i < o->n_values; i++) {
        if (x >= (float)o->boundaries[i]) {
            level = i;
        }
    }
    const bool    is_last = level + 1 == o->n_values;
    const int64_t length = is_last ? 0 : o->boundaries[level + 1] - o->boundaries[level];
    const float   start = level == 0 ? 0.0F : (float)o->boundaries[level];
    return cosine_level(o->values[level], is_last ? 0.0 : o->values[level + 1], x - start, length);
}

static float warmup_linear(const warmup_options *o, float step) {
    const float start = (float)o->start;
    return start + step / (float)o->steps * (o->target - start);
}

/* Step 0 counts as step 1, so that no update has the rate 0. */
static float warmup_polynomial(const warmup_options *o, float step) {
    const float done = fmaxf(step, 1.0F) / (float)o->steps;
    return o->target * powf(done, (float)o->power);
}

typedef enum rate_key_kind { KEY_F64, KEY_I64, KEY_STEPS, KEY_BOOL, KEY_LEVELS } rate_key_kind;

typedef struct rate_key {
    const char   *key;
    rate_key_kind kind;
    size_t        offset; /* in schedule_options; KEY_LEVELS: reads boundaries and values */
} rate_key;

#define RATE_F64(key, field)                                                                       \
    { key, KEY_F64, offsetof(schedule_options, field) }
#define RATE_I64(key, field)                                                                       \
    { key, KEY_I64, offsetof(schedule_options, field) }
#define RATE_BOOL(key, field)                                                                      \
    { key, KEY_BOOL, offsetof(schedule_options, field) }
#define RATE_STEPS(key)                                                                            \
    { key, KEY_STEPS, offsetof(schedule_options, steps) }
#define RATE_LEVELS                                                                                \
    { "boundaries", KEY_LEVELS, 0 }
#define RATE_INITIAL RATE_F64("initial_learning_rate", initial)

enum { MAX_RATE_KEYS = 6 };

typedef struct schedule_row {
    const char *type;
    schedule_fn fn;
    int32_t     extra_boundaries; /* n_values - n_boundaries that the formula wants */
    rate_key    keys[MAX_RATE_KEYS];
} schedule_row;

static const schedule_row schedule_rows[] = {
    {"constant", rate_constant, 0, {RATE_F64("learning_rate", initial)}},
    {"polynomial",
     rate_polynomial,
     0,
     {RATE_INITIAL, RATE_F64("end_learning_rate", end), RATE_F64("power", power),
      RATE_STEPS("decay_steps"), RATE_I64("offset", offset), RATE_BOOL("cycle", cycle)}},
    {"exponential",
     rate_exponential,
     0,
     {RATE_INITIAL, RATE_F64("decay_rate", decay_rate), RATE_STEPS("decay_steps"),
      RATE_I64("offset", offset), RATE_BOOL("staircase", staircase)}},
    {"cosine",
     rate_cosine,
     0,
     {RATE_INITIAL, RATE_F64("alpha", alpha), RATE_STEPS("decay_steps"),
      RATE_I64("offset", offset)}},
    {"stepwise", rate_stepwise, 1, {RATE_LEVELS, RATE_I64("offset", offset)}},
    {"power", rate_power, 0, {RATE_INITIAL, RATE_F64("power", power)}},
    {"power_linear",
     rate_power_linear,
     0,
     {RATE_INITIAL, RATE_F64("power", power), RATE_F64("linear_decay_fraction", fraction),
      RATE_STEPS("total_decay_steps"), RATE_I64("offset", offset)}},
    {"power_with_offset",
     rate_power_with_offset,
     0,
     {RATE_INITIAL, RATE_F64("power", power), RATE_F64("pre_offset_learning_rate", pre_offset),
      RATE_I64("offset", offset)}},
    {"step_cosine_with_offset", rate_step_cosine, 0, {RATE_LEVELS, RATE_I64("offset", offset)}},
};

typedef struct warmup_row {
    const char *type;
    warmup_fn   fn;
    const char *key; /* of its one number beside warmup_steps */
    size_t      offset;
} warmup_row;

static const warmup_row warmup_rows[] = {
    {"linear", warmup_linear, "warmup_learning_rate", offsetof(warmup_options, start)},
    {"polynomial", warmup_polynomial, "power", offsetof(warmup_options, power)},
};

static void make_path(char path[PATH_MAX_BYTES], const char *prefix, const char *key) {
    /* both are literals of this file, far shorter than the buffer */
    const size_t n = strlen(prefix);
    BT_ASSERT(n + strlen(key) + 4 <= PATH_MAX_BYTES);
    memcpy(path, prefix, n);
    memcpy(path + n, ".*.", 3);
    memcpy(path + n + 3, key, strlen(key) + 1);
}

/* Null means the length of the training (docs/deviations.md). */
static bt_status read_steps(const bt_conf *conf, const char *path, int64_t train_steps,
                            int64_t *out, bt_error *err) {
    bool is_null = false;
    BT_TRY(bt_conf_get_i64_or(conf, path, train_steps, out, &is_null, err));
    if (is_null && *out < 1) {
        *out = 1; /* nothing will be trained, but the rate at step 0 may still be asked for */
    }
    BT_ASSERT(*out >= 1);
    return BT_OK;
}

static bt_status read_levels(learning_rate *rate, const bt_conf *conf, int32_t extra_boundaries,
                             bt_error *err) {
    char boundaries_path[PATH_MAX_BYTES];
    char values_path[PATH_MAX_BYTES];
    make_path(boundaries_path, RATE_PREFIX, "boundaries");
    make_path(values_path, RATE_PREFIX, "values");
    bt_conf_i64_list boundaries = {0};
    bt_conf_f64_list values = {0};
    BT_TRY(bt_conf_get_i64_list(conf, boundaries_path, &boundaries, err));
    BT_TRY(bt_conf_get_f64_list(conf, values_path, &values, err));
    BT_ASSERT(boundaries.n >= 1 && values.n == boundaries.n + (size_t)extra_boundaries);
    rate->boundaries = bt_alloc_array(boundaries.n, sizeof *rate->boundaries);
    rate->values = bt_alloc_array(values.n, sizeof *rate->values);
    if (rate->boundaries == NULL || rate->values == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for %zu boundaries", boundaries.n);
    }
    memcpy(rate->boundaries, boundaries.items, boundaries.n * sizeof *rate->boundaries);
    memcpy(rate->values, values.items, values.n * sizeof *rate->values);
    rate->options.boundaries = rate->boundaries;
    rate->options.n_boundaries = boundaries.n;
    rate->options.values = rate->values;
    rate->options.n_values = values.n;
    return BT_OK;
}

static bt_status read_key(learning_rate *rate, const rate_key *key, int32_t extra_boundaries,
                          const bt_conf *conf, int64_t train_steps, bt_error *err) {
    char path[PATH_MAX_BYTES];
    make_path(path, RATE_PREFIX, key->key);
    char *const field = (char *)&rate->options + key->offset;
    bool        is_null = false;
    switch (key->kind) {
    case KEY_F64:
        return bt_conf_get_f64(conf, path, (double *)(void *)field, err);
    case KEY_I64:
        return bt_conf_get_i64(conf, path, (int64_t *)(void *)field, err);
    case KEY_STEPS:
        return read_steps(conf, path, train_steps, (int64_t *)(void *)field, err);
    case KEY_BOOL:
        is_null = bt_conf_is_null(conf, path);
        return is_null ? BT_OK : bt_conf_get_bool(conf, path, (bool *)(void *)field, err);
    case KEY_LEVELS:
        return read_levels(rate, conf, extra_boundaries, err);
    }
    return BT_OK;
}

static bt_status check_step_cosine(const schedule_options *o, int64_t train_steps, bt_error *err) {
    const int64_t last = o->boundaries[o->n_boundaries - 1];
    if (train_steps > 0 && (o->n_boundaries == 1 || train_steps - o->offset > last)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       RATE_PREFIX ".step_cosine_with_offset: the rate is not a number from the "
                                   "last boundary (%" PRId64 ") on, but training runs to step "
                                   "%" PRId64 "; append a boundary beyond the end",
                       last, train_steps);
    }
    return BT_OK;
}

static bt_status read_base(learning_rate *rate, const bt_conf *conf, int64_t train_steps,
                           bt_error *err) {
    const char *const type = bt_conf_type_of_oneof(conf, RATE_PREFIX);
    for (size_t i = 0; i < BT_ARRAY_LEN(schedule_rows); i++) {
        const schedule_row *const row = &schedule_rows[i];
        if (!bt_str_equal(row->type, type)) {
            continue;
        }
        rate->base = row->fn;
        rate->is_plain = row->fn == rate_constant;
        for (size_t k = 0; k < MAX_RATE_KEYS && row->keys[k].key != NULL; k++) {
            BT_TRY(read_key(rate, &row->keys[k], row->extra_boundaries, conf, train_steps, err));
        }
        return row->fn == rate_step_cosine ? check_step_cosine(&rate->options, train_steps, err)
                                           : BT_OK;
    }
    return BT_FAIL(err, BT_E_UNSUPPORTED, RATE_PREFIX ".type: no schedule of the name '%s'",
                   type == NULL ? "null" : type);
}

static bt_status read_warmup(learning_rate *rate, const bt_conf *conf, int64_t derived_steps,
                             bt_error *err) {
    const char *const type = bt_conf_type_of_oneof(conf, WARMUP_PREFIX);
    if (type == NULL) {
        return BT_OK;
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(warmup_rows); i++) {
        const warmup_row *const row = &warmup_rows[i];
        if (strcmp(row->type, type) != 0) {
            continue;
        }
        warmup_options *const o = &rate->warmup_options;
        char                  path[PATH_MAX_BYTES];
        bool                  is_null = false;
        make_path(path, WARMUP_PREFIX, "warmup_steps");
        BT_TRY(bt_conf_get_i64_or(conf, path, derived_steps, &o->steps, &is_null, err));
        make_path(path, WARMUP_PREFIX, row->key);
        BT_TRY(bt_conf_get_f64(conf, path, (double *)(void *)((char *)o + row->offset), err));
        o->target = rate->base(&rate->options, (float)o->steps);
        rate->warmup = row->fn;
        rate->is_plain = false;
        return BT_OK;
    }
    return BT_FAIL(err, BT_E_UNSUPPORTED, WARMUP_PREFIX ".type: no warm-up of the name '%s'", type);
}

bt_status learning_rate_init(learning_rate *rate, const bt_conf *conf,
                             const bt_optim_derived *derived, bt_error *err) {
    *rate = (learning_rate){0};
    BT_TRY(read_base(rate, conf, derived->train_steps, err));
    return read_warmup(rate, conf, derived->warmup_steps, err);
}

void learning_rate_deinit(learning_rate *rate) {
    bt_free(rate->values);
    bt_free(rate->boundaries);
    *rate = (learning_rate){0};
}

float learning_rate_at(const learning_rate *rate, int64_t step) {
    const float x = (float)step;
    if (rate->warmup != NULL && x < (float)rate->warmup_options.steps) {
        return rate->warmup(&rate->warmup_options, x);
    }
    return rate->base(&rate->options, x);
}
