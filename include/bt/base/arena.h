/* SPDX-License-Identifier: Apache-2.0
 *
 * Arena: bytes that are given back together. Allocations are 64-byte aligned and live until deinit.
 * The first block should be the planned size; more are added if the plan was too small. */
#ifndef BT_BASE_ARENA_H
#define BT_BASE_ARENA_H

#include "bt/base/status.h"

typedef struct bt_arena_block bt_arena_block;
typedef struct bt_arena {
    bt_arena_block *head; /* the block being filled; older ones linked after it */
} bt_arena;

BT_MUST_USE bt_status bt_arena_init(bt_arena *arena, size_t first_bytes, bt_error *err);
void                  bt_arena_deinit(bt_arena *arena);
/* Takes all back and keeps the newest block, the largest, for what comes next. */
void              bt_arena_reset(bt_arena *arena);
BT_MUST_USE void *bt_arena_alloc(bt_arena *arena, size_t n_bytes); /* NULL: out of memory */
BT_MUST_USE void *bt_arena_alloc_array(bt_arena *arena, size_t n, size_t size);
BT_MUST_USE char *bt_arena_strdup(bt_arena *arena, const char *s);
BT_MUST_USE char *bt_arena_strndup(bt_arena *arena, const char *s, size_t n);

#endif
