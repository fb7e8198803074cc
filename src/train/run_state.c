/* SPDX-License-Identifier: Apache-2.0
 *
 * Our own state in a checkpoint, beside the variables (docs/formats.md): a u32 magic, u64 words and
 * doubles in the order of the functions below, then the training metrics. */
#include <math.h>
#include <string.h>

#include "bt/base/crc32c.h"
#include "run.h"

/* "BTS5"; BTS4 lacks the newest words, BTS3 those before them as well */
static const uint32_t state_magic = UINT32_C(0x42545335);
static const uint32_t bts4_magic = UINT32_C(0x42545334);
static const uint32_t bts3_magic = UINT32_C(0x42545333);

static bt_status put_u64(bt_str *bytes, uint64_t value, bt_error *err) {
    uint8_t raw[8];
    bt_store_u64le(raw, value);
    return bt_str_append_n(bytes, raw, sizeof raw, err);
}

static bt_status put_f64(bt_str *bytes, double value, bt_error *err) {
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    return put_u64(bytes, bits, err);
}

static bool get_f64(bt_reader *bytes, double *value) {
    uint64_t bits = 0;
    if (!bt_read_u64le(bytes, &bits)) {
        return false;
    }
    memcpy(value, &bits, sizeof bits);
    return true;
}

/* More than any run counts or makes steps: what is added to it later cannot overflow. */
static const uint64_t max_count = UINT64_C(1) << 53;

static bool get_count(bt_reader *bytes, int64_t *value) {
    uint64_t bits = 0;
    if (!bt_read_u64le(bytes, &bits) || bits > max_count) {
        return false;
    }
    *value = (int64_t)bits;
    return true;
}

static bool get_bool(bt_reader *bytes, bool *value) {
    uint64_t   bits = 0;
    const bool is_there = bt_read_u64le(bytes, &bits);
    *value = bits != 0;
    return is_there;
}

uint64_t run_best_rule(const train_run *run) {
    const char *const metric = run->config.best_metric;
    const char *const comparison = run->config.best_comparison;
    const uint32_t    crc = bt_crc32c(0, metric, strlen(metric) + 1);
    return (UINT64_C(1) << 32) | bt_crc32c(crc, comparison, strlen(comparison));
}

static bt_status write_words(const train_run *run, bt_str *bytes, bt_error *err) {
    const bt_data_cursor cursor = bt_data_get_cursor(run->train_data);
    const chunk_sums    *c = &run->chunk;
    const uint64_t       words[] = {run->config.seed,
                                    cursor.epoch,
                                    cursor.index,
                                    cursor.n_skipped,
                                    (uint64_t)run->evaluation_due,
                                    (uint64_t)c->start_step,
                                    (uint64_t)c->n_steps,
                                    (uint64_t)c->n_examples,
                                    (uint64_t)c->n_tokens,
                                    (uint64_t)c->n_padded,
                                    (uint64_t)c->n_skipped,
                                    (uint64_t)run_config_precision(&run->config),
                                    (uint64_t)bt_exec_get_loss_scale(run->exec).n_good,
                                    (uint64_t)run->early_stop.has_best,
                                    (uint64_t)run->early_stop.n_worse,
                                    (uint64_t)run->save_base,
                                    run_best_rule(run),
                                    run->vocabulary,
                                    (uint64_t)bt_data_n_rows(run->train_data),
                                    (uint64_t)run->recovery_trials,
                                    bt_data_content(run->train_data)};
    for (size_t i = 0; i < BT_ARRAY_LEN(words); i++) {
        BT_TRY(put_u64(bytes, words[i], err));
    }
    return BT_OK;
}

bt_status run_state_write(const train_run *run, bt_str *bytes, bt_error *err) {
    uint8_t magic[4];
    bt_store_u32le(magic, state_magic);
    BT_TRY(bt_str_append_n(bytes, magic, sizeof magic, err));
    BT_TRY(write_words(run, bytes, err));
    BT_TRY(put_f64(bytes, bt_exec_get_loss_scale(run->exec).factor, err));
    BT_TRY(put_f64(bytes, run->chunk.loss, err));
    BT_TRY(put_f64(bytes, run->chunk.grad_norm, err));
    BT_TRY(put_f64(bytes, run->chunk.seconds, err));
    BT_TRY(put_f64(bytes, run->early_stop.best, err));
    return bt_metrics_save(run->train_metrics, bytes, err);
}

/* -1 until the first save that is due: a stop may come before it. */
static bool get_save_base(bt_reader *bytes, int64_t *value) {
    uint64_t bits = 0;
    if (!bt_read_u64le(bytes, &bits) || (bits > max_count && bits != UINT64_MAX)) {
        return false;
    }
    *value = bits == UINT64_MAX ? -1 : (int64_t)bits;
    return true;
}

/* The words that older forms lack. */
static bool read_new_words(bt_reader *bytes, uint32_t magic, run_state *state) {
    if (magic == bts3_magic) {
        return true;
    }
    return get_save_base(bytes, &state->save_base) && bt_read_u64le(bytes, &state->best_rule) &&
           bt_read_u64le(bytes, &state->vocabulary) && get_count(bytes, &state->n_rows) &&
           (magic == bts4_magic ||
            (get_count(bytes, &state->recovery_trials) && bt_read_u64le(bytes, &state->content)));
}

bool run_state_read(bt_reader *bytes, run_state *state) {
    uint32_t magic = 0;
    *state = (run_state){.save_base = -1};
    chunk_sums *const c = &state->chunk;
    const bool        has_words =
        bt_read_u32le(bytes, &magic) &&
        (magic == state_magic || magic == bts4_magic || magic == bts3_magic) &&
        bt_read_u64le(bytes, &state->seed) && bt_read_u64le(bytes, &state->cursor.epoch) &&
        bt_read_u64le(bytes, &state->cursor.index) &&
        bt_read_u64le(bytes, &state->cursor.n_skipped) && get_bool(bytes, &state->evaluation_due) &&
        get_count(bytes, &c->start_step) && get_count(bytes, &c->n_steps) &&
        get_count(bytes, &c->n_examples) && get_count(bytes, &c->n_tokens) &&
        get_count(bytes, &c->n_padded) && get_count(bytes, &c->n_skipped) &&
        bt_read_u64le(bytes, &state->precision) && get_count(bytes, &state->scale.n_good) &&
        get_bool(bytes, &state->early_stop.has_best) &&
        get_count(bytes, &state->early_stop.n_worse);
    return has_words && read_new_words(bytes, magic, state) &&
           get_f64(bytes, &state->scale.factor) && get_f64(bytes, &c->loss) &&
           get_f64(bytes, &c->grad_norm) && get_f64(bytes, &c->seconds) &&
           get_f64(bytes, &state->early_stop.best) && state->precision <= BT_PRECISION_F16 &&
           state->scale.factor > 0 && isfinite(state->scale.factor);
}
