/* SPDX-License-Identifier: Apache-2.0
 *
 * The header of a NumPy file, format version 1.0: magic, version, length, a Python dict, spaces up
 * to a multiple of 64 and LF. Always 128 bytes here, as numpy.save gives them for a matrix. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/status.h"
#include "bt/wire/npy.h"

void bt_npy_header_f32(char header[BT_NPY_HEADER_BYTES], int64_t n_rows, int64_t n_cols) {
    enum { N_FIXED = 10, N_TEXT = BT_NPY_HEADER_BYTES - N_FIXED };
    static const char magic[N_FIXED] = {'\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, N_TEXT, 0};
    char              text[N_TEXT + 1];
    const int         n =
        snprintf(text, sizeof text,
                 "{'descr': '<f4', 'fortran_order': False, 'shape': (%" PRId64 ", %" PRId64 "), }",
                 n_rows, n_cols);
    BT_ASSERT(n > 0 && n < N_TEXT);
    memcpy(header, magic, N_FIXED);
    memset(header + N_FIXED, ' ', N_TEXT);
    memcpy(header + N_FIXED, text, (size_t)n);
    header[BT_NPY_HEADER_BYTES - 1] = '\n';
}
