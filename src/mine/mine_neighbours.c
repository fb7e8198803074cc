/* SPDX-License-Identifier: Apache-2.0
 *
 * The k nearest neighbours of both sides in one sweep over blocks of the score matrix: a block is
 * one product, read once along its rows and once down its columns. */
#include "bt/base/alloc.h"
#include "bt/base/size.h"
#include "bt/base/stop.h"
#include "bt/mine.h"

#include <math.h>

#include "bt/kern.h"

enum { BLOCK = 1024 }; /* 4 MiB of scores: in the cache, and far beyond what a product needs */

void bt_mine_unit_rows(float *vectors, int64_t n_rows, int64_t H) {
    for (int64_t r = 0; r < n_rows; r++) {
        float *const x = vectors + r * H;
        double       sum_sq = 0;
        for (int64_t i = 0; i < H; i++) {
            sum_sq += (double)x[i] * (double)x[i];
        }
        const double factor = sum_sq > 0 ? 1 / sqrt(sum_sq) : 1;
        for (int64_t i = 0; i < H; i++) {
            x[i] = (float)((double)x[i] * factor);
        }
    }
}

/* Candidates come in ascending rows, so an equal score stays behind the lower row. */
static void insert(bt_neighbour *list, int64_t k, float score, int64_t row) {
    int64_t at = k - 1;
    for (; at > 0 && score > list[at - 1].score; at--) {
        list[at] = list[at - 1];
    }
    list[at] = (bt_neighbour){.score = score, .row = row};
}

/* scores [n_left,n_right] of the rows from first_left and first_right on. */
static void read_block(bt_neighbour *of_left, bt_neighbour *of_right, const float *scores,
                       int64_t first_left, int64_t n_left, int64_t first_right, int64_t n_right,
                       int64_t k) {
    for (int64_t i = 0; i < n_left; i++) {
        const float *const  row = scores + i * n_right;
        bt_neighbour *const mine = of_left + (first_left + i) * k;
        for (int64_t j = 0; j < n_right; j++) {
            bt_neighbour *const other = of_right + (first_right + j) * k;
            if (row[j] > mine[k - 1].score) { /* false for NaN */
                insert(mine, k, row[j], first_right + j);
            }
            if (row[j] > other[k - 1].score) {
                insert(other, k, row[j], first_left + i);
            }
        }
    }
}

static void clear(bt_neighbour *lists, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        lists[i] = (bt_neighbour){.score = -INFINITY, .row = -1};
    }
}

bt_status bt_mine_prepare(bt_error *err) {
    return bt_kern_blas_load(err);
}

bt_status bt_mine_neighbours(bt_neighbour *of_left, bt_neighbour *of_right, bt_mine_side left,
                             bt_mine_side right, int64_t H, int64_t k, bt_error *err) {
    BT_TRY(bt_mine_prepare(err));
    bt_status    rc = BT_OK;
    float *const scores = bt_alloc_array((size_t)BLOCK * BLOCK, sizeof *scores);
    if (scores == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a block of scores");
    }
    clear(of_left, left.n_rows * k);
    clear(of_right, right.n_rows * k);
    for (int64_t i = 0; i < left.n_rows; i += BLOCK) {
        const int64_t n_left = bt_i64_min(BLOCK, left.n_rows - i);
        for (int64_t j = 0; j < right.n_rows; j += BLOCK) {
            const int64_t n_right = bt_i64_min(BLOCK, right.n_rows - j);
            BT_CHECK(bt_stop_check(err));
            bt_kern_gemm(scores, n_right, BT_KERN_N, left.vectors + i * H, H, BT_KERN_T,
                         right.vectors + j * H, H, n_left, n_right, H, 1, 0);
            read_block(of_left, of_right, scores, i, n_left, j, n_right, k);
        }
    }
done:
    bt_free(scores);
    return rc;
}
