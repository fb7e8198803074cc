/* SPDX-License-Identifier: Apache-2.0
 *
 * From neighbours to pairs: the margin of each candidate, the best of each row, and a greedy choice
 * in which no row is taken twice; and the threshold of the best F1, as BUCC's evaluation has it. */
#include "bt/base/alloc.h"
#include "bt/base/size.h"
#include "bt/mine.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* Mean score of the neighbours that there are. */
static double mean_of(const bt_neighbour *list, int64_t k) {
    double  sum = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < k && list[i].row >= 0; i++) {
        sum += (double)list[i].score;
        n++;
    }
    return n > 0 ? sum / (double)n : 0;
}

static float score_of(float cosine, double mean, double other_mean, bt_mine_score score) {
    return score == BT_MINE_COSINE ? cosine : (float)(2 * (double)cosine / (mean + other_mean));
}

/* The best scored neighbour of each row; lists [n,k], means [n] and other_means are of the sides.
 */
static void choose_best(bt_neighbour *best, const bt_neighbour *lists, const double *means,
                        const double *other_means, int64_t n, int64_t k, bt_mine_score score) {
    for (int64_t r = 0; r < n; r++) {
        best[r] = (bt_neighbour){.score = -INFINITY, .row = -1};
        for (int64_t i = 0; i < k && lists[r * k + i].row >= 0; i++) {
            const bt_neighbour *const at = &lists[r * k + i];
            const float value = score_of(at->score, means[r], other_means[at->row], score);
            if (value > best[r].score) { /* 0/0 of vectors of zeros is not a score */
                best[r] = (bt_neighbour){.score = value, .row = at->row};
            }
        }
    }
}

static int compare_pairs(const void *a, const void *b) {
    const bt_mined_pair *const x = a;
    const bt_mined_pair *const y = b;
    if (x->score != y->score) {
        return x->score > y->score ? -1 : 1;
    }
    if (x->left != y->left) {
        return x->left < y->left ? -1 : 1;
    }
    return (x->right > y->right) - (x->right < y->right);
}

static int64_t add_candidates(bt_mined_pair *pairs, const bt_neighbour *best, int64_t n_rows,
                              bool is_left) {
    int64_t n = 0;
    for (int64_t r = 0; r < n_rows; r++) {
        if (best[r].row >= 0) {
            pairs[n++] = (bt_mined_pair){.score = best[r].score,
                                         .left = is_left ? r : best[r].row,
                                         .right = is_left ? best[r].row : r};
        }
    }
    return n;
}

/* Keeps those whose rows are both still free. */
static int64_t choose_free(bt_mined_pair *pairs, int64_t n, bool *left_taken, bool *right_taken) {
    int64_t n_kept = 0;
    for (int64_t i = 0; i < n; i++) {
        const bt_mined_pair pair = pairs[i];
        if (left_taken[pair.left] || right_taken[pair.right]) {
            continue;
        }
        left_taken[pair.left] = true;
        right_taken[pair.right] = true;
        pairs[n_kept++] = pair;
    }
    return n_kept;
}

/* What bt_mine_pairs needs on the way. */
typedef struct workplace {
    bt_neighbour *of_left; /* [n_left,k] */
    bt_neighbour *of_right;
    double       *left_means; /* [n_left] */
    double       *right_means;
    bool         *left_taken; /* [n_left] */
    bool         *right_taken;
} workplace;

static bool make_room(workplace *w, bt_mined *out, size_t n_left, size_t n_right, size_t k) {
    size_t left_lists = 0;
    size_t right_lists = 0;
    if (!bt_size_mul(n_left, k, &left_lists) || !bt_size_mul(n_right, k, &right_lists)) {
        return false;
    }
    w->of_left = bt_alloc_array(left_lists, sizeof *w->of_left);
    w->of_right = bt_alloc_array(right_lists, sizeof *w->of_right);
    w->left_means = bt_alloc_array(n_left, sizeof *w->left_means);
    w->right_means = bt_alloc_array(n_right, sizeof *w->right_means);
    w->left_taken = bt_calloc_array(n_left, sizeof *w->left_taken);
    w->right_taken = bt_calloc_array(n_right, sizeof *w->right_taken);
    out->best_of_left = bt_alloc_array(n_left, sizeof *out->best_of_left);
    out->best_of_right = bt_alloc_array(n_right, sizeof *out->best_of_right);
    out->pairs = bt_alloc_array(n_left + n_right, sizeof *out->pairs);
    return w->of_left != NULL && w->of_right != NULL && w->left_means != NULL &&
           w->right_means != NULL && w->left_taken != NULL && w->right_taken != NULL &&
           out->best_of_left != NULL && out->best_of_right != NULL && out->pairs != NULL;
}

