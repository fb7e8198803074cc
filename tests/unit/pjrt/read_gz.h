/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts of the kit of programs that JAX wrote, packed by gzip. */
#ifndef BT_TEST_READ_GZ_H
#define BT_TEST_READ_GZ_H

#include <zlib.h>

#include "bt/base/alloc.h"
#include "test_support.h"

/* A whole file, NUL-terminated; NULL: there is no path. Free with bt_free. */
static inline char *read_gz(const char *path, size_t *n_bytes) {
    enum { MAX_GZ_BYTES = 1 << 20 };
    if (path == NULL) {
        return NULL;
    }
    char *const  bytes = bt_alloc(MAX_GZ_BYTES);
    const gzFile file = gzopen(path, "rb");
    assert_non_null(bytes);
    assert_non_null(file);
    const int n = gzread(file, bytes, MAX_GZ_BYTES - 1);
    assert_true(n > 0 && n < MAX_GZ_BYTES - 1);
    assert_int_equal(gzclose(file), Z_OK);
    bytes[n] = '\0';
    *n_bytes = (size_t)n;
    return bytes;
}

#endif
