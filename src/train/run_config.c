/* SPDX-License-Identifier: Apache-2.0
 *
 * The trainer's keys as a typed struct, and the steps that are derived from the size of the data
 * (docs/deviations.md): train_steps from epochs, warmup_steps from warmup_fraction. */
#include "run_config.h"

#include <inttypes.h>
#include <math.h>

#include "bt/base/log.h"
#include "bt/base/size.h"

/* Fixed, so that the same command in two empty folders gives the same bits. */
static const uint64_t default_seed = 20181011; /* the day BERT's paper appeared */

static const bt_conf_field trainer_fields[] = {
    {"train_steps", BT_CONF_FIELD_OPT_I64, offsetof(run_config, train_steps_key)},
    {"steps_per_loop", BT_CONF_FIELD_I64, offsetof(run_config, steps_per_loop)},
    {"checkpoint_interval", BT_CONF_FIELD_OPT_I64, offsetof(run_config, checkpoint_interval)},
    {"max_to_keep", BT_CONF_FIELD_OPT_I64, offsetof(run_config, max_to_keep)},
    {"validation_interval", BT_CONF_FIELD_OPT_I64, offsetof(run_config, validation_interval)},
    {"validation_steps", BT_CONF_FIELD_I64, offsetof(run_config, validation_steps)},
    {"validation_summary_subdir", BT_CONF_FIELD_STR,
     offsetof(run_config, validation_summary_subdir)},
    {"best_checkpoint_export_subdir", BT_CONF_FIELD_STR, offsetof(run_config, best_subdir)},
    {"best_checkpoint_eval_metric", BT_CONF_FIELD_STR, offsetof(run_config, best_metric)},
    {"best_checkpoint_metric_comp", BT_CONF_FIELD_STR, offsetof(run_config, best_comparison)},
    {"continuous_eval_timeout", BT_CONF_FIELD_OPT_F64,
     offsetof(run_config, continuous_eval_timeout)},
    {"early_stopping_patience", BT_CONF_FIELD_I64, offsetof(run_config, early_stopping_patience)},
    {"gradient_accumulation_steps", BT_CONF_FIELD_I64, offsetof(run_config, accumulation_steps)},
    {"loss_upper_bound", BT_CONF_FIELD_F64, offsetof(run_config, loss_upper_bound)},
    {"checkpoint_retry", BT_CONF_FIELD_I64, offsetof(run_config, checkpoint_retry)},
    {"recovery_begin_steps", BT_CONF_FIELD_I64, offsetof(run_config, recovery_begin_steps)},
    {"recovery_max_trials", BT_CONF_FIELD_I64, offsetof(run_config, recovery_max_trials)},
    {"summary_extras", BT_CONF_FIELD_BOOL, offsetof(run_config, summary_extras)},
    {"warmup_fraction", BT_CONF_FIELD_F64, offsetof(run_config, warmup_fraction)},
    {"report", BT_CONF_FIELD_BOOL, offsetof(run_config, report)},
    {"report_examples", BT_CONF_FIELD_I64, offsetof(run_config, report_examples)},
};

static const bt_conf_field runtime_fields[] = {
    {"threads", BT_CONF_FIELD_I32, offsetof(run_config, threads)},
    {"pin", BT_CONF_FIELD_STR, offsetof(run_config, pin)},
    {"isa", BT_CONF_FIELD_STR, offsetof(run_config, isa)},
    {"matmul", BT_CONF_FIELD_STR, offsetof(run_config, matmul)},
    {"blas_library", BT_CONF_FIELD_STR, offsetof(run_config, blas_library)},
    {"gradient_wire", BT_CONF_FIELD_STR, offsetof(run_config, gradient_wire)},
    {"mixed_precision_dtype", BT_CONF_FIELD_STR, offsetof(run_config, mixed_precision)},
    {"precision", BT_CONF_FIELD_STR, offsetof(run_config, precision)},
    {"precision_compared", BT_CONF_FIELD_BOOL, offsetof(run_config, precision_compared)},
    {"attention", BT_CONF_FIELD_STR, offsetof(run_config, attention)},
    {"recompute", BT_CONF_FIELD_BOOL, offsetof(run_config, recompute)},
    {"bug_compatible", BT_CONF_FIELD_BOOL, offsetof(run_config, bug_compatible)},
};

