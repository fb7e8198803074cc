/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention's small bfloat16 products in AVX-512: the factors' layout, and sums of pairs with
 * AVX512_BF16. Built with their flags: nothing here may run before bt_kern_select has looked at the
 * processor. */
#include "kern_bf16.h"

enum { ROW_STEP = 16 };

static int64_t padded(int64_t n) {
    return (n + ROW_STEP - 1) / ROW_STEP * ROW_STEP;
}

void kern_left16__avx512(uint16_t *left, const uint16_t *x, int64_t ld, int64_t n_rows,
                         int64_t n_cols) {
    const int64_t row = bt_kern_tiles16_row(n_cols);
    for (int64_t i = 0; i < padded(n_rows); i++) {
        for (int64_t k = 0; k < row; k += 2 * BF16_WORDS) {
            const __m512i words =
                i < n_rows ? pairs_along16(x + i * ld + k, n_cols - k) : _mm512_setzero_si512();
            _mm512_storeu_si512(left + i * row + k, words);
        }
    }
}

/* 16 pairs of rows from row k on, of the columns from j on. */
static inline void load_pairs(__m512i r[BF16_WORDS], const uint16_t *x, int64_t ld, int64_t n_rows,
                              int64_t n_cols, int64_t k, int64_t j) {
    const __mmask16 mask = bf16_first_lanes(n_cols - j);
    UNROLL for (int p = 0; p < BF16_WORDS; p++) {
        const int64_t         at = k + 2 * p;
        const uint16_t *const row = x + at * ld + j;
        r[p] = at < n_rows ? pairs_across16(row, at + 1 < n_rows ? row + ld : NULL, mask)
                           : _mm512_setzero_si512();
    }
}

/* left [n_cols,n_rows] */
void kern_left16_transposed__avx512(uint16_t *left, const uint16_t *x, int64_t ld, int64_t n_rows,
                                    int64_t n_cols) {
    const int64_t row = bt_kern_tiles16_row(n_rows);
    __m512i       r[BF16_WORDS];
    for (int64_t k = 0; k < row; k += 2 * BF16_WORDS) {
        for (int64_t j = 0; j < n_cols; j += BF16_WORDS) {
            load_pairs(r, x, ld, n_rows, n_cols, k, j);
            transpose_words(r);
            UNROLL for (int i = 0; i < BF16_WORDS; i++) {
                _mm512_storeu_si512(left + (j + i) * row + k, r[i]);
            }
        }
    }
}

/* right [n_rows,n_cols] */
void kern_right16__avx512(uint32_t *right, const uint16_t *x, int64_t ld, int64_t n_rows,
                          int64_t n_cols) {
    const int64_t width = bt_kern_tiles16_row(n_cols);
    const int64_t n_pairs = bt_kern_tiles16_row(n_rows) / 2;
    for (int64_t p = 0; p < n_pairs; p++) {
        const uint16_t *const row = x + 2 * p * ld;
        for (int64_t j = 0; j < width; j += BF16_WORDS) {
            __m512i words = _mm512_setzero_si512();
            if (2 * p < n_rows) {
                words = pairs_across16(row + j, 2 * p + 1 < n_rows ? row + ld + j : NULL,
                                       bf16_first_lanes(n_cols - j));
            }
            _mm512_storeu_si512(right + p * width + j, words);
        }
    }
}

/* right [n_cols,n_rows] */
void kern_right16_transposed__avx512(uint32_t *right, const uint16_t *x, int64_t ld, int64_t n_rows,
                                     int64_t n_cols) {
    const int64_t width = bt_kern_tiles16_row(n_rows);
    __m512i       r[BF16_WORDS];
    for (int64_t j = 0; j < width; j += BF16_WORDS) {
        for (int64_t k = 0; k < n_cols; k += 2 * BF16_WORDS) {
            UNROLL for (int i = 0; i < BF16_WORDS; i++) {
                r[i] = j + i < n_rows ? pairs_along16(x + (j + i) * ld + k, n_cols - k)
                                      : _mm512_setzero_si512();
            }
            transpose_words(r);
            UNROLL for (int p = 0; p < BF16_WORDS; p++) {
                _mm512_storeu_si512(right + (k / 2 + p) * width + j, r[p]);
            }
        }
    }
}