static void workplace_deinit(workplace *w) {
    bt_free(w->of_left);
    bt_free(w->of_right);
    bt_free(w->left_means);
    bt_free(w->right_means);
    bt_free(w->left_taken);
    bt_free(w->right_taken);
}

static void take_means(double *means, const bt_neighbour *lists, int64_t n, int64_t k) {
    for (int64_t r = 0; r < n; r++) {
        means[r] = mean_of(lists + r * k, k);
    }
}

bt_status bt_mine_pairs(bt_mined *out, bt_mine_side left, bt_mine_side right, int64_t H,
                        bt_mine_score score, int64_t k, bt_error *err) {
    bt_status rc = BT_OK;
    workplace w = {0};
    *out = (bt_mined){0};
    if (score == BT_MINE_COSINE) {
        k = 1;
    }
    if (!make_room(&w, out, (size_t)left.n_rows, (size_t)right.n_rows, (size_t)k)) {
        rc = BT_FAIL(err, BT_E_NOMEM,
                     "out of memory for %" PRId64 " neighbours of %" PRId64 " and %" PRId64
                     " sentences",
                     k, left.n_rows, right.n_rows);
        goto done;
    }
    BT_CHECK(bt_mine_neighbours(w.of_left, w.of_right, left, right, H, k, err));
    take_means(w.left_means, w.of_left, left.n_rows, k);
    take_means(w.right_means, w.of_right, right.n_rows, k);
    choose_best(out->best_of_left, w.of_left, w.left_means, w.right_means, left.n_rows, k, score);
    choose_best(out->best_of_right, w.of_right, w.right_means, w.left_means, right.n_rows, k,
                score);
    int64_t n = add_candidates(out->pairs, out->best_of_left, left.n_rows, true);
    n += add_candidates(out->pairs + n, out->best_of_right, right.n_rows, false);
    qsort(out->pairs, (size_t)n, sizeof *out->pairs, compare_pairs);
    out->n_pairs = choose_free(out->pairs, n, w.left_taken, w.right_taken);
done:
    workplace_deinit(&w);
    if (rc != BT_OK) {
        bt_mined_deinit(out);
    }
    return rc;
}

void bt_mined_deinit(bt_mined *mined) {
    bt_free(mined->best_of_left);
    bt_free(mined->best_of_right);
    bt_free(mined->pairs);
    *mined = (bt_mined){0};
}

int64_t bt_mine_n_same_row(const bt_neighbour *best, int64_t n_rows) {
    int64_t n = 0;
    for (int64_t r = 0; r < n_rows; r++) {
        n += best[r].row == r;
    }
    return n;
}

/* Between the last pair kept and the first one that is not. */
static double threshold_after(const bt_mined_pair *pairs, int64_t n_pairs, int64_t i) {
    const double kept = (double)pairs[i].score;
    return i + 1 < n_pairs ? (kept + (double)pairs[i + 1].score) / 2 : kept;
}

bt_mine_quality bt_mine_best_f1(const bt_mined_pair *pairs, const bool *is_gold, int64_t n_pairs,
                                int64_t n_gold) {
    bt_mine_quality best = {.threshold = (double)NAN};
    int64_t         n_right = 0;
    for (int64_t i = 0; i < n_pairs; i++) {
        n_right += is_gold[i];
        /* pairs of equal score are kept or left together */
        if (n_right == 0 || (i + 1 < n_pairs && pairs[i + 1].score == pairs[i].score)) {
            continue;
        }
        const double f1 = 2 * (double)n_right / ((double)(i + 1) + (double)n_gold);
        if (f1 > best.f1) {
            best = (bt_mine_quality){.threshold = threshold_after(pairs, n_pairs, i),
                                     .precision = (double)n_right / (double)(i + 1),
                                     .recall = (double)n_right / (double)n_gold,
                                     .f1 = f1,
                                     .n_kept = i + 1};
        }
    }
    return best;
}
