/* SPDX-License-Identifier: Apache-2.0
 *
 * Input bytes as files for parsers that open a path: in memory where the machine has a file system
 * of it (/dev/shm), so that a parser is fed as fast as it reads. */
#ifndef BT_FUZZ_FILE_H
#define BT_FUZZ_FILE_H

#include <stddef.h>
#include <stdint.h>

/* Writes the bytes to <temporary folder of this process>/name; returns the path (static). */
const char *fuzz_file(const char *name, const uint8_t *data, size_t size);
/* Parts apart by NULs, each to its file; that of an empty part is removed. Returns what is left. */
const uint8_t *fuzz_files(const char *const *names, size_t n, const uint8_t *data,
                          const uint8_t *end);
/* <temporary folder of this process>/name (static), a folder which is made at the first call. */
const char *fuzz_folder(const char *name);

#endif
