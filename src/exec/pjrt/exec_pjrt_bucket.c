/* SPDX-License-Identifier: Apache-2.0
 *
 * See exec_pjrt_bucket.h. Rows hold twice the records' length or more, so that sequences of half
 * that length do not leave the rest of a row empty; docs/devices.md has what was measured. */
#include "exec_pjrt_bucket.h"
#include "bt/base/alloc.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ROW_LENGTHS = 2, LENGTH_STEPS = 8, SMALLEST_STEP = 8 };

static int64_t round_up(int64_t n, int64_t step) {
    return (n + step - 1) / step * step;
}

/* Its two first binary digits: 1, 2, 3, 4, 6, 8, 12, 16, ... */
static int64_t two_digits(int64_t n) {
    int64_t step = 1;
    while (n / step >= 4) {
        step *= 2;
    }
    return n / step * step;
}

/* Places for sequences: a power of two, as a batch's last one may be smaller. */
static int64_t places_for(int64_t n_seqs) {
    int64_t n = 2;
    while (n < n_seqs) {
        n *= 2;
    }
    return n;
}

typedef struct placed {
    int64_t length, seq;
} placed;

static int longest_first(const void *a, const void *b) {
    const placed *const x = a;
    const placed *const y = b;
    if (x->length != y->length) {
        return x->length > y->length ? -1 : 1;
    }
    return x->seq < y->seq ? -1 : 1;
}

static bt_status out_of_memory(const exec_rows *rows, bt_error *err) {
    return BT_FAIL(err, BT_E_NOMEM, "out of memory to put %" PRId64 " sequences into rows",
                   rows->n_seqs);
}

static int64_t length_of(const exec_rows *rows, const bt_batch *batch, int64_t i) {
    const int64_t *const offsets = batch->offsets + rows->first_seq;
    return offsets[i + 1] - offsets[i];
}

static bt_status sort_by_length(exec_rows *rows, const bt_batch *batch, bt_error *err) {
    placed *const all = bt_alloc_array((size_t)rows->n_seqs, sizeof *all);
    if (all == NULL) {
        return out_of_memory(rows, err);
    }
    for (int64_t b = 0; b < rows->n_seqs; b++) {
        all[b] = (placed){.length = length_of(rows, batch, b), .seq = b};
    }
    qsort(all, (size_t)rows->n_seqs, sizeof *all, longest_first);
    for (int64_t i = 0; i < rows->n_seqs; i++) {
        rows->order[i] = all[i].seq;
    }
    bt_free(all);
    return BT_OK;
}

/* The row that is left fullest; -1: it fits into none. */
static int64_t best_row(const exec_rows *rows, const exec_bucket *bucket, int64_t n) {
    int64_t best = -1;
    for (int64_t r = 0; r < bucket->n_rows; r++) {
        if (rows->room[r] >= n && (best < 0 || rows->room[r] < rows->room[best])) {
            best = r;
        }
    }
    return best;
}

static bool place_all(exec_rows *rows, const bt_batch *batch, const exec_bucket *bucket) {
    const int64_t S = bucket->n_slots;
    for (int64_t r = 0; r < bucket->n_rows; r++) {
        rows->room[r] = S;
    }
    for (int64_t i = 0; i < rows->n_seqs; i++) {
        const int64_t b = rows->order[i];
        const int64_t n = length_of(rows, batch, b);
        const int64_t r = best_row(rows, bucket, n);
        if (r < 0) {
            return false;
        }
        rows->first[b] = (int32_t)(r * S + S - rows->room[r]);
        rows->room[r] -= n;
    }
    return true;
}

static bt_status reserve(exec_rows *rows, int64_t n_rows, bt_error *err) {
    if (rows->n_seqs > rows->cap) {
        bt_free(rows->first);
        bt_free(rows->order);
        rows->first = bt_alloc_array((size_t)rows->n_seqs, sizeof *rows->first);
        rows->order = bt_alloc_array((size_t)rows->n_seqs, sizeof *rows->order);
        rows->cap = rows->first != NULL && rows->order != NULL ? rows->n_seqs : 0;
    }
    if (n_rows > rows->room_cap) {
        bt_free(rows->room);
        rows->room = bt_alloc_array((size_t)n_rows, sizeof *rows->room);
        rows->room_cap = rows->room != NULL ? n_rows : 0;
    }
    return rows->cap < rows->n_seqs || rows->room_cap < n_rows ? out_of_memory(rows, err) : BT_OK;
}

