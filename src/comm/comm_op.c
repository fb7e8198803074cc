/* SPDX-License-Identifier: Apache-2.0
 *
 * What an operation sends to whom, what it expects, and what becomes of it. Runs on the thread. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "comm_internal.h"

bt_status comm_bytes_reserve(comm_bytes *bytes, size_t n, bt_error *err) {
    if (n <= bytes->cap && bytes->data != NULL) {
        return BT_OK;
    }
    uint8_t *const data = bt_alloc(n); /* what was there is not needed */
    if (data == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for %zu bytes of other ranks", n);
    }
    bt_free(bytes->data);
    *bytes = (comm_bytes){.data = data, .cap = n};
    return BT_OK;
}

/* Shares of a sum: rank r adds elements [begin(r), begin(r + 1)). */

static int64_t share_begin(const bt_comm *comm, const bt_comm_op *op, int32_t rank) {
    return op->n / comm->size * rank +
           (rank < op->n % comm->size ? rank : op->n % comm->size); /* without overflow */
}

static int64_t share_size(const bt_comm *comm, const bt_comm_op *op, int32_t rank) {
    return op->n / comm->size + (rank < op->n % comm->size);
}

static size_t element_bytes(const bt_comm_op *op) {
    return op->wire == BT_COMM_BF16 ? sizeof(uint16_t) : sizeof(float);
}

/* As it travels. */
static uint8_t *share_bytes(const bt_comm *comm, const bt_comm_op *op, int32_t rank) {
    uint8_t *const all = op->wire == BT_COMM_BF16 ? op->rounded.data : (uint8_t *)op->values;
    return all + (size_t)share_begin(comm, op, rank) * element_bytes(op);
}

static size_t share_length(const bt_comm *comm, const bt_comm_op *op, int32_t rank) {
    return (size_t)share_size(comm, op, rank) * element_bytes(op);
}

static comm_turn sum_out(const bt_comm *comm, const bt_comm_op *op, uint32_t phase, int32_t peer,
                         comm_span *span) {
    const int32_t of = phase == 0 ? peer : comm->rank;
    *span = (comm_span){share_bytes(comm, op, of), share_length(comm, op, of)};
    if (span->n == 0) {
        return COMM_NOTHING;
    }
    return phase == 0 || op->is_reduced ? COMM_READY : COMM_LATER;
}

comm_turn comm_op_out(const bt_comm *comm, const bt_comm_op *op, uint32_t phase, int32_t peer,
                      comm_span *span) {
    if (op->kind == COMM_FRAME_SUM) {
        return sum_out(comm, op, phase, peer, span);
    }
    const bool goes = phase == 0 && (op->pattern == COMM_ALL_TO_ALL ||
                                     (op->pattern == COMM_TO_ROOT && peer == op->root) ||
                                     (op->pattern == COMM_FROM_ROOT && comm->rank == op->root));
    *span = op->out;
    return goes ? COMM_READY : COMM_NOTHING;
}

bool comm_op_expects(const bt_comm *comm, const bt_comm_op *op, uint32_t phase, int32_t peer) {
    if (op->kind == COMM_FRAME_SUM) {
        return share_size(comm, op, phase == 0 ? comm->rank : peer) > 0;
    }
    return phase == 0 && (op->pattern == COMM_ALL_TO_ALL ||
                          (op->pattern == COMM_TO_ROOT && comm->rank == op->root) ||
                          (op->pattern == COMM_FROM_ROOT && peer == op->root));
}

static comm_scratch *take_scratch(bt_comm *comm, size_t n, bt_error *err) {
    comm_scratch *best = NULL;
    for (comm_scratch *s = comm->scratch; s != NULL; s = s->next) {
        if (!s->is_used && (best == NULL || s->bytes.cap > best->bytes.cap)) {
            best = s;
        }
    }
    if (best == NULL) {
        best = bt_calloc_array(1, sizeof *best);
        if (best == NULL) {
            (void)BT_FAIL(err, BT_E_NOMEM, "out of memory for the shares of other ranks");
            return NULL;
        }
        best->next = comm->scratch;
        comm->scratch = best;
    }
    if (comm_bytes_reserve(&best->bytes, n, err) != BT_OK) {
        return NULL;
    }
    best->is_used = true;
    return best;
}

