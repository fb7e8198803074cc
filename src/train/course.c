/* SPDX-License-Identifier: Apache-2.0
 *
 * Between a run and its state in a checkpoint (run_state.h): what of the run goes in, and how the
 * run goes on from it. */
#include "run.h"

#include <inttypes.h>

#include "bt/base/log.h"
#include "bt/ckpt.h"

static uint64_t best_rule(const run_config *config) {
    return run_state_best_rule(config->best_metric, config->best_comparison);
}

bt_status course_write(const train_run *run, bt_str *bytes, bt_error *err) {
    const run_state state = {.course = run->course,
                             .seed = run->config.seed,
                             .cursor = bt_data_get_cursor(run->train_data),
                             .precision = (uint64_t)run_config_precision(&run->config),
                             .scale = bt_exec_get_loss_scale(run->exec),
                             .best_rule = best_rule(&run->config),
                             .vocabulary = run->vocabulary,
                             .n_rows = bt_data_n_rows(run->train_data),
                             .content = bt_data_content(run->train_data)};
    BT_TRY(run_state_write(&state, bytes, err));
    return bt_metrics_save(run->train_metrics, bytes, err);
}

/* Where the data would be after `step` batches: what Model Garden's checkpoints do not hold. */
static bt_data_cursor cursor_of_step(const bt_data_stream *data, int64_t step, int64_t batch) {
    const uint64_t n_rows = (uint64_t)bt_data_n_rows(data);
    const uint64_t n_seen = (uint64_t)step * (uint64_t)batch;
    return (bt_data_cursor){.epoch = n_seen / n_rows, .index = n_seen % n_rows};
}

/* Another precision may well be meant: it is told, and float16 begins with a fresh scale. */
static void restore_precision(bt_exec *exec, bt_precision precision, const bt_ckpt *ckpt,
                              const run_state *state) {
    static const char *const names[] = {"float32", "bfloat16", "float16"};
    if (state->precision == (uint64_t)precision) {
        bt_exec_set_loss_scale(exec, state->scale);
        return;
    }
    bt_log(BT_LOG_WARNING, "%s was made with matrix products in %s, this run multiplies in %s",
           bt_ckpt_path(ckpt), names[state->precision], names[precision]);
}

/* Of another seed it is told how the run goes on; of other rows before (run_changes.c). */
static void tell_other_seed(uint64_t seed, const bt_ckpt *ckpt, const run_state *state) {
    if (state->seed != seed) {
        bt_log(BT_LOG_WARNING,
               "%s was made with seed %" PRIu64 ", this run has %" PRIu64
               ": order and dropout go on differently",
               bt_ckpt_path(ckpt), state->seed, seed);
    }
}

/* Of fewer rows than then, where --allow_changed took them: the next epoch begins. */
static bt_data_cursor place_in_data(const bt_data_stream *data, bt_data_cursor then) {
    const bt_data_cursor next_epoch = {.epoch = then.epoch + 1};
    return then.index > (uint64_t)bt_data_n_rows(data) ? next_epoch : then;
}

/* What belongs to the course of the run, whatever becomes of its data. */
static void restore_course(train_run *run, const run_state *state) {
    const bool same_metric = state->best_rule == 0 || state->best_rule == best_rule(&run->config);
    run->course.early_stop = same_metric ? state->course.early_stop : (early_stop){0};
    run->knows_best = same_metric && (state->best_rule != 0 || state->course.early_stop.has_best);
    run->course.evaluation_due = state->course.evaluation_due;
    /* the older form, which has no rule either, does not say; -1 of this one: no save was due yet
     */
    run->course.save_base = state->best_rule != 0 ? state->course.save_base : run->step;
    run->was_stopped = run->course.save_base != run->step;
}

/* The state and, into the run's, the training metrics. */
static bt_status parse_state(train_run *run, const char *prefix, const bt_str *bytes,
                             run_state *state, bt_error *err) {
    bt_reader reader = bt_reader_make(bytes->data, bytes->len);
    if (!run_state_read(&reader, state)) {
        return BT_FAIL(
            err, BT_E_FORMAT,
            "%s: the state of bert-train in it (%zu bytes) is of another version or damaged",
            prefix, bytes->len);
    }
    return bt_metrics_load(run->train_metrics, &reader, err);
}

bt_status course_check(train_run *run, const char *prefix, const bt_str *bytes, bt_error *err) {
    run_state ignored;
    return parse_state(run, prefix, bytes, &ignored, err);
}

bt_status course_restore(train_run *run, bt_ckpt *ckpt, bool keep_data, bt_error *err) {
    run->course.chunk = (chunk_sums){.start_step = run->step};
    run->course.save_base = run->step;
    bt_metrics_reset(run->train_metrics);
    bt_status rc = BT_OK;
    bt_str    bytes = BT_STR_INIT;
    bool      found = false;
    run_state state = {0};
    BT_CHECK(bt_ckpt_read_state(ckpt, &bytes, &found, err));
    if (!found) {
        if (!keep_data) {
            bt_log(BT_LOG_INFO,
                   "%s has no data position of bert-train: the data starts where %" PRId64
                   " batches end",
                   bt_ckpt_path(ckpt), run->step);
            BT_CHECK(bt_data_seek(run->train_data,
                                  cursor_of_step(run->train_data, run->step,
                                                 run->config.train_data.global_batch_size),
                                  err));
        }
        goto done;
    }
    BT_CHECK(parse_state(run, bt_ckpt_path(ckpt), &bytes, &state, err));
    restore_course(run, &state);
    if (keep_data) {
        bt_metrics_reset(run->train_metrics);
        goto done;
    }
    tell_other_seed(run->config.seed, ckpt, &state);
    restore_precision(run->exec, run_config_precision(&run->config), ckpt, &state);
    BT_CHECK(bt_data_seek(run->train_data, place_in_data(run->train_data, state.cursor), err));
    run->course.chunk = state.course.chunk;
    run->course.recovery_trials = state.course.recovery_trials;
done:
    bt_str_deinit(&bytes);
    return rc;
}

bt_status course_take(train_run *run, const uint8_t *bytes, size_t n_bytes, bt_error *err) {
    bt_reader reader = bt_reader_make(bytes, n_bytes);
    run_state state = {0};
    if (!run_state_read(&reader, &state)) {
        return BT_FAIL(err, BT_E_INTERNAL, "rank 0 sent a state that cannot be read");
    }
    BT_TRY(bt_metrics_load(run->train_metrics, &reader, err));
    restore_course(run, &state);
    bt_exec_set_loss_scale(run->exec, state.scale);
    run->course.chunk = state.course.chunk;
    run->course.recovery_trials = state.course.recovery_trials;
    return bt_data_seek(run->train_data, state.cursor, err);
}
