/* SPDX-License-Identifier: Apache-2.0
 *
 * Products in 8 bits with AVX512_VNNI, whose dot product of four bytes adds up in 32 bits. Built
 * with its own flags: nothing here may run before kern_has_vnni has looked at the processor. */
#include <immintrin.h>

#include "kern_int8_avx512.h"
#include "kern_internal.h"

enum { ROWS = 14, COLS = BT_KERN_INT8_COLS };

static inline __attribute__((always_inline)) void multiply_rows(const int                rows,
                                                                const bt_kern_int8_tile *t) {
    const uint8_t *const a = t->a;
    const int8_t *const  b = t->panel.weights;
    const int64_t        ld_a = t->ld_a;
    __m512i              sum[ROWS][2];
    UNROLL for (int i = 0; i < rows; i++) {
        sum[i][0] = _mm512_setzero_si512();
        sum[i][1] = _mm512_setzero_si512();
    }
    for (int64_t d = 0; d < t->depth; d += 4) {
        const __m512i b_0 = _mm512_loadu_si512(b + d * COLS);
        const __m512i b_1 = _mm512_loadu_si512(b + d * COLS + 64);
        UNROLL for (int i = 0; i < rows; i++) {
            const __m512i a_i = _mm512_set1_epi32(kern_int8_word(a + i * ld_a + d));
            sum[i][0] = _mm512_dpbusd_epi32(sum[i][0], a_i, b_0);
            sum[i][1] = _mm512_dpbusd_epi32(sum[i][1], a_i, b_1);
        }
    }
    const kern_int8_columns columns = kern_int8_columns_of(t);
    UNROLL for (int i = 0; i < rows; i++) {
        if (i < t->n_rows) {
            kern_int8_store_512(t, &columns, i, sum[i][0], sum[i][1]);
        }
    }
}

static void multiply(const bt_kern_int8_tile *t) {
    if (t->n_rows > 8) {
        multiply_rows(ROWS, t);
    } else if (t->n_rows > 4) {
        multiply_rows(8, t);
    } else if (t->n_rows > 2) {
        multiply_rows(4, t);
    } else {
        multiply_rows(2, t);
    }
}

const bt_kern_int8 kern_int8_vnni = {.name = "int8 (AVX512_VNNI)",
                                     .rows = ROWS,
                                     .panels = 1,
                                     .quantize = kern_int8_quantize_512,
                                     .multiply = multiply};