static bt_status sum_place(bt_comm *comm, bt_comm_op *op, const comm_header *header, int32_t peer,
                           uint8_t **place, bt_error *err) {
    if (header->phase == 1) {
        *place = share_bytes(comm, op, peer);
        return BT_OK;
    }
    const size_t own = share_length(comm, op, comm->rank);
    if (op->scratch == NULL) {
        op->scratch = take_scratch(comm, own * (size_t)(comm->size - 1), err);
        if (op->scratch == NULL) {
            return BT_E_NOMEM;
        }
    }
    *place = op->scratch->bytes.data + own * (size_t)(peer < comm->rank ? peer : peer - 1);
    return BT_OK;
}

/* Both ranks have to be in the same call, with the same sizes. */
static bt_status check_header(const bt_comm *comm, const bt_comm_op *op, const comm_header *header,
                              int32_t peer, bt_error *err) {
    size_t min = op->min_bytes;
    size_t max = op->max_bytes;
    if (op->kind == COMM_FRAME_SUM) {
        min = share_length(comm, op, header->phase == 0 ? comm->rank : peer);
        max = min;
    }
    if (header->n_bytes < min || header->n_bytes > max) {
        return BT_FAIL(err, BT_E_INTERNAL,
                       "%s sends %" PRIu64 " bytes for %s, and rank %" PRId32
                       " expects %zu to %zu: the ranks do not make the same calls",
                       comm->peers[peer].label, header->n_bytes, op->what, comm->rank, min, max);
    }
    return BT_OK;
}

bt_status comm_op_place(bt_comm *comm, bt_comm_op *op, const comm_header *header, int32_t peer,
                        uint8_t **place, bt_error *err) {
    BT_TRY(check_header(comm, op, header, peer, err));
    if (op->kind == COMM_FRAME_SUM) {
        return sum_place(comm, op, header, peer, place, err);
    }
    if (op->place != NULL) {
        *place = op->place;
        return BT_OK;
    }
    BT_TRY(comm_bytes_reserve(&op->in[peer], (size_t)header->n_bytes, err));
    op->in[peer].n = (size_t)header->n_bytes;
    *place = op->in[peer].data;
    return BT_OK;
}

static void widen(const bt_comm *comm, bt_comm_op *op, int32_t rank) {
    comm_from_bf16(op->values + share_begin(comm, op, rank),
                   (const uint16_t *)(void *)share_bytes(comm, op, rank),
                   share_size(comm, op, rank));
}

static void add_shares(bt_comm *comm, bt_comm_op *op) {
    const int64_t n = share_size(comm, op, comm->rank);
    void *const   own = share_bytes(comm, op, comm->rank);
    const void   *others = op->scratch->bytes.data;
    if (op->wire == BT_COMM_BF16) {
        comm_add_bf16(own, others, n, comm->rank, comm->size);
        widen(comm, op, comm->rank);
    } else {
        comm_add_f32(own, others, n, comm->rank, comm->size);
    }
    op->scratch->is_used = false;
    op->scratch = NULL;
    op->is_reduced = true;
}

void comm_op_arrived(bt_comm *comm, bt_comm_op *op, uint32_t phase, int32_t peer) {
    atomic_store(&op->has_come[peer], true);
    if (op->kind != COMM_FRAME_SUM) {
        return;
    }
    if (phase == 1 && op->wire == BT_COMM_BF16) {
        widen(comm, op, peer);
    }
    if (phase == 0) {
        op->n_shares_left--;
        if (op->n_shares_left == 0) {
            add_shares(comm, op);
        }
    }
}

bt_status comm_op_start(bt_comm *comm, bt_comm_op *op, bt_error *err) {
    comm_span span;
    op->n_left = 0;
    op->n_shares_left = 0;
    op->is_reduced = false;
    if (op->kind == COMM_FRAME_SUM && op->wire == BT_COMM_BF16) {
        BT_TRY(comm_bytes_reserve(&op->rounded, (size_t)op->n * sizeof(uint16_t), err));
        comm_to_bf16((uint16_t *)(void *)op->rounded.data, op->values, op->n);
    }
    for (int32_t peer = 0; peer < comm->size; peer++) {
        atomic_store(&op->has_come[peer], peer == comm->rank);
        for (uint32_t phase = 0; phase < COMM_N_PHASES && peer != comm->rank; phase++) {
            const bool comes = comm_op_expects(comm, op, phase, peer);
            op->n_left += comes + (comm_op_out(comm, op, phase, peer, &span) != COMM_NOTHING);
            op->n_shares_left += comes && phase == 0;
        }
    }
    return BT_OK;
}
