/* SPDX-License-Identifier: Apache-2.0
 *
 * The allocator seam: all heap use goes through here. Memory is 64-byte aligned. Sizes of 0 give a
 * unique non-NULL pointer. NULL only when out of memory (or when a test asked for it). */
#ifndef BT_BASE_ALLOC_H
#define BT_BASE_ALLOC_H

#include "bt/base/status.h"

BT_MUST_USE void *bt_alloc(size_t n_bytes);
BT_MUST_USE void *bt_alloc_array(size_t n, size_t size);  /* n*size checked; uninitialised */
BT_MUST_USE void *bt_calloc_array(size_t n, size_t size); /* zeroed */
/* For libraries that make many small pieces: as malloc aligns. bt_free gives it back. */
BT_MUST_USE void *bt_alloc_small(size_t n_bytes);
BT_MUST_USE void *bt_realloc_small(void *ptr, size_t n_bytes); /* of such a piece, or NULL */
BT_MUST_USE void *bt_realloc(void *ptr, size_t old_bytes, size_t new_bytes);
void              bt_free(void *ptr); /* accepts NULL */
/* n*size checked; zeros of the system's, which take memory when they are written. */
BT_MUST_USE void *bt_calloc_untouched(size_t n, size_t size);
/* Gives the whole pages within a part of such memory back to the system: they read as 0 from then
 * on (or stay what they were), and take memory again only when they are written. */
void              bt_alloc_release(void *from, size_t n_bytes);
BT_MUST_USE char *bt_strdup(const char *s);
BT_MUST_USE char *bt_strndup(const char *s, size_t n);

/* Room for `need` elements in *ptr (capacity *cap elements), growing by doubling, never beyond
 * max elements: *ptr and *cap stay valid on failure. Error: BT_E_NOMEM. */
BT_MUST_USE bt_status bt_grow(void *ptr_to_array, size_t *cap, size_t need, size_t elem_size,
                              size_t max, bt_error *err);

/* Tests: fail the k-th allocation from now (1 = next), once or from then on; 0 = never. */
void     bt_alloc_fail_at(uint64_t k, bool persistent);
uint64_t bt_alloc_count(void); /* successful and failed calls so far, all threads */

#endif
