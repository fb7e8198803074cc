/* SPDX-License-Identifier: Apache-2.0
 *
 * What tools/analyze.sh tells gcc's analyzer of our heap (include/bt/base/alloc.h), before each
 * file: then it looks for use after free and double free of these blocks, too. */
#ifndef BT_ANALYZE_HEAP_H
#define BT_ANALYZE_HEAP_H

#include <stddef.h>

#include "bt/base/alloc.h"

#define BT_HEAP_BLOCK __attribute__((__malloc__, __malloc__(bt_free, 1)))

void                bt_free(void *ptr);
BT_HEAP_BLOCK void *bt_alloc(size_t n_bytes);
BT_HEAP_BLOCK void *bt_alloc_array(size_t n, size_t size);
BT_HEAP_BLOCK void *bt_calloc_array(size_t n, size_t size);
BT_HEAP_BLOCK void *bt_alloc_small(size_t n_bytes);
BT_HEAP_BLOCK char *bt_strdup(const char *s);
BT_HEAP_BLOCK char *bt_strndup(const char *s, size_t n);

#endif
