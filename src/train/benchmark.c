/* SPDX-License-Identifier: Apache-2.0
 *
 * --benchmark: the steps of a training run with their cost broken down by phase. The run is built
 * by the functions that build every run; what differs is that nothing is kept, written or restored.
 */
#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/memory.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "bt/exec.h"

enum { WARM_UP = 3, DEFAULT_STEPS = 20, MAX_SKIPPED = 64 };

/* When the number of steps is not given, no step begins after that many seconds of measuring. */
static const double default_seconds = 10;

/* Of one step, or the sums over several. */
typedef struct sample {
    double  phase[BT_TRAIN_N_PHASES];
    double  seconds;
    double  make_batch;
    double  gflop;
    int64_t n_examples, n_tokens;
} sample;

const char *bt_train_phase_name(bt_train_phase phase) {
    switch (phase) {
    case BT_PHASE_INPUT:
        return "input";
    case BT_PHASE_PRODUCTS:
        return "products";
    case BT_PHASE_ATTENTION:
        return "attention";
    case BT_PHASE_OTHER_KERNELS:
        return "other_kernels";
    case BT_PHASE_OPTIMIZER:
        return "optimizer";
    case BT_PHASE_REST:
        return "rest";
    }
    return "rest";
}

static void take_apart(const bt_exec_times *times, sample *out) {
    double known = out->phase[BT_PHASE_INPUT];
    out->phase[BT_PHASE_PRODUCTS] = times->products;
    out->phase[BT_PHASE_ATTENTION] = times->attention;
    out->phase[BT_PHASE_OTHER_KERNELS] =
        times->forward + times->backward - times->products - times->attention;
    out->phase[BT_PHASE_OPTIMIZER] = times->optimizer;
    known += times->forward + times->backward + times->optimizer;
    out->phase[BT_PHASE_REST] = out->seconds - known;
    out->gflop = times->product_flops * 1e-9;
}

/* What a step of the training loop does. *end: there are no more rows, and there was no step. */
static bt_status one_step(train_run *run, sample *out, bool *is_skipped, bool *end, bt_error *err) {
    const bt_batch *batch = NULL;
    bt_step_result  result = {0};
    const double    made_before = bt_data_make_seconds(run->train_data);
    const double    start = bt_time_monotonic();
    *out = (sample){.seconds = 0};
    BT_TRY(bt_data_next_batch(run->train_data, &batch, end, err));
    if (*end) {
        return BT_OK;
    }
    out->phase[BT_PHASE_INPUT] = bt_time_monotonic() - start;
    BT_TRY(bt_exec_train_step(run->exec, batch, run->step, run->config.seed, &result, err));
    if (result.n_nonfinite > 0 && !result.is_skipped) {
        return BT_FAIL(err, BT_E_DIVERGED,
                       "--benchmark: step %" PRId64
                       ": loss %g, gradient norm %g: not a finite number, so the step was not "
                       "finished and its time tells nothing; try a smaller learning rate, or look "
                       "at the rows with --mode=train",
                       run->step, result.loss, result.grad_norm);
    }
    BT_TRY(bt_metrics_update(run->train_metrics, batch, result.logits, err));
    run->step++;
    out->seconds = bt_time_monotonic() - start;
    out->make_batch = bt_data_make_seconds(run->train_data) - made_before;
    out->n_examples = batch->n_rows;
    out->n_tokens = batch->n_tokens;
    take_apart(&result.times, out);
    *is_skipped = result.is_skipped;
    return BT_OK;
}

static void add_sample(sample *sums, const sample *s) {
    for (int i = 0; i < BT_TRAIN_N_PHASES; i++) {
        sums->phase[i] += s->phase[i];
    }
    sums->seconds += s->seconds;
    sums->make_batch += s->make_batch;
    sums->gflop += s->gflop;
    sums->n_examples += s->n_examples;
    sums->n_tokens += s->n_tokens;
}

static bt_status check_skipped(int64_t n_skipped, bt_error *err) {
    if (n_skipped > MAX_SKIPPED) {
        return BT_FAIL(err, BT_E_DIVERGED,
                       "--benchmark: float16 overflowed in %" PRId64
                       " steps, none of which made an update: try runtime.loss_scale, or "
                       "runtime.mixed_precision_dtype=bfloat16",
                       n_skipped);
    }
    return BT_OK;
}

static bt_status fail_stopped(int64_t n_steps, bt_error *err) {
    return BT_FAIL(err, BT_E_INTERRUPTED,
                   "--benchmark: stopped by %s after %" PRId64 " measured steps",
                   bt_stop_signal_name(), n_steps);
}

/* Too few rows for all the steps: what there was counts, if there was any. */
static bt_status end_of_rows(const bt_train_benchmark *out, int64_t wanted, bt_error *err) {
    static const char *const advice =
        "task.train_data.is_training is false, so the rows are not repeated; set it to true";
    if (out->n_steps == 0) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "--benchmark: the training data ended within the %d steps to warm up: %s",
                       WARM_UP, advice);
    }
    bt_log(BT_LOG_WARNING,
           "the training data ended after %" PRId64 " of %" PRId64 " measured steps: %s",
           out->n_steps, wanted, advice);
    return BT_OK;
}