/* An update reads accumulation_steps batches as one; the engine works on one of them at a time. */
static bt_status accumulate(run_config *config, bt_error *err) {
    int64_t *const n = &config->train_data.global_batch_size;
    const int64_t  part = *n;
    if (!bt_i64_mul(part, config->accumulation_steps, n)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "trainer.gradient_accumulation_steps: %" PRId64 " batches of %" PRId64
                       " are more than can be counted",
                       config->accumulation_steps, part);
    }
    if (config->accumulation_steps > 1) {
        bt_log(BT_LOG_INFO, "an update is %" PRId64 " examples: %" PRId64 " batches of %" PRId64,
               *n, config->accumulation_steps, part);
    }
    return BT_OK;
}

/* null, '' or 'dynamic': 0. */
static bt_status read_loss_scale(const bt_conf *conf, double *out, bt_error *err) {
    static const char *const path = "runtime.loss_scale";
    const char              *word = NULL;
    *out = 0;
    if (bt_conf_is_null(conf, path) || bt_conf_get_str(conf, path, &word, NULL) == BT_OK) {
        return BT_OK;
    }
    return bt_conf_get_f64(conf, path, out, err);
}

bt_status run_config_read(const bt_conf *conf, bt_conf_mode mode, bt_arena *arena, run_config *out,
                          bt_error *err) {
    *out = (run_config){0};
    BT_TRY(bt_conf_bind(conf, "trainer", trainer_fields, BT_ARRAY_LEN(trainer_fields), out, err));
    BT_TRY(bt_conf_bind(conf, "runtime", runtime_fields, BT_ARRAY_LEN(runtime_fields), out, err));
    BT_TRY(read_loss_scale(conf, &out->loss_scale, err));
    int64_t seed = 0;
    bool    is_null = true;
    BT_TRY(bt_conf_get_i64_or(conf, "task.train_data.seed", (int64_t)default_seed, &seed, &is_null,
                              err));
    out->seed = (uint64_t)seed;
    if (bt_conf_mode_trains(mode)) {
        BT_TRY(
            bt_data_config_read(conf, "task.train_data", out->seed, arena, &out->train_data, err));
        BT_TRY(accumulate(out, err));
    }
    if (bt_conf_mode_evaluates(mode)) {
        BT_TRY(bt_data_config_read(conf, "task.validation_data", out->seed, arena,
                                   &out->validation_data, err));
    }
    return BT_OK;
}

bt_precision run_config_precision(const run_config *config) {
    return bt_str_equal(config->mixed_precision, "bfloat16")  ? BT_PRECISION_BF16
           : bt_str_equal(config->mixed_precision, "float16") ? BT_PRECISION_F16
                                                              : BT_PRECISION_F32;
}

bt_attention run_config_attention(const run_config *config) {
    return bt_str_equal(config->attention, "triton")  ? BT_ATTENTION_TRITON
           : bt_str_equal(config->attention, "cudnn") ? BT_ATTENTION_CUDNN
           : bt_str_equal(config->attention, "xla")   ? BT_ATTENTION_XLA
                                                      : BT_ATTENTION_AUTO;
}

bool run_config_saves(const run_config *config) {
    return config->checkpoint_interval.is_set && config->checkpoint_interval.value > 0;
}

int64_t run_config_next_evaluation(const run_config *config, bt_conf_mode mode, int64_t step) {
    const bt_conf_opt_i64 interval = config->validation_interval;
    const int64_t         end = config->train_steps;
    if (mode != BT_CONF_MODE_TRAIN_AND_EVAL || !interval.is_set || interval.value <= 0) {
        return end;
    }
    const int64_t n_done = step / interval.value;
    return n_done >= end / interval.value ? end : (n_done + 1) * interval.value;
}

/* epochs * rows / batch, rounded up so that no row of the last epoch is left out. */
static bt_status steps_of_epochs(const bt_data_config *data, int64_t n_rows, int64_t *steps,
                                 bt_error *err) {
    int64_t n_examples = 0;
    if (!bt_i64_mul(data->epochs, n_rows, &n_examples) ||
        n_examples > INT64_MAX - data->global_batch_size) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "task.train_data.epochs: %" PRId64 " epochs of %" PRId64
                       " rows are more than can be counted",
                       data->epochs, n_rows);
    }
    *steps = (n_examples + data->global_batch_size - 1) / data->global_batch_size;
    return BT_OK;
}

