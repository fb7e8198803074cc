/* SPDX-License-Identifier: Apache-2.0
 *
 * Which row is at which place of an epoch: a pure function of (seed, epoch, place), so that
 * a cursor is three numbers and seeking costs nothing. Model Garden's shuffle draws from a buffer
 * of shuffle_buffer_size rows; ours is exact over the whole epoch for every size above 1. */
#include <inttypes.h>

#include "bt/base/alloc.h"
#include "bt/base/rng.h"
#include "data_internal.h"

typedef struct cycle_slot {
    size_t  part;
    int64_t next; /* row within the part */
    bool    is_open;
} cycle_slot;

/* tf.data's serial interleave: cycle slots are visited in turn, each gives a block; a file that
 * ends leaves its slot empty and the turn goes on; an empty slot whose turn it is takes the next
 * file. */
static void interleave(uint32_t *order, const data_rows *rows, cycle_slot *slots, size_t n_slots,
                       int64_t block_length) {
    size_t  next_part = 0;
    size_t  turn = 0;
    int64_t in_block = 0;
    int64_t n = 0;
    while (n < rows->n_rows) {
        cycle_slot *const slot = &slots[turn];
        if (!slot->is_open && next_part < rows->n_parts) {
            *slot = (cycle_slot){.part = next_part++, .next = 0, .is_open = true};
        }
        bool turn_is_over = true;
        if (slot->is_open) {
            const data_part *const part = &rows->parts[slot->part];
            if (slot->next < part->n_rows) {
                order[n++] = (uint32_t)(part->first + slot->next++);
                in_block++;
                turn_is_over = in_block == block_length;
            } else {
                slot->is_open = false;
            }
        }
        if (turn_is_over) {
            in_block = 0;
            turn = (turn + 1) % n_slots;
        }
    }
}

static bt_status make_interleaved(data_order *order, const data_rows *rows, int64_t cycle_length,
                                  int64_t block_length, bt_error *err) {
    if (rows->n_rows > (int64_t)UINT32_MAX) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "%" PRId64 " rows cannot be interleaved: set cycle_length: 1", rows->n_rows);
    }
    const size_t n_slots =
        cycle_length < (int64_t)rows->n_parts ? (size_t)cycle_length : rows->n_parts;
    cycle_slot *const slots = bt_calloc_array(n_slots, sizeof *slots);
    order->interleaved = bt_alloc_array((size_t)rows->n_rows, sizeof *order->interleaved);
    if (slots == NULL || order->interleaved == NULL) {
        bt_free(slots);
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the order of %" PRId64 " rows",
                       rows->n_rows);
    }
    interleave(order->interleaved, rows, slots, n_slots, block_length);
    bt_free(slots);
    return BT_OK;
}

bt_status data_order_init(data_order *order, const data_rows *rows, const bt_data_config *config,
                          bt_error *err) {
    *order = (data_order){.n_rows = rows->n_rows,
                          .seed = config->seed,
                          .shuffle = config->is_training && config->shuffle_buffer_size > 1};
    if (!order->shuffle && rows->n_parts > 1 && config->cycle_length > 1) {
        return make_interleaved(order, rows, config->cycle_length,
                                config->block_length > 1 ? config->block_length : 1, err);
    }
    return BT_OK;
}

void data_order_deinit(data_order *order) {
    bt_free(order->interleaved);
    order->interleaved = NULL;
}

int64_t data_order_at(const data_order *order, uint64_t epoch, uint64_t index) {
    if (order->shuffle) {
        const bt_rng_key key = bt_rng_key_make(order->seed, epoch, 0, BT_SITE_SHUFFLE);
        return (int64_t)bt_rng_permute(key, (uint64_t)order->n_rows, index);
    }
    return order->interleaved != NULL ? (int64_t)order->interleaved[index] : (int64_t)index;
}