static bt_status measure_steps(train_run *run, int64_t n_steps, bt_train_benchmark *out,
                               sample *sums, bt_error *err) {
    const int64_t wanted = n_steps > 0 ? n_steps : DEFAULT_STEPS;
    const double  limit = n_steps > 0 ? (double)INFINITY : default_seconds;
    out->n_warm_up = WARM_UP;
    out->fastest_step = (double)INFINITY;
    uint64_t heap_calls = bt_alloc_count();
    (void)bt_stop_say("after this step");
    while (out->n_steps < wanted && sums->seconds < limit) {
        sample s;
        bool   is_skipped = false;
        bool   end = false;
        if (bt_stop_requested()) {
            return fail_stopped(out->n_steps, err);
        }
        BT_TRY(one_step(run, &s, &is_skipped, &end, err));
        if (end) {
            return end_of_rows(out, wanted, err);
        }
        if (is_skipped) { /* it has no optimizer */
            out->n_skipped++;
            BT_TRY(check_skipped(out->n_skipped, err));
        } else if (run->step - out->n_skipped <= WARM_UP) {
            heap_calls = bt_alloc_count();
        } else {
            out->n_steps++;
            out->fastest_step = fmin(out->fastest_step, s.seconds);
            add_sample(sums, &s);
            out->heap_calls = (int64_t)(bt_alloc_count() - heap_calls);
        }
    }
    return BT_OK;
}

static void set_means(bt_train_benchmark *out, const sample *sums) {
    const double n = (double)out->n_steps;
    for (int i = 0; i < BT_TRAIN_N_PHASES; i++) {
        out->phase[i] = sums->phase[i] / n;
    }
    out->step = sums->seconds / n;
    out->make_batch = sums->make_batch / n;
    out->products_gflop = sums->gflop / n;
    out->examples_per_second = (double)sums->n_examples / sums->seconds;
    out->tokens_per_second = (double)sums->n_tokens / sums->seconds;
}

static const char *precision_name(bt_precision precision) {
    switch (precision) {
    case BT_PRECISION_F32:
        return "float32";
    case BT_PRECISION_BF16:
        return "bfloat16";
    case BT_PRECISION_F16:
        return "float16";
    }
    return "float32";
}

static bt_status measure_peaks(bt_exec *exec, bt_precision precision, bt_train_benchmark *out,
                               bt_error *err) {
    double       best = 0;
    bt_exec_peak peaks[BT_EXEC_MAX_PEAKS];
    bt_error     no_blas = BT_ERROR_INIT;
    BT_TRY(bt_exec_measure_peaks(exec, peaks, &out->n_peaks, &no_blas, err));
    if (no_blas.code != BT_OK) {
        bt_log(BT_LOG_WARNING, "--benchmark: the peak of a BLAS is left out: %s", no_blas.msg);
    }
    for (size_t i = 0; i < out->n_peaks; i++) {
        bt_train_peak *const peak = &out->peaks[i];
        (void)snprintf(peak->kernels, sizeof peak->kernels, "%s", peaks[i].kernels);
        peak->precision = precision_name(peaks[i].precision);
        peak->gflops = peaks[i].flops_per_second * 1e-9;
        if (peaks[i].precision == precision && peak->gflops > best) {
            best = peak->gflops;
            out->yardstick = i;
        }
    }
    return BT_OK;
}

static bt_status benchmark(train_run *run, int64_t n_steps, bt_train_benchmark *out,
                           bt_error *err) {
    sample sums = {.seconds = 0};
    BT_TRY(run_check(run, err));
    (void)snprintf(out->engine, sizeof out->engine, "%s", bt_exec_describe(run->exec));
    BT_TRY(start_fresh(run, err));
    BT_TRY(measure_steps(run, n_steps, out, &sums, err));
    set_means(out, &sums);
    out->engine_bytes = (int64_t)bt_exec_memory_bytes(run->exec);
    out->peak_resident_bytes = bt_peak_resident_bytes();
    bt_log(BT_LOG_INFO, "%" PRId64 " steps measured; now the machine's peak", out->n_steps);
    return measure_peaks(run->exec, run_config_precision(&run->config), out, err);
}

bt_status bt_train_run_benchmark(const bt_train_args *args, int64_t n_steps,
                                 bt_train_benchmark *out, bt_error *err) {
    bt_train_summary summary = {0};
    bt_train_args    here = *args;
    train_run        run = run_begin(&here, FOR_BENCHMARK, &summary);
    BT_TRY(ranks_check_alone(args, "--benchmark", err));
    if (args->mode != BT_CONF_MODE_TRAIN) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "--benchmark measures the steps of a training: use --mode=train (or leave "
                       "--mode out), not --mode=%s",
                       bt_conf_mode_name(args->mode));
    }
    *out = (bt_train_benchmark){.n_steps = 0};
    here.model_dir = NULL; /* nothing there can be read or written by mistake */
    here.saves_beside = false;
    const bt_status rc = benchmark(&run, n_steps, out, err);
    run_deinit(&run);
    return rc;
}
