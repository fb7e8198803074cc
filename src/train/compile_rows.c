/* SPDX-License-Identifier: Apache-2.0
 *
 * --compile_only: which shapes the programs of a run's batches have, and those of the longest
 * batches that there can be. */
#include "bt/base/alloc.h"
#include "compile_only.h"

void seen_rows_deinit(seen_rows *rows) {
    bt_free(rows->shapes);
    *rows = (seen_rows){.n_seqs = 0};
}

bool compile_is_same(const bt_exec_shape *a, const bt_exec_shape *b) {
    return a->n_rows == b->n_rows && a->n_slots == b->n_slots && a->n_seqs == b->n_seqs &&
           a->n_longest == b->n_longest && a->has_key_mask == b->has_key_mask &&
           a->has_labels == b->has_labels;
}

bt_status seen_rows_add(void *context, const bt_batch *batch, bt_error *err) {
    seen_rows *const rows = context;
    bt_exec_shape    seen;
    rows->seqs_per_row = batch->n_rows > 0 ? batch->n_seqs / batch->n_rows : 1;
    rows->seq_length = batch->seq_length;
    rows->n_seqs += batch->n_seqs;
    rows->n_batches++;
    BT_TRY(bt_exec_find_shape(rows->model, batch, rows->n_devices * rows->n_parts, rows->shares,
                              &seen, err));
    for (size_t i = 0; i < rows->n_shapes; i++) {
        if (compile_is_same(&rows->shapes[i], &seen)) {
            return BT_OK;
        }
    }
    BT_TRY(bt_grow(&rows->shapes, &rows->shapes_cap, rows->n_shapes + 1, sizeof *rows->shapes,
                   SIZE_MAX, err));
    rows->shapes[rows->n_shapes++] = seen;
    return BT_OK;
}

bt_exec_wish compile_wish(const compile_job *job, const bt_exec_shape *shape) {
    return (bt_exec_wish){.model = job->model,
                          .optim = job->optim,
                          .config = &job->config,
                          .trains = job->trains,
                          .shape = *shape,
                          .n_replicas = job->rows.n_devices};
}

static double cost_of(const compile_job *job, const bt_exec_shape *shape) {
    const bt_exec_wish wish = compile_wish(job, shape);
    return bt_exec_ahead_estimate(&wish);
}

const bt_exec_shape *compile_largest_shape(const compile_job *job) {
    const bt_exec_shape *largest = job->rows.shapes;
    for (size_t i = 1; i < job->rows.n_shapes; i++) {
        if (cost_of(job, &job->rows.shapes[i]) > cost_of(job, largest)) {
            largest = &job->rows.shapes[i];
        }
    }
    return largest;
}

bt_status compile_full_shape(const compile_job *job, int64_t batch, bt_exec_shape *out,
                             bt_error *err) {
    const seen_rows *const rows = &job->rows;
    const int64_t          wanted = batch * rows->n_parts * rows->seqs_per_row;
    const int64_t          n = wanted > rows->n_seqs && !rows->repeats ? rows->n_seqs : wanted;
    *out = *rows->shapes; /* but for its sizes */
    return bt_exec_find_full_shape(rows->model, n, rows->seq_length,
                                   rows->n_devices * rows->n_parts, rows->shares, out, err);
}
