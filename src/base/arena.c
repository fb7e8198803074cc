/* SPDX-License-Identifier: Apache-2.0
 *
 * The arena: blocks of bytes, filled one after another; under AddressSanitizer what is not given
 * out is poisoned. */
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/arena.h"
#include "bt/base/size.h"

#if defined(__SANITIZE_ADDRESS__)
#define BT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BT_ASAN 1
#endif
#endif
#ifdef BT_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

enum { ALIGN = 64 };

struct bt_arena_block {
    bt_arena_block *older;
    size_t          cap;
    size_t          used;
    _Alignas(ALIGN) unsigned char bytes[];
};

static bt_arena_block *block_create(size_t cap) {
    size_t total = 0;
    if (!bt_size_add(cap, sizeof(bt_arena_block), &total)) {
        return NULL;
    }
    bt_arena_block *const block = bt_alloc(total);
    if (block != NULL) {
        block->older = NULL;
        block->cap = cap;
        block->used = 0;
        POISON(block->bytes, cap);
    }
    return block;
}

static void block_free(bt_arena_block *block) {
    UNPOISON(block->bytes, block->cap);
    bt_free(block);
}

bt_status bt_arena_init(bt_arena *arena, size_t first_bytes, bt_error *err) {
    bt_arena_block *const block = block_create(first_bytes);
    if (block == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot reserve %zu bytes", first_bytes);
    }
    *arena = (bt_arena){.head = block};
    return BT_OK;
}

void bt_arena_deinit(bt_arena *arena) {
    if (arena == NULL) {
        return;
    }
    while (arena->head != NULL) {
        bt_arena_block *const older = arena->head->older;
        block_free(arena->head);
        arena->head = older;
    }
    *arena = (bt_arena){0};
}

void bt_arena_reset(bt_arena *arena) {
    bt_arena_block *const kept = arena->head;
    bt_arena              rest = {.head = kept->older};
    bt_arena_deinit(&rest);
    kept->older = NULL;
    kept->used = 0;
    POISON(kept->bytes, kept->cap);
}

void *bt_arena_alloc(bt_arena *arena, size_t n_bytes) {
    size_t rounded = 0;
    if (arena->head == NULL || !bt_size_add(n_bytes == 0 ? 1 : n_bytes, ALIGN - 1, &rounded)) {
        return NULL;
    }
    rounded &= ~(size_t)(ALIGN - 1);
    if (rounded > arena->head->cap - arena->head->used) {
        const size_t    grown = arena->head->cap * 2;
        bt_arena_block *fresh = block_create(rounded > grown ? rounded : grown);
        if (fresh == NULL) {
            fresh = block_create(rounded);
        }
        if (fresh == NULL) {
            return NULL;
        }
        fresh->older = arena->head;
        arena->head = fresh;
    }
    unsigned char *const ptr = arena->head->bytes + arena->head->used;
    arena->head->used += rounded;
    UNPOISON(ptr, n_bytes);
    return ptr;
}

void *bt_arena_alloc_array(bt_arena *arena, size_t n, size_t size) {
    size_t n_bytes = 0;
    if (!bt_size_mul(n, size, &n_bytes)) {
        return NULL;
    }
    return bt_arena_alloc(arena, n_bytes);
}

char *bt_arena_strndup(bt_arena *arena, const char *s, size_t n) {
    char *const copy = bt_arena_alloc(arena, n + 1);
    if (copy != NULL) {
        memcpy(copy, s, n);
        copy[n] = '\0';
    }
    return copy;
}

char *bt_arena_strdup(bt_arena *arena, const char *s) {
    return bt_arena_strndup(arena, s, strlen(s));
}
