/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums of rows by id. Each id belongs to the rank id % size: the rows go there, are added in the
 * order of the ranks, and the sums go to all. So a word that many ranks have travels to each once.
 *
 * A message: u32 n, n ids (u32), n rows. */
#include <string.h>

#include "comm_internal.h"

static const uint64_t largest_message = (uint64_t)1 << 32;

typedef struct row_format {
    int64_t      width;
    bt_comm_wire wire;
    size_t       row_bytes;
} row_format;

/* A message of a rank, and how far it was read. */
typedef struct row_list {
    const uint8_t *ids, *values;
    int64_t        n, at;
} row_list;

static size_t message_bytes(const row_format *r, int64_t n) {
    return 4 + (size_t)n * (4 + r->row_bytes);
}

static void store_row(const row_format *r, uint8_t *to, const float *row) {
    for (int64_t i = 0; r->wire == BT_COMM_BF16 && i < r->width; i++) {
        uint16_t rounded; /* to stands at any byte */
        comm_to_bf16(&rounded, row + i, 1);
        memcpy(to + 2 * i, &rounded, sizeof rounded);
    }
    if (r->wire != BT_COMM_BF16) {
        memcpy(to, row, r->row_bytes);
    }
}

static float load_value(const row_format *r, const uint8_t *from, int64_t i) {
    float    value;
    uint16_t rounded;
    if (r->wire == BT_COMM_BF16) {
        memcpy(&rounded, from + 2 * i, sizeof rounded);
        comm_from_bf16(&value, &rounded, 1);
    } else {
        memcpy(&value, from + 4 * i, sizeof value);
    }
    return value;
}

static int32_t id_at(const row_list *list, int64_t i) {
    return (int32_t)bt_load_u32le(list->ids + 4 * i);
}

/* What another rank says is looked at before it is used. owner: of all its ids. */
static bt_status open_list(const bt_comm *comm, const row_format *r, const uint8_t *bytes,
                           size_t n_bytes, int32_t from, int32_t owner, row_list *out,
                           bt_error *err) {
    const int64_t n = n_bytes >= 4 ? bt_load_u32le(bytes) : 0;
    bool          is_sound = n_bytes >= 4 && message_bytes(r, n) == n_bytes;
    *out = (row_list){.ids = bytes + 4, .values = bytes + 4 + 4 * n, .n = n};
    for (int64_t i = 0; i < n && is_sound; i++) {
        const int32_t id = id_at(out, i);
        is_sound = id >= 0 && id % comm->size == owner && (i == 0 || id > id_at(out, i - 1));
    }
    return is_sound ? BT_OK
                    : BT_FAIL(err, BT_E_INTERNAL,
                              "%s sent %zu bytes that are no ascending rows of %" PRId64
                              " numbers for rank %" PRId32 ": the ranks do not make the same calls",
                              comm->peers[from].label, n_bytes, r->width, owner);
}

/* This rank's rows, parted by owner: comm->row_spans. */
static bt_status part_rows(bt_comm *comm, const row_format *r, const int32_t *ids,
                           const float *values, int64_t n, bt_error *err) {
    const size_t total = 4 * (size_t)comm->size + (size_t)n * (4 + r->row_bytes);
    BT_TRY(comm_bytes_reserve(&comm->row_shares, total, err));
    uint8_t *at = comm->row_shares.data;
    for (int32_t owner = 0; owner < comm->size; owner++) {
        int64_t m = 0;
        for (int64_t i = 0; i < n; i++) {
            if (ids[i] % comm->size == owner) {
                bt_store_u32le(at + 4 + 4 * m, (uint32_t)ids[i]);
                m++;
            }
        }
        bt_store_u32le(at, (uint32_t)m);
        uint8_t *row = at + 4 + 4 * m;
        for (int64_t i = 0; i < n; i++) {
            if (ids[i] % comm->size == owner) {
                store_row(r, row, values + i * r->width);
                row += r->row_bytes;
            }
        }
        comm->row_spans[owner] = (comm_span){at, message_bytes(r, m)};
        at += message_bytes(r, m);
    }
    return BT_OK;
}