static int64_t longest_of(const bt_batch *batch) {
    int64_t longest = batch->seq_length > 0 ? batch->seq_length : 1;
    for (int64_t b = 0; b < batch->n_seqs; b++) {
        const int64_t n = batch->offsets[b + 1] - batch->offsets[b];
        longest = n > longest ? n : longest;
    }
    return longest;
}

static int64_t tokens_of(const exec_rows *rows, const bt_batch *batch) {
    return batch->offsets[rows->first_seq + rows->n_seqs] - batch->offsets[rows->first_seq];
}

/* The bucket for the share that has most; whether all fit is seen when they are placed. */
static exec_bucket first_bucket(const exec_rows *rows, int32_t n_shares, const bt_batch *batch,
                                int64_t step) {
    const int64_t longest = longest_of(batch);
    int64_t       n_tokens = 0;
    int64_t       n_seqs = 0;
    for (int32_t i = 0; i < n_shares; i++) {
        const int64_t n = tokens_of(&rows[i], batch);
        n_tokens = n > n_tokens ? n : n_tokens;
        n_seqs = rows[i].n_seqs > n_seqs ? rows[i].n_seqs : n_seqs;
    }
    const int64_t in_rows = n_tokens / (ROW_LENGTHS * longest);
    const int64_t R = in_rows > 0 ? two_digits(in_rows) : 1;
    const int64_t even = (n_tokens + R - 1) / R;
    const int64_t S = round_up(even > longest ? even : longest, step);
    const int64_t places = places_for(n_seqs);
    /* R * S is even, and no less than there are tokens */
    return (exec_bucket){
        .n_rows = R, .n_slots = S, .n_seqs = places < R * S ? places : R * S, .n_longest = longest};
}

void exec_rows_divide(exec_rows *rows, int32_t n_shares, const bt_batch *batch,
                      exec_division division) {
    for (int32_t i = 0; i < n_shares; i++) {
        const exec_share share = exec_share_of(batch, i, n_shares, division);
        rows[i].first_seq = share.first;
        rows[i].n_seqs = share.end - share.first;
    }
}

bt_status exec_rows_lay(exec_rows *rows, int32_t n_shares, const bt_batch *batch,
                        exec_bucket *bucket, bt_error *err) {
    const int64_t eighth = longest_of(batch) / LENGTH_STEPS;
    const int64_t step = eighth > 0 ? round_up(eighth, SMALLEST_STEP) : SMALLEST_STEP;
    *bucket = first_bucket(rows, n_shares, batch, step);
    for (int32_t i = 0; i < n_shares; i++) {
        BT_TRY(reserve(&rows[i], bucket->n_rows, err));
        BT_TRY(sort_by_length(&rows[i], batch, err));
    }
    for (int32_t i = 0; i < n_shares;) {
        if (place_all(&rows[i], batch, bucket)) {
            i++;
        } else {
            bucket->n_slots += step;
            i = 0;
        }
    }
    return BT_OK;
}

void exec_rows_deinit(exec_rows *rows) {
    bt_free(rows->first);
    bt_free(rows->order);
    bt_free(rows->room);
    memset(rows, 0, sizeof *rows);
}

bt_status exec_bucket_of(const bt_batch *batch, int32_t n_shares, exec_division division,
                         exec_bucket *out, bt_error *err) {
    exec_rows *const rows = bt_calloc_array((size_t)n_shares, sizeof *rows);
    if (rows == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory to put a batch into rows");
    }
    exec_rows_divide(rows, n_shares, batch, division);
    const bt_status rc = exec_rows_lay(rows, n_shares, batch, out, err);
    for (int32_t i = 0; i < n_shares; i++) {
        exec_rows_deinit(&rows[i]);
    }
    bt_free(rows);
    return rc;
}

bt_status exec_bucket_of_full(int64_t n_seqs, int64_t length, int32_t n_shares,
                              exec_division division, exec_bucket *out, bt_error *err) {
    int64_t *const offsets = bt_alloc_array((size_t)n_seqs + 1, sizeof *offsets);
    if (offsets == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory to plan a step of %" PRId64 " sequences",
                       n_seqs);
    }
    for (int64_t i = 0; i <= n_seqs; i++) {
        offsets[i] = i * length;
    }
    const bt_batch batch = {
        .n_seqs = n_seqs, .n_tokens = n_seqs * length, .offsets = offsets, .seq_length = length};
    const bt_status rc = exec_bucket_of(&batch, n_shares, division, out, err);
    bt_free(offsets);
    return rc;
}
