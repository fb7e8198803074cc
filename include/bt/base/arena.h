/* SPDX-License-Identifier: Apache-2.0
 *
 * Arena: a stack of bytes with marks. Allocations are 64-byte aligned and live until reset,
 * release or deinit. The first reservation should be the planned size; more blocks are added if
 * the plan was too small. After bt_arena_reset the blocks are merged into one, so a repeated
 * pattern stops calling the heap. */
#ifndef BT_BASE_ARENA_H
#define BT_BASE_ARENA_H

#include "bt/base/status.h"

typedef struct bt_arena_block bt_arena_block;
typedef struct bt_arena {
    bt_arena_block *head; /* the block being filled; older ones linked behind it */
    size_t          used_bytes;
    size_t          peak_bytes;
} bt_arena;
typedef struct bt_arena_mark {
    bt_arena_block *block;
    size_t          block_used;
    size_t          used_bytes;
} bt_arena_mark;

BT_MUST_USE bt_status bt_arena_init(bt_arena *arena, size_t first_bytes, bt_error *err);
void                  bt_arena_deinit(bt_arena *arena);
BT_MUST_USE void     *bt_arena_alloc(bt_arena *arena, size_t n_bytes); /* NULL: out of memory */
BT_MUST_USE void     *bt_arena_alloc_array(bt_arena *arena, size_t n, size_t size);
BT_MUST_USE char     *bt_arena_strdup(bt_arena *arena, const char *s);
BT_MUST_USE char     *bt_arena_strndup(bt_arena *arena, const char *s, size_t n);
bt_arena_mark         bt_arena_get_mark(const bt_arena *arena);
void                  bt_arena_release(bt_arena *arena, bt_arena_mark mark);
BT_MUST_USE bt_status bt_arena_reset(bt_arena *arena, bt_error *err);

#endif
