/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums of numbers of several ranks: element by element, in the order of the ranks, in float32. */
#include <string.h>

#include "bt/base/bf16.h"
#include "comm_internal.h"

enum { BLOCK = 1024 }; /* stays in the first cache */

/* Of rank k: own, or a row of the others. */
static int64_t row_of(int32_t k, int32_t rank, int64_t n) {
    return (int64_t)(k < rank ? k : k - 1) * n;
}

void comm_add_f32(float *own, const float *others, int64_t n, int32_t rank, int32_t size) {
    float sum[BLOCK];
    for (int64_t begin = 0; begin < n; begin += BLOCK) {
        const int64_t m = n - begin < BLOCK ? n - begin : BLOCK;
        for (int32_t k = 0; k < size; k++) {
            const float *const x = (k == rank ? own : others + row_of(k, rank, n)) + begin;
            if (k == 0) {
                memcpy(sum, x, (size_t)m * sizeof *x);
                continue;
            }
            for (int64_t i = 0; i < m; i++) {
                sum[i] += x[i];
            }
        }
        memcpy(own + begin, sum, (size_t)m * sizeof *sum);
    }
}

void comm_to_bf16(uint16_t *out, const float *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = bt_bf16_round(in[i]);
    }
}

void comm_from_bf16(float *out, const uint16_t *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = bt_bf16_widen(in[i]);
    }
}

void comm_add_bf16(uint16_t *own, const uint16_t *others, int64_t n, int32_t rank, int32_t size) {
    float sum[BLOCK];
    for (int64_t begin = 0; begin < n; begin += BLOCK) {
        const int64_t m = n - begin < BLOCK ? n - begin : BLOCK;
        for (int32_t k = 0; k < size; k++) {
            const uint16_t *const x = (k == rank ? own : others + row_of(k, rank, n)) + begin;
            if (k == 0) {
                comm_from_bf16(sum, x, m);
                continue;
            }
            for (int64_t i = 0; i < m; i++) {
                sum[i] += bt_bf16_widen(x[i]);
            }
        }
        comm_to_bf16(own + begin, sum, m);
    }
}
