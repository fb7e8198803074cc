/* SPDX-License-Identifier: Apache-2.0
 *
 * A training batch worked on in parts: the memory of a part, the result of the whole. Each part is
 * a view of some sequences; gradients add up, losses and dropout masks know the whole batch
 * (exec_pass), so that only the rounding of sums tells the two apart. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "exec_cpu_internal.h"

int64_t exec_part_seqs(const exec_cpu *exec) {
    const int64_t most = exec->parts.max_seqs;
    const int64_t n = exec->share.end - exec->share.first;
    return most > 0 && most < n ? most : n;
}

static int64_t part_end(const exec_cpu *exec, int64_t first_seq) {
    const int64_t end = first_seq + exec_part_seqs(exec);
    return end < exec->share.end ? end : exec->share.end;
}

int64_t exec_part_max_tokens(const exec_cpu *exec, const bt_batch *whole) {
    int64_t most = 0;
    for (int64_t first = exec->share.first; first < exec->share.end;
         first = part_end(exec, first)) {
        const int64_t n = whole->offsets[part_end(exec, first)] - whole->offsets[first];
        most = n > most ? n : most;
    }
    return most;
}

void exec_parts_deinit(exec_parts *parts) {
    bt_free(parts->offsets);
    bt_free(parts->logits);
    *parts = (exec_parts){.max_seqs = parts->max_seqs};
}

/* Token heads differ from batch to batch: a quarter more than this one needs. */
bt_status exec_parts_reserve(exec_cpu *exec, const bt_batch *whole, bt_error *err) {
    exec_parts *const parts = &exec->parts;
    const int64_t     n_seqs = exec_part_seqs(exec);
    const int64_t     n_logits = bt_model_n_logits(exec->model, whole);
    if (n_seqs == whole->n_seqs && exec->ranks.comm == NULL) {
        return BT_OK;
    }
    if (n_seqs > parts->n_offsets - 1) {
        bt_free(parts->offsets);
        parts->offsets = bt_alloc_array((size_t)n_seqs + 1, sizeof *parts->offsets);
        parts->n_offsets = parts->offsets != NULL ? n_seqs + 1 : 0;
    }
    if (n_logits > parts->n_logits) {
        const int64_t more = n_logits + n_logits / 4;
        bt_free(parts->logits);
        parts->logits = bt_alloc_array((size_t)more, sizeof *parts->logits);
        parts->n_logits = parts->logits != NULL ? more : 0;
    }
    if (parts->offsets == NULL || parts->logits == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for %" PRId64 " logits", n_logits);
    }
    if (exec->ranks.comm != NULL) { /* others add theirs */
        memset(parts->logits, 0, (size_t)n_logits * sizeof *parts->logits);
    }
    return BT_OK;
}

bt_batch exec_part(exec_cpu *exec, const bt_batch *whole, int64_t first_seq) {
    const int64_t end = part_end(exec, first_seq);
    const int64_t first_token = whole->offsets[first_seq];
    bt_batch      part = *whole;
    if (end - first_seq == whole->n_seqs) {
        return part;
    }
    part.n_seqs = end - first_seq;
    part.n_tokens = whole->offsets[end] - first_token;
    part.offsets = exec->parts.offsets;
    for (int64_t b = 0; b <= part.n_seqs; b++) {
        exec->parts.offsets[b] = whole->offsets[first_seq + b] - first_token;
    }
    part.ids = whole->ids + first_token;
    part.types = whole->types + first_token;
    part.positions = whole->positions + first_token;
    part.key_mask = whole->key_mask != NULL ? whole->key_mask + first_token : NULL;
    part.int_labels = NULL; /* the loss takes them from the whole */
    part.float_labels = NULL;
    part.row_weights = NULL;
    return part;
}

void exec_part_keep_logits(exec_cpu *exec, const exec_pass *pass) {
    const bt_head_config *const head = &exec->model->head;
    const int64_t first = head->kind == BT_HEAD_TOKENS ? pass->first_token : pass->first_seq;
    if (pass->batch->n_seqs < pass->whole->n_seqs || exec->ranks.comm != NULL) {
        memcpy(exec->parts.logits + first * head->num_classes, exec->acts.logits,
               (size_t)bt_model_n_logits(exec->model, pass->batch) * sizeof(float));
    }
}
