/* SPDX-License-Identifier: Apache-2.0
 *
 * NumPy's .npy, the header of a float32 matrix. */
#ifndef BT_WIRE_NPY_H
#define BT_WIRE_NPY_H

#include <stdint.h>

/* The header of a .npy file that holds a float32 matrix [n_rows,n_cols]; its little-endian rows
 * follow. */
enum { BT_NPY_HEADER_BYTES = 128 };
void bt_npy_header_f32(char header[BT_NPY_HEADER_BYTES], int64_t n_rows, int64_t n_cols);

#endif
