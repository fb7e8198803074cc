/* SPDX-License-Identifier: Apache-2.0
 *
 * --benchmark: its flags, and its result as a table for people or as JSON for programs. */
#include <inttypes.h>

#include "bert_train.h"
#include "bt/base/json_text.h"
#include "bt/base/log.h"

static const double mib = 0x1p20;

static bt_status check_steps(const bt_flags *flags, bt_error *err) {
    if (!bt_flags_is_set(flags, "benchmark_steps")) {
        return BT_OK;
    }
    const int64_t n = bt_flags_int(flags, "benchmark_steps");
    if (!bt_flags_bool(flags, "benchmark")) {
        return BT_FAIL(err, BT_E_CONFIG, "--benchmark_steps=%" PRId64 " is for --benchmark", n);
    }
    if (n < 1) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--benchmark_steps=%" PRId64 ": expected at least 1 step to measure", n);
    }
    return BT_OK;
}

bt_status check_benchmark_flags(const bt_flags *flags, const char *mode, bt_error *err) {
    BT_TRY(check_steps(flags, err));
    if (!bt_flags_bool(flags, "benchmark")) {
        return BT_OK;
    }
    if (mode != NULL && !bt_str_equal(mode, "train")) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--benchmark measures the steps of a training: use --mode=train (or leave "
                       "--mode out), not --mode=%s",
                       mode);
    }
    if (bt_flags_bool(flags, "dry_run")) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--benchmark trains some steps and --dry_run none: give one of the two");
    }
    if (bt_flags_string(flags, "seeds") != NULL) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--benchmark measures one run: leave --seeds out (task.train_data.seed "
                       "chooses one)");
    }
    return BT_OK;
}

/* Of a is how much of b. */
static double share(double a, double b) {
    return b > 0 ? a / b : 0;
}

static double products_rate(const bt_train_benchmark *r) {
    return share(r->products_gflop, r->phase[BT_PHASE_PRODUCTS]);
}

static double step_share(const bt_train_benchmark *r) {
    return share(share(r->products_gflop, r->step), r->peaks[r->yardstick].gflops);
}

static double products_share(const bt_train_benchmark *r) {
    return share(products_rate(r), r->peaks[r->yardstick].gflops);
}

/* As the keys of JSON are called, but for the one whose key is older than its name. */
static const char *phase_title(bt_train_phase phase) {
    return phase == BT_PHASE_PRODUCTS ? "matmul" : bt_train_phase_name(phase);
}

static bt_status append_phases(const bt_train_benchmark *r, bt_str *out, bt_error *err) {
    BT_TRY(bt_str_appendf(out, err, "%-16s %12s %8s\n", "phase", "seconds/step", "share"));
    for (int i = 0; i < BT_TRAIN_N_PHASES; i++) {
        BT_TRY(bt_str_appendf(out, err, "%-16s %12.6f %7.1f%%\n", phase_title((bt_train_phase)i),
                              r->phase[i], 100 * share(r->phase[i], r->step)));
    }
    return bt_str_appendf(out, err, "%-16s %12.6f %7.1f%%\n\n", "step", r->step, 100.0);
}

static bt_status append_table(const bt_train_benchmark *r, bt_str *out, bt_error *err) {
    BT_TRY(append_phases(r, out, err));
    BT_TRY(bt_str_appendf(out, err,
                          "steps            %" PRId64 " measured after %" PRId64
                          " to warm up; the fastest took %.6f s\n",
                          r->n_steps, r->n_warm_up, r->fastest_step));
    if (r->n_skipped > 0) {
        BT_TRY(bt_str_appendf(out, err,
                              "skipped          %" PRId64 " steps more, whose float16 overflowed\n",
                              r->n_skipped));
    }
    BT_TRY(bt_str_appendf(out, err,
                          "making a batch   %.6f s, on a thread of its own\n"
                          "heap calls       %" PRId64 " in all measured steps\n"
                          "examples/s       %.1f\n"
                          "tokens/s         %.1f\n"
                          "matmul           %.1f GFLOP/s, %.3f GFLOP a step\n",
                          r->make_batch, r->heap_calls, r->examples_per_second,
                          r->tokens_per_second, products_rate(r), r->products_gflop));
    for (size_t i = 0; i < r->n_peaks; i++) {
        BT_TRY(bt_str_appendf(out, err, "peak%-12s %.1f GFLOP/s, %s: %s\n",
                              i == r->yardstick ? ", yardstick" : "", r->peaks[i].gflops,
                              r->peaks[i].precision, r->peaks[i].kernels));
    }
    return bt_str_appendf(out, err,
                          "share of peak    step %.1f%%, its matmul %.1f%%\n"
                          "memory           %.1f MiB resident at the peak, %.1f MiB of the engine\n"
                          "engine           %s\n",
                          100 * step_share(r), 100 * products_share(r),
                          (double)r->peak_resident_bytes / mib, (double)r->engine_bytes / mib,
                          r->engine);
}