static bt_status exchange(bt_comm *comm, const comm_span *spans, comm_span all, bt_comm_op **op,
                          bt_error *err) {
    BT_TRY(comm_op_take(comm, COMM_FRAME_EXCHANGE, "a sum of rows", op, err));
    (*op)->outs = (comm_span *)(uintptr_t)spans;
    (*op)->out = all;
    (*op)->min_bytes = 4;
    (*op)->max_bytes = (size_t)largest_message;
    const bt_status rc = comm_op_post(comm, *op, err);
    if (rc != BT_OK) {
        *op = NULL; /* given back already */
        return rc;
    }
    return comm_op_wait(*op, 0, err);
}

/* The smallest id that a list still has; -1: none. */
static int32_t next_id(const row_list *lists, int32_t n) {
    int32_t id = -1;
    for (int32_t k = 0; k < n; k++) {
        const row_list *const l = &lists[k];
        if (l->at < l->n && (id < 0 || id_at(l, l->at) < id)) {
            id = id_at(l, l->at);
        }
    }
    return id;
}

/* As a sum of whole tables does: a rank without the row has zeros there, which make a -0 a 0. */
static void add_row(const row_format *r, row_list *lists, int32_t n, int32_t id, float *sum) {
    bool is_first = true;
    bool all_have = true;
    for (int32_t k = 0; k < n; k++) {
        all_have = all_have && lists[k].at < lists[k].n && id_at(&lists[k], lists[k].at) == id;
    }
    if (!all_have) {
        memset(sum, 0, (size_t)r->width * sizeof *sum);
        is_first = false;
    }
    for (int32_t k = 0; k < n; k++) {
        row_list *const l = &lists[k];
        if (l->at >= l->n || id_at(l, l->at) != id) {
            continue;
        }
        const uint8_t *const row = l->values + (size_t)l->at * r->row_bytes;
        for (int64_t i = 0; i < r->width; i++) {
            sum[i] = is_first ? load_value(r, row, i) : sum[i] + load_value(r, row, i);
        }
        is_first = false;
        l->at++;
    }
}

/* The rows that this rank owns, added: a message in comm->row_sums. */
static bt_status add_rows(bt_comm *comm, const row_format *r, row_list *lists, float *sum,
                          size_t *n_out, bt_error *err) {
    int64_t n = 0;
    for (int32_t id = next_id(lists, comm->size); id >= 0; id = next_id(lists, comm->size), n++) {
        for (int32_t k = 0; k < comm->size; k++) {
            row_list *const l = &lists[k];
            l->at += l->at < l->n && id_at(l, l->at) == id;
        }
    }
    *n_out = message_bytes(r, n);
    BT_TRY(comm_bytes_reserve(&comm->row_sums, *n_out, err));
    uint8_t *const out = comm->row_sums.data;
    uint8_t       *row = out + 4 + 4 * n;
    bt_store_u32le(out, (uint32_t)n);
    for (int32_t k = 0; k < comm->size; k++) {
        lists[k].at = 0;
    }
    for (int64_t i = 0; i < n; i++, row += r->row_bytes) {
        const int32_t id = next_id(lists, comm->size);
        bt_store_u32le(out + 4 + 4 * i, (uint32_t)id);
        add_row(r, lists, comm->size, id, sum);
        store_row(r, row, sum);
    }
    return BT_OK;
}

/* Lists that have no id in common, in order. */
static bt_status merge(const row_format *r, row_list *lists, int32_t size, bt_comm_rows *out,
                       bt_error *err) {
    int64_t n = 0;
    for (int32_t k = 0; k < size; k++) {
        n += lists[k].n;
    }
    const size_t max = SIZE_MAX / 16;
    BT_TRY(bt_grow(&out->ids, &out->cap_ids, (size_t)n + 1, sizeof *out->ids, max, err));
    BT_TRY(bt_grow(&out->rows, &out->cap_rows, (size_t)(n * r->width) + 1, sizeof *out->rows, max,
                   err));
    for (int64_t i = 0; i < n; i++) {
        const int32_t id = next_id(lists, size);
        row_list     *l = &lists[id % size];
        out->ids[i] = id;
        for (int64_t j = 0; j < r->width; j++) {
            out->rows[i * r->width + j] =
                load_value(r, l->values + (size_t)l->at * r->row_bytes, j);
        }
        l->at++;
    }
    out->n = n;
    return BT_OK;
}

