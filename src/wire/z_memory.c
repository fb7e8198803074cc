/* SPDX-License-Identifier: Apache-2.0
 *
 * What zlib allocates counts as the program's own memory, and fails with it. */
#include "z_memory.h"

#include "bt/base/alloc.h"

static voidpf allocate(voidpf opaque, uInt n, uInt size) {
    (void)opaque;
    return bt_alloc_array(n, size);
}

static void release(voidpf opaque, voidpf ptr) {
    (void)opaque;
    bt_free(ptr);
}

void z_memory_set(z_stream *z) {
    z->zalloc = allocate;
    z->zfree = release;
}
