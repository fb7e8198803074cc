/* SPDX-License-Identifier: Apache-2.0
 *
 * Products in 8 bits (bt/kern/int8.h): the portable variant, which says what the others compute,
 * the panels of weights, and the table of the variants. */
#include "bt/kern/int8.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "bt/base/str.h"
#include "kern_int8_row.h"
#include "kern_internal.h"

enum { REF_ROWS = 4, COLS = BT_KERN_INT8_COLS };

static void quantize_ref(uint8_t *q, bt_kern_int8_row *row, const float *in, int64_t n) {
    float    low = 0;
    float    high = 0;
    uint32_t largest = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = 0;
        memcpy(&bits, &in[i], sizeof bits);
        bits &= INT32_MAX;
        largest = bits > largest ? bits : largest;
        low = in[i] < low ? in[i] : low;
        high = in[i] > high ? in[i] : high;
    }
    const float inverse = kern_int8_row_of(row, low, high, largest);
    for (int64_t i = 0; i < n; i++) {
        q[i] = kern_int8_byte(in[i], inverse, row->zero);
    }
    memset(q + n, 0, (size_t)(bt_kern_int8_depth(n) - n));
}

static void multiply_ref(const bt_kern_int8_tile *t) {
    for (int64_t i = 0; i < t->n_rows; i++) {
        const uint8_t *const a = t->a + i * t->ld_a;
        int32_t              sums[COLS] = {0};
        for (int64_t d = 0; d < t->depth; d += 4) {
            const int8_t *const b = t->panel.weights + d * COLS;
            for (int64_t j = 0; j < COLS; j++) {
                sums[j] += a[d] * b[4 * j] + a[d + 1] * b[4 * j + 1] + a[d + 2] * b[4 * j + 2] +
                           a[d + 3] * b[4 * j + 3];
            }
        }
        kern_int8_store(t, i, sums);
    }
}

static const bt_kern_int8 kern_int8_ref = {.name = "int8",
                                           .rows = REF_ROWS,
                                           .panels = 1,
                                           .quantize = quantize_ref,
                                           .multiply = multiply_ref};

static bool has_ref(void) {
    return true;
}

#if defined(__x86_64__) && defined(BT_KERN_HAVE_SIMD)
static bool has_avx2(void) {
    return bt_kern_has("avx2");
}
#endif

/* A row: whose instruction set, can this machine run it, what it is. */
typedef struct variant {
    const char *isa;
    bool (*can_run)(void);
    const bt_kern_int8 *kern;
} variant;

static const variant variants[] = {
    {"ref", has_ref, &kern_int8_ref},
#if defined(__x86_64__) && defined(BT_KERN_HAVE_SIMD)
    {"avx2", has_avx2, &kern_int8_avx2},
    {"avx512", kern_has_vnni, &kern_int8_vnni},
    {"avx512", kern_has_amx_int8, &kern_int8_amx},
#elif defined(__aarch64__) && defined(BT_KERN_HAVE_SIMD)
    {"neon", kern_has_dot, &kern_int8_dot},
    {"neon", kern_has_mmla, &kern_int8_mmla},
#endif
};

/* What an instruction set includes stands before it. */
const bt_kern_int8 *bt_kern_int8_choose(const char *isa) {
    const bt_kern_int8 *best = &kern_int8_ref;
    bool                is_reached = false;
    for (size_t i = BT_ARRAY_LEN(variants); i-- > 0;) {
        is_reached = is_reached || bt_str_equal(variants[i].isa, isa);
        if (is_reached && variants[i].can_run()) {
            return variants[i].kern;
        }
    }
    return best;
}

const bt_kern_int8 *bt_kern_int8_variant(int i) {
    for (size_t v = 0; v < BT_ARRAY_LEN(variants); v++) {
        if (variants[v].can_run() && i-- == 0) {
            return variants[v].kern;
        }
    }
    return NULL;
}

/* The steps of the columns; false: a number is not finite. */
static bool find_steps(float *steps, const float *w, int64_t ld, int64_t K, int64_t n_cols) {
    bool is_finite = true;
    memset(steps, 0, COLS * sizeof *steps);
    for (int64_t k = 0; k < K; k++) {
        for (int64_t j = 0; j < n_cols; j++) {
            const float size = fabsf(w[k * ld + j]);
            is_finite = is_finite && size <= FLT_MAX;
            steps[j] = size > steps[j] ? size : steps[j];
        }
    }
    for (int64_t j = 0; j < COLS; j++) {
        const float step = steps[j] / 127;
        steps[j] = step > 0 ? step : 1;
    }
    return is_finite;
}

bool bt_kern_int8_pack(int8_t *weights, int32_t *sums, float *steps, const float *w, int64_t ld,
                       int64_t K, int64_t n_cols) {
    memset(weights, 0, (size_t)(bt_kern_int8_depth(K) * COLS));
    memset(sums, 0, COLS * sizeof *sums);
    if (!find_steps(steps, w, ld, K, n_cols)) {
        return false;
    }
    for (int64_t k = 0; k < K; k++) {
        int8_t *const out = weights + k / 4 * 4 * COLS + k % 4;
        for (int64_t j = 0; j < n_cols; j++) {
            const float   n = rintf(w[k * ld + j] / steps[j]);
            const int32_t q = (int32_t)(n < -127 ? -127 : n > 127 ? 127 : n);
            out[4 * j] = (int8_t)q;
            sums[j] += q;
        }
    }
    return true;
}
