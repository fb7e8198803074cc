/* SPDX-License-Identifier: Apache-2.0
 *
 * The allocator seam. Tests make the k-th allocation fail through here, and count
 * calls to prove that a warmed-up training step makes none. */
#define _DEFAULT_SOURCE
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/size.h"

enum { ALIGN = 64, HUGE_PAGE = 1 << 21, HUGE_FROM = 1 << 23 };

/* Test hooks; untouched (and free of cost but two relaxed loads) in production. */
static atomic_uint_fast64_t n_calls;
static atomic_uint_fast64_t fail_at; /* call number that fails; 0 = none */
static atomic_bool          fail_persistent;

void bt_alloc_fail_at(uint64_t k, bool persistent) {
    atomic_store(&fail_persistent, persistent);
    atomic_store(&fail_at, k == 0 ? 0 : atomic_load(&n_calls) + k);
}

uint64_t bt_alloc_count(void) {
    return atomic_load(&n_calls);
}

static bool must_fail(void) {
    const uint64_t call = atomic_fetch_add_explicit(&n_calls, 1, memory_order_relaxed) + 1;
    const uint64_t target = atomic_load_explicit(&fail_at, memory_order_relaxed);
    if (target == 0) {
        return false;
    }
    return call == target || (call > target && atomic_load(&fail_persistent));
}

/* Weights and activations are walked in strides of a row: in pages of 4 KiB half of the time goes
 * into looking pages up. The kernel is asked, and may say no. */
static void *alloc_huge(size_t rounded) {
    void *const ptr = aligned_alloc(HUGE_PAGE, rounded);
    if (ptr != NULL) {
        (void)madvise(ptr, rounded, MADV_HUGEPAGE);
    }
    return ptr;
}

void *bt_alloc(size_t n_bytes) {
    const size_t align = n_bytes >= HUGE_FROM ? HUGE_PAGE : ALIGN;
    size_t       rounded = 0;
    if (must_fail() || !bt_size_add(n_bytes == 0 ? 1 : n_bytes, align - 1, &rounded)) {
        return NULL;
    }
    rounded &= ~(align - 1);
    return align == HUGE_PAGE ? alloc_huge(rounded) : aligned_alloc(align, rounded);
}

/* The whole pages within a part of memory: their place in it and their bytes, which may be 0. */
typedef struct whole_pages {
    size_t at, n_bytes;
} whole_pages;

static whole_pages pages_of(const void *from, size_t n_bytes) {
    const long page_bytes = sysconf(_SC_PAGESIZE);
    if (page_bytes <= 0) {
        return (whole_pages){0};
    }
    const uintptr_t page = (uintptr_t)page_bytes;
    const uintptr_t first = ((uintptr_t)from + page - 1) / page * page;
    const uintptr_t end = ((uintptr_t)from + n_bytes) / page * page;
    return end > first ? (whole_pages){first - (uintptr_t)from, end - first} : (whole_pages){0};
}

/* Pages that were given back must not come again as the rest of a huge one, which a neighbour
 * asks for, or which the kernel makes of what lies together. */
void bt_alloc_release(void *from, size_t n_bytes) {
    const whole_pages pages = pages_of(from, n_bytes);
    if (pages.n_bytes > 0) {
        unsigned char *const at = (unsigned char *)from + pages.at;
        (void)madvise(at, pages.n_bytes, MADV_NOHUGEPAGE);
        (void)madvise(at, pages.n_bytes, MADV_DONTNEED);
    }
}

void *bt_alloc_small(size_t n_bytes) {
    return must_fail() ? NULL : malloc(n_bytes == 0 ? 1 : n_bytes);
}

void *bt_realloc_small(void *ptr, size_t n_bytes) {
    return must_fail() ? NULL : realloc(ptr, n_bytes == 0 ? 1 : n_bytes);
}

void *bt_alloc_array(size_t n, size_t size) {
    size_t n_bytes = 0;
    if (!bt_size_mul(n, size, &n_bytes)) {
        return NULL;
    }
    return bt_alloc(n_bytes);
}

void *bt_calloc_array(size_t n, size_t size) {
    void *const ptr = bt_alloc_array(n, size);
    if (ptr != NULL) {
        memset(ptr, 0, n * size);
    }
    return ptr;
}

void *bt_calloc_untouched(size_t n, size_t size) {
    unsigned char *const ptr = bt_alloc_array(n, size);
    if (ptr == NULL) {
        return NULL;
    }
    const whole_pages pages = pages_of(ptr, n * size);
    if (pages.n_bytes == 0 || madvise(ptr + pages.at, pages.n_bytes, MADV_DONTNEED) != 0) {
        memset(ptr, 0, n * size);
    } else {
        const size_t end = pages.at + pages.n_bytes;
        memset(ptr, 0, pages.at);
        memset(ptr + end, 0, n * size - end);
    }
    return ptr;
}

void *bt_realloc(void *ptr, size_t old_bytes, size_t new_bytes) {
    void *const fresh = bt_alloc(new_bytes);
    if (fresh == NULL) {
        return NULL;
    }
    if (ptr != NULL) {
        memcpy(fresh, ptr, old_bytes < new_bytes ? old_bytes : new_bytes);
        bt_free(ptr);
    }
    return fresh;
}

void bt_free(void *ptr) {
    free(ptr);
}

char *bt_strndup(const char *s, size_t n) {
    char *const copy = bt_alloc_array(n + 1, 1);
    if (copy != NULL) {
        memcpy(copy, s, n);
        copy[n] = '\0';
    }
    return copy;
}

char *bt_strdup(const char *s) {
    return bt_strndup(s, strlen(s));
}

bt_status bt_grow(void *ptr_to_array, size_t *cap, size_t need, size_t elem_size, size_t max,
                  bt_error *err) {
    if (need <= *cap) {
        return BT_OK;
    }
    if (need > max) {
        return BT_FAIL(err, BT_E_NOMEM, "%zu elements wanted, at most %zu allowed", need, max);
    }
    size_t new_cap = *cap < 8 ? 8 : *cap;
    while (new_cap < need) {
        new_cap = new_cap > max / 2 ? max : new_cap * 2;
    }
    size_t old_bytes = 0;
    size_t new_bytes = 0;
    if (!bt_size_mul(*cap, elem_size, &old_bytes) || !bt_size_mul(new_cap, elem_size, &new_bytes)) {
        return BT_FAIL(err, BT_E_NOMEM, "%zu elements of %zu bytes do not fit the address space",
                       new_cap, elem_size);
    }
    void *old = NULL;
    memcpy(&old, ptr_to_array, sizeof old); /* the caller's pointer has another type */
    void *const fresh = bt_realloc(old, old_bytes, new_bytes);
    if (fresh == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for %zu bytes", new_bytes);
    }
    memcpy(ptr_to_array, &fresh, sizeof fresh);
    *cap = new_cap;
    return BT_OK;
}