bt_status run_config_derive(const bt_conf *conf, run_config *config, int64_t n_rows,
                            bt_error *err) {
    const bt_data_config *const data = &config->train_data;
    const bool                  trains = n_rows > 0; /* who does not is not told of its steps */
    config->train_steps = config->train_steps_key.is_set ? config->train_steps_key.value : 0;
    if (config->train_steps == 0 && data->epochs > 0) {
        BT_TRY(steps_of_epochs(data, n_rows, &config->train_steps, err));
        bt_log(BT_LOG_INFO,
               "trainer.train_steps: %" PRId64 " = %" PRId64 " epochs of %" PRId64
               " rows in batches of %" PRId64,
               config->train_steps, data->epochs, n_rows, data->global_batch_size);
    }
    const char *const warmup = bt_conf_type_of_oneof(conf, "trainer.optimizer_config.warmup");
    if (warmup != NULL && bt_conf_is_null(conf, "trainer.optimizer_config.warmup.*.warmup_steps")) {
        config->warmup_steps =
            (int64_t)floor((double)config->train_steps * config->warmup_fraction);
        bt_log(trains ? BT_LOG_INFO : BT_LOG_DEBUG,
               "warmup_steps: %" PRId64 " = trainer.warmup_fraction %g of %" PRId64 " steps",
               config->warmup_steps, config->warmup_fraction, config->train_steps);
    }
    const char *const rate = bt_conf_type_of_oneof(conf, "trainer.optimizer_config.learning_rate");
    if (rate != NULL && bt_conf_has(conf, "trainer.optimizer_config.learning_rate.*.decay_steps") &&
        bt_conf_is_null(conf, "trainer.optimizer_config.learning_rate.*.decay_steps")) {
        bt_log(trains ? BT_LOG_INFO : BT_LOG_DEBUG,
               "decay_steps: %" PRId64 " = trainer.train_steps", config->train_steps);
    }
    return BT_OK;
}

static bt_status adopt_steps(bt_conf *conf, const char *key, int64_t steps, bt_error *err) {
    const bt_conf_fact fact = {.kind = BT_CONF_FACT_I64, .u.i = steps};
    bool               adopted = false;
    return bt_conf_adopt(conf, key, &fact, "the rows of an epoch", &adopted, err);
}

static void warn_of_swapped(int64_t n_rows, int64_t n) {
    if (n > n_rows) {
        bt_log(BT_LOG_WARNING,
               "task.train_data has %" PRId64 " rows, task.validation_data %" PRId64
               ": more rows are evaluated than trained on; are --train and --eval swapped?",
               n_rows, n);
    }
}

bt_status run_config_fit_epoch(const bt_train_args *args, run_config *config, int64_t n_rows,
                               int64_t n_evaluated, bt_error *err) {
    static const char loop[] = "trainer.steps_per_loop";
    static const char summary[] = "trainer.summary_interval";
    static const char validation[] = "trainer.validation_interval";
    static const char checkpoint[] = "trainer.checkpoint_interval";
    bt_conf *const    conf = args->conf;
    const int64_t     batch = config->train_data.global_batch_size;
    if (!args->once_an_epoch || n_rows < 1 || batch < 1) {
        return BT_OK;
    }
    warn_of_swapped(n_rows, n_evaluated);
    const int64_t steps = (n_rows - 1) / batch + 1;
    BT_TRY(adopt_steps(conf, validation, steps, err));
    BT_TRY(adopt_steps(conf, checkpoint, steps, err));
    /* one is a multiple of the other */
    if (!bt_conf_is_written(conf, loop) && !bt_conf_is_written(conf, summary)) {
        BT_TRY(adopt_steps(conf, loop, steps < 100 ? steps : 100, err));
        BT_TRY(adopt_steps(conf, summary, steps < 100 ? steps : 100, err));
    }
    bt_log(BT_LOG_INFO,
           "an epoch is %" PRId64 " steps of %" PRId64
           " rows: it is evaluated and saved that often, unless set otherwise",
           steps, batch);
    return bt_conf_bind(conf, "trainer", trainer_fields, BT_ARRAY_LEN(trainer_fields), config, err);
}
