/* SPDX-License-Identifier: Apache-2.0
 *
 * The transpose that kern_simd_template.h builds on, in 256-bit vectors: for AVX2 and AVX-512. */
#ifndef BT_KERN_TRANSPOSE_X86_H
#define BT_KERN_TRANSPOSE_X86_H

#include <immintrin.h>

#include "kern_internal.h"

/* 8 x 8 floats: pairs, fours, halves. Stored from the first row to the last. */
static inline void transpose_8_rows(float *out, int64_t ld_out, const float *const rows[8]) {
    __m256 row[8];
    __m256 pair[8];
    UNROLL for (int i = 0; i < 8; i++) {
        row[i] = _mm256_loadu_ps(rows[i]);
    }
    UNROLL for (int i = 0; i < 8; i += 2) {
        pair[i] = _mm256_unpacklo_ps(row[i], row[i + 1]);
        pair[i + 1] = _mm256_unpackhi_ps(row[i], row[i + 1]);
    }
    UNROLL for (int i = 0; i < 8; i += 4) {
        row[i] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0x44);
        row[i + 1] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0xEE);
        row[i + 2] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0x44);
        row[i + 3] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0xEE);
    }
    UNROLL for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(out + i * ld_out, _mm256_permute2f128_ps(row[i], row[i + 4], 0x20));
    }
    UNROLL for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(out + (i + 4) * ld_out, _mm256_permute2f128_ps(row[i], row[i + 4], 0x31));
    }
}

#endif
