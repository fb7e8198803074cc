/* SPDX-License-Identifier: Apache-2.0
 *
 * mine: nearest neighbours and translation pairs among sentence vectors, and how good they are.
 * Two sides, left and right, each a matrix of vectors; a score is the cosine of two vectors, or the
 * ratio margin of M. Artetxe and H. Schwenk, "Margin-based parallel corpus mining with multilingual
 * sentence embeddings", ACL 2019: the cosine over the mean cosine of both with their k nearest
 * neighbours on the other side.
 *
 * Products run in blocks: memory is the vectors, k neighbours a row, and one block of scores.
 * The answers do not depend on the number of threads, but for rounding in the BLAS; equal scores go
 * to the lower row number. */
#ifndef BT_MINE_H
#define BT_MINE_H

#include "bt/base/status.h"

typedef enum bt_mine_score { BT_MINE_RATIO, BT_MINE_COSINE } bt_mine_score;

typedef struct bt_mine_side {
    const float *vectors; /* [n_rows,H], of unit length: bt_mine_unit_rows */
    int64_t      n_rows;
} bt_mine_side;

/* row -1, score -inf: there is none (fewer rows than k, or vectors that are not finite). */
typedef struct bt_neighbour {
    float   score;
    int64_t row;
} bt_neighbour;

/* Loads the BLAS that neighbours are found with (bt_kern_blas_choose). BT_E_BACKEND, BT_E_NOMEM: it
 * cannot be. bt_mine_neighbours does the same; this says it before the work. */
BT_MUST_USE bt_status bt_mine_prepare(bt_error *err);

/* Makes each row's length 1; rows of zeros stay. */
void bt_mine_unit_rows(float *vectors, int64_t n_rows, int64_t H);

/* The k rows of the other side with the largest cosine, best first. */
BT_MUST_USE bt_status bt_mine_neighbours(bt_neighbour *of_left,  /* [n_left,k] */
                                         bt_neighbour *of_right, /* [n_right,k] */
                                         bt_mine_side left, bt_mine_side right, int64_t H,
                                         int64_t k, bt_error *err);

typedef struct bt_mined_pair {
    float   score;
    int64_t left; /* row numbers */
    int64_t right;
} bt_mined_pair;

typedef struct bt_mined {
    bt_neighbour  *best_of_left;  /* owned; [n_left] the best scored row of the right side */
    bt_neighbour  *best_of_right; /* owned; [n_right] */
    bt_mined_pair *pairs;         /* owned; best first; no row is in two of them */
    int64_t        n_pairs;
} bt_mined;

/* Candidates are each row's k nearest neighbours; the best scored one of each row, from both sides,
 * then greedily, best first, those whose two rows are both still free. cosine: k is 1. */
BT_MUST_USE bt_status bt_mine_pairs(bt_mined *out, bt_mine_side left, bt_mine_side right, int64_t H,
                                    bt_mine_score score, int64_t k, bt_error *err);
void                  bt_mined_deinit(bt_mined *mined); /* accepts a zeroed one */

/* How many rows have their own number as their best. */
int64_t bt_mine_n_same_row(const bt_neighbour *best, int64_t n_rows);

/* The threshold on the score that gives the best F1 against the gold pairs. */
typedef struct bt_mine_quality {
    double  threshold; /* keep pairs whose score is not below it */
    double  precision, recall, f1;
    int64_t n_kept;
} bt_mine_quality;
/* is_gold[i]: pair i is one of the n_gold gold pairs. 0 and NaN threshold when none is found. */
bt_mine_quality bt_mine_best_f1(const bt_mined_pair *pairs, const bool *is_gold, int64_t n_pairs,
                                int64_t n_gold);

#endif