static bt_status append_json_phases(const bt_train_benchmark *r, bt_str *out, bt_error *err) {
    BT_TRY(bt_str_append(out, "\"phases\": {", err));
    for (int i = 0; i < BT_TRAIN_N_PHASES; i++) {
        BT_TRY(bt_str_appendf(out, err, "%s\"%s\": {\"seconds\": %.9f, \"share\": %.6f}",
                              i > 0 ? ", " : "", bt_train_phase_name((bt_train_phase)i),
                              r->phase[i], share(r->phase[i], r->step)));
    }
    return bt_str_append(out, "}, ", err);
}

static bt_status append_json_peaks(const bt_train_benchmark *r, bt_str *out, bt_error *err) {
    BT_TRY(bt_str_append(out, "\"peaks\": [", err));
    for (size_t i = 0; i < r->n_peaks; i++) {
        BT_TRY(bt_str_appendf(out, err, "%s{\"gflops\": %.3f, \"precision\": \"%s\", \"kernels\": ",
                              i > 0 ? ", " : "", r->peaks[i].gflops, r->peaks[i].precision));
        BT_TRY(bt_str_append_json(out, r->peaks[i].kernels, err));
        BT_TRY(bt_str_appendf(out, err, ", \"is_yardstick\": %s}",
                              i == r->yardstick ? "true" : "false"));
    }
    return bt_str_append(out, "], ", err);
}

static bt_status append_json(const bt_train_benchmark *r, bt_str *out, bt_error *err) {
    BT_TRY(bt_str_append(out, "{\"engine\": ", err));
    BT_TRY(bt_str_append_json(out, r->engine, err));
    BT_TRY(bt_str_append(out, ", ", err));
    BT_TRY(append_json_phases(r, out, err));
    BT_TRY(append_json_peaks(r, out, err));
    return bt_str_appendf(out, err,
                          "\"seconds_per_step\": %.9f, \"fastest_step\": %.9f, \"steps\": %" PRId64
                          ", \"warm_up_steps\": %" PRId64 ", \"skipped_steps\": %" PRId64
                          ", \"seconds_to_make_a_batch\": %.9f, \"heap_calls\": %" PRId64
                          ", \"examples_per_second\": %.3f, "
                          "\"tokens_per_second\": %.3f, \"products_gflops\": %.3f, "
                          "\"products_gflop_per_step\": %.6f, "
                          "\"step_share_of_peak\": %.6f, \"products_share_of_peak\": %.6f, "
                          "\"peak_resident_bytes\": %" PRId64 ", \"engine_bytes\": %" PRId64 "}\n",
                          r->step, r->fastest_step, r->n_steps, r->n_warm_up, r->n_skipped,
                          r->make_batch, r->heap_calls, r->examples_per_second,
                          r->tokens_per_second, products_rate(r), r->products_gflop, step_share(r),
                          products_share(r), r->peak_resident_bytes, r->engine_bytes);
}

bt_status run_benchmark(const bt_train_args *args, const bt_flags *flags, bt_error *err) {
    bt_status          rc = BT_OK;
    bt_str             text = BT_STR_INIT;
    bt_train_benchmark result;
    const bool         as_json = bt_str_equal(bt_flags_string(flags, "log_format"), "json");
    const bool         is_told = bt_flags_is_set(flags, "benchmark_steps");
    if (args->model_dir != NULL && args->model_dir[0] != '\0') {
        bt_log(BT_LOG_INFO, "--benchmark: --model_dir %s is neither read nor written",
               args->model_dir);
    }
    BT_CHECK(bt_train_run_benchmark(args, is_told ? bt_flags_int(flags, "benchmark_steps") : 0,
                                    &result, err));
    BT_CHECK(as_json ? append_json(&result, &text, err) : append_table(&result, &text, err));
    BT_CHECK(bt_cli_print(&text, BT_READER_NEEDS_ALL, err));
done:
    bt_str_deinit(&text);
    return rc;
}
