/* SPDX-License-Identifier: Apache-2.0
 *
 * Our own state in a checkpoint, beside the variables (docs/formats.md): a u32 magic, then 64 bits
 * a row of the table below, which writes and reads them; after them the training metrics. */
#include "run_state.h"

#include <math.h>
#include <string.h>

#include "bt/base/crc32c.h"

/* "BTS5"; the last byte is the version. */
static const uint32_t state_magic = UINT32_C(0x42545335);
enum { VERSION = 5, OLDEST_VERSION = 3 };

typedef enum state_kind {
    WORD,
    FLAG,         /* a bool */
    COUNT,        /* int64_t, 0 to max_count */
    STEP_OR_NONE, /* likewise, or -1 */
    NUMBER,       /* a double */
} state_kind;

typedef struct state_row {
    size_t     offset; /* in run_state */
    state_kind kind;
    int        since; /* the first version that has it */
} state_row;

#define AT(member) offsetof(run_state, member)

/* In the order of the bytes. A new row needs a new VERSION; the numbers stay last. */
static const state_row rows[] = {
    {AT(seed), WORD, 3},
    {AT(cursor.epoch), WORD, 3},
    {AT(cursor.index), WORD, 3},
    {AT(cursor.n_skipped), WORD, 3},
    {AT(course.evaluation_due), FLAG, 3},
    {AT(course.chunk.start_step), COUNT, 3},
    {AT(course.chunk.n_steps), COUNT, 3},
    {AT(course.chunk.n_examples), COUNT, 3},
    {AT(course.chunk.n_tokens), COUNT, 3},
    {AT(course.chunk.n_padded), COUNT, 3},
    {AT(course.chunk.n_skipped), COUNT, 3},
    {AT(precision), WORD, 3},
    {AT(scale.n_good), COUNT, 3},
    {AT(course.early_stop.has_best), FLAG, 3},
    {AT(course.early_stop.n_worse), COUNT, 3},
    {AT(course.save_base), STEP_OR_NONE, 4},
    {AT(best_rule), WORD, 4},
    {AT(vocabulary), WORD, 4},
    {AT(n_rows), COUNT, 4},
    {AT(course.recovery_trials), COUNT, 5},
    {AT(content), WORD, 5},
    {AT(scale.factor), NUMBER, 3},
    {AT(course.chunk.loss), NUMBER, 3},
    {AT(course.chunk.grad_norm), NUMBER, 3},
    {AT(course.chunk.seconds), NUMBER, 3},
    {AT(course.early_stop.best), NUMBER, 3},
};

/* More than any run counts or makes steps: what is added to it later cannot overflow. */
static const uint64_t max_count = UINT64_C(1) << 53;

uint64_t run_state_best_rule(const char *metric, const char *comparison) {
    const uint32_t crc = bt_crc32c(0, metric, strlen(metric) + 1);
    return (UINT64_C(1) << 32) | bt_crc32c(crc, comparison, strlen(comparison));
}

/* -1 is all bits. */
static uint64_t bits_of(const run_state *state, const state_row *row) {
    const void *const member = (const char *)state + row->offset;
    uint64_t          bits = 0;
    if (row->kind == FLAG) {
        bits = *(const bool *)member;
    } else {
        memcpy(&bits, member, sizeof bits);
    }
    return bits;
}

/* false: no value of that kind. */
static bool put_bits(run_state *state, const state_row *row, uint64_t bits) {
    void *const member = (char *)state + row->offset;
    const bool  is_none = row->kind == STEP_OR_NONE && bits == UINT64_MAX;
    if ((row->kind == COUNT || row->kind == STEP_OR_NONE) && bits > max_count && !is_none) {
        return false;
    }
    if (row->kind == FLAG) {
        *(bool *)member = bits != 0;
    } else {
        memcpy(member, &bits, sizeof bits);
    }
    return true;
}

bt_status run_state_write(const run_state *state, bt_str *bytes, bt_error *err) {
    uint8_t raw[8];
    bt_store_u32le(raw, state_magic);
    BT_TRY(bt_str_append_n(bytes, raw, sizeof state_magic, err));
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_store_u64le(raw, bits_of(state, &rows[i]));
        BT_TRY(bt_str_append_n(bytes, raw, sizeof raw, err));
    }
    return BT_OK;
}

bool run_state_read(bt_reader *bytes, run_state *state) {
    uint32_t magic = 0;
    *state = (run_state){.course = {.save_base = -1}};
    if (!bt_read_u32le(bytes, &magic) || magic > state_magic ||
        magic < state_magic - (VERSION - OLDEST_VERSION)) {
        return false;
    }
    const int version = VERSION - (int)(state_magic - magic);
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        uint64_t bits = 0;
        if (rows[i].since <= version &&
            (!bt_read_u64le(bytes, &bits) || !put_bits(state, &rows[i], bits))) {
            return false;
        }
    }
    return state->precision <= BT_PRECISION_F16 && state->scale.factor > 0 &&
           isfinite(state->scale.factor);
}