/* The messages of all, this rank's own being own. each: they own their ids; else this rank does. */
static bt_status open_lists(const bt_comm *comm, const row_format *r, const bt_comm_op *op,
                            comm_span own, bool each, row_list *lists, bt_error *err) {
    for (int32_t k = 0; k < comm->size; k++) {
        const bool is_own = k == comm->rank;
        BT_TRY(open_list(comm, r, is_own ? own.data : op->in[k].data, is_own ? own.n : op->in[k].n,
                         k, each ? k : comm->rank, &lists[k], err));
    }
    return BT_OK;
}

static bt_status sum_rows(bt_comm *comm, const row_format *r, row_list *lists, float *sum,
                          bt_comm_rows *out, bt_error *err) {
    bt_comm_op *op = NULL;
    comm_span   own = {NULL, 0};
    bt_status   rc = BT_OK;
    BT_CHECK(exchange(comm, comm->row_spans, own, &op, err));
    BT_CHECK(open_lists(comm, r, op, comm->row_spans[comm->rank], false, lists, err));
    BT_CHECK(add_rows(comm, r, lists, sum, &own.n, err));
    own.data = comm->row_sums.data;
    comm_op_release(op);
    op = NULL;
    BT_CHECK(exchange(comm, NULL, own, &op, err));
    BT_CHECK(open_lists(comm, r, op, own, true, lists, err));
    BT_CHECK(merge(r, lists, comm->size, out, err));
done:
    comm_op_release(op);
    return rc;
}

static bt_status copy_rows(const row_format *r, const int32_t *ids, const float *values, int64_t n,
                           bt_comm_rows *out, bt_error *err) {
    const size_t max = SIZE_MAX / 16;
    BT_TRY(bt_grow(&out->ids, &out->cap_ids, (size_t)n + 1, sizeof *ids, max, err));
    BT_TRY(
        bt_grow(&out->rows, &out->cap_rows, (size_t)(n * r->width) + 1, sizeof *values, max, err));
    if (n > 0) {
        memcpy(out->ids, ids, (size_t)n * sizeof *ids);
        memcpy(out->rows, values, (size_t)(n * r->width) * sizeof *values);
    }
    out->n = n;
    return BT_OK;
}

bt_status bt_comm_sum_rows(bt_comm *comm, const int32_t *ids, const float *values, int64_t n,
                           int64_t width, bt_comm_wire wire, bt_comm_rows *out, bt_error *err) {
    const row_format r = {
        .width = width, .wire = wire, .row_bytes = (size_t)width * (wire == BT_COMM_BF16 ? 2 : 4)};
    if (comm == NULL) {
        return copy_rows(&r, ids, values, n, out, err);
    }
    if (message_bytes(&r, n) > largest_message) {
        return BT_FAIL(err, BT_E_NOMEM, "%" PRId64 " rows of %" PRId64 " numbers are too many", n,
                       width);
    }
    row_list *const lists = bt_calloc_array((size_t)comm->size, sizeof *lists);
    float *const    sum = bt_alloc_array((size_t)width, sizeof *sum);
    bt_status       rc = BT_OK;
    if (lists == NULL || sum == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for a row of %" PRId64 " numbers", width);
        goto done;
    }
    BT_CHECK(part_rows(comm, &r, ids, values, n, err));
    BT_CHECK(sum_rows(comm, &r, lists, sum, out, err));
done:
    bt_free(lists);
    bt_free(sum);
    if (rc != BT_OK) {
        bt_comm_fail(comm, err); /* the others wait for what will not come */
    }
    return rc;
}

void bt_comm_rows_deinit(bt_comm_rows *rows) {
    bt_free(rows->ids);
    bt_free(rows->rows);
    *rows = (bt_comm_rows){.n = 0};
}
