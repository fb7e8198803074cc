/* SPDX-License-Identifier: Apache-2.0
 *
 * Input bytes as a file in memory, for parsers that open a path. */
#ifndef BT_FUZZ_FILE_H
#define BT_FUZZ_FILE_H

#include <stddef.h>
#include <stdint.h>

/* Writes the bytes to <temporary folder of this process>/name; returns the path (static). */
const char *fuzz_file(const char *name, const uint8_t *data, size_t size);

#endif
