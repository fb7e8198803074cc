/* SPDX-License-Identifier: Apache-2.0
 *
 * A double-array trie (J. Aoe, "An efficient digital search algorithm by using a double-array
 * structure", 1989), built breadth first from sorted pieces. One addition and one comparison a
 * byte, and a vocabulary of 30,000 pieces fits the second-level cache. */
#include <string.h>

#include "bt/base/alloc.h"
#include "text_internal.h"

enum { FIRST_CAPACITY = 1 << 12, MAX_TRIES = 8 };

/* Pieces lo..hi-1 share their first `depth` bytes and belong below node. */
typedef struct range {
    int32_t  node;
    uint32_t depth;
    size_t   lo;
    size_t   hi;
} range;

typedef struct builder {
    text_trie *trie;
    range     *queue;
    size_t     queue_cap;
    size_t     n_queued;
    size_t     search_one;  /* places below are taken: for nodes with one child, which fill holes */
    size_t     search_many; /* places below hardly ever fit: for nodes with several */
    size_t    *next_free; /* [trie->n + 1] a free place itself; a taken one: some place after it */
} builder;

static bt_status grow_next_free(builder *b, size_t n, bt_error *err) {
    const size_t  old = b->next_free == NULL ? 0 : b->trie->n + 1;
    size_t *const grown = bt_realloc(b->next_free, old * sizeof *grown, (n + 1) * sizeof *grown);
    if (grown == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a trie of %zu nodes", n);
    }
    for (size_t i = old; i <= n; i++) {
        grown[i] = i;
    }
    b->next_free = grown;
    return BT_OK;
}

static bt_status reserve(builder *b, size_t need, bt_error *err) {
    text_trie *const trie = b->trie;
    if (need <= trie->n) {
        return BT_OK;
    }
    size_t n = trie->n == 0 ? FIRST_CAPACITY : trie->n;
    while (n < need) {
        n *= 2;
    }
    if (n > INT32_MAX / 2) {
        return BT_FAIL(err, BT_E_NOMEM, "the vocabulary's trie grows beyond %zu nodes", trie->n);
    }
    BT_TRY(grow_next_free(b, n, err));
    int32_t **const arrays[] = {&trie->base, &trie->check, &trie->id};
    for (size_t i = 0; i < BT_ARRAY_LEN(arrays); i++) {
        int32_t *const grown =
            bt_realloc(*arrays[i], trie->n * sizeof(int32_t), n * sizeof(int32_t));
        if (grown == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for a trie of %zu nodes", n);
        }
        *arrays[i] = grown;
    }
    for (size_t i = trie->n; i < n; i++) {
        trie->base[i] = 0;
        trie->check[i] = TEXT_TRIE_FREE;
        trie->id[i] = -1;
    }
    trie->n = n;
    return BT_OK;
}

/* The first free place at or after `at`; the paths that lead there get shorter on the way. */
static size_t find_free(builder *b, size_t at) {
    size_t *const next = b->next_free;
    while (next[at] != at) {
        next[at] = next[next[at]];
        at = next[at];
    }
    return at;
}

static void take_place(builder *b, size_t at, int32_t parent) {
    b->trie->check[at] = parent;
    /* reserve() made it: NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    b->next_free[at] = at + 1;
}

/* A base, from where a search has a point, at which all labels fall on free places. */
static bt_status find_base(builder *b, const unsigned char *labels, size_t n_labels, int32_t *base,
                           bt_error *err) {
    text_trie *const trie = b->trie;
    size_t *const    from = n_labels == 1 ? &b->search_one : &b->search_many;
    size_t           at = *from > labels[0] ? *from : (size_t)labels[0] + 1;
    size_t           n_tried = 0;
    for (;; at++) {
        at = find_free(b, at);
        BT_TRY(reserve(b, at + 512, err));
        n_tried++;
        const size_t candidate = at - labels[0];
        size_t       k = 1;
        while (k < n_labels && trie->check[candidate + labels[k]] == TEXT_TRIE_FREE) {
            k++;
        }
        if (k == n_labels) {
            break;
        }
    }
    if (n_labels == 1 || n_tried > MAX_TRIES) {
        *from = at;
    }
    *base = (int32_t)(at - labels[0]);
    return BT_OK;
}

/* Takes the pieces that end at this node and groups the others by their next byte. */
static bt_status add_children(builder *b, const text_piece *pieces, range r, bt_error *err) {
    text_trie *const trie = b->trie;
    unsigned char    labels[256];
    size_t           starts[257];
    size_t           n_labels = 0;
    for (size_t i = r.lo; i < r.hi; i++) {
        if (pieces[i].n_bytes == r.depth) {
            trie->id[r.node] = pieces[i].id;
            continue;
        }
        const unsigned char c = (unsigned char)pieces[i].bytes[r.depth];
        if (n_labels == 0 || labels[n_labels - 1] != c) {
            labels[n_labels] = c;
            starts[n_labels++] = i;
        }
    }
    if (n_labels == 0) {
        return BT_OK;
    }
    starts[n_labels] = r.hi;
    int32_t base = 0;
    BT_TRY(find_base(b, labels, n_labels, &base, err));
    trie->base[r.node] = base;
    BT_TRY(bt_grow(&b->queue, &b->queue_cap, b->n_queued + n_labels, sizeof *b->queue,
                   SIZE_MAX / 64, err));
    for (size_t k = 0; k < n_labels; k++) {
        const int32_t child = base + labels[k];
        take_place(b, (size_t)child, r.node);
        b->queue[b->n_queued++] =
            (range){.node = child, .depth = r.depth + 1, .lo = starts[k], .hi = starts[k + 1]};
    }
    return BT_OK;
}

bt_status text_trie_build(text_trie *trie, const text_piece *pieces, size_t n, bt_error *err) {
    bt_status rc = BT_OK;
    builder   b = {.trie = trie, .search_one = 1, .search_many = 1};
    BT_CHECK(reserve(&b, FIRST_CAPACITY, err));
    take_place(&b, TEXT_TRIE_ROOT, TEXT_TRIE_FREE - 1); /* nobody's child */
    BT_CHECK(bt_grow(&b.queue, &b.queue_cap, 1, sizeof *b.queue, SIZE_MAX / 64, err));
    b.queue[b.n_queued++] = (range){.node = TEXT_TRIE_ROOT, .depth = 0, .lo = 0, .hi = n};
    for (size_t i = 0; i < b.n_queued; i++) {
        if (b.queue[i].depth < TEXT_PIECE_MAX_BYTES) {
            BT_CHECK(add_children(&b, pieces, b.queue[i], err));
        } else if (pieces[b.queue[i].lo].n_bytes == b.queue[i].depth) {
            trie->id[b.queue[i].node] = pieces[b.queue[i].lo].id;
        }
    }
done:
    bt_free(b.queue);
    bt_free(b.next_free);
    return rc;
}

void text_trie_deinit(text_trie *trie) {
    bt_free(trie->base);
    bt_free(trie->check);
    bt_free(trie->id);
    *trie = (text_trie){0};
}
