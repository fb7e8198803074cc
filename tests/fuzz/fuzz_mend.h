/* SPDX-License-Identifier: Apache-2.0
 *
 * Sets the checksums in an input to what they should be, as far as their places can be told, so
 * that changed bytes get past them; and packs inputs, because a changed byte of a packed one is
 * hardly ever one of what was packed. Each works on its own reading of the format, not on ours. */
#ifndef BT_FUZZ_MEND_H
#define BT_FUZZ_MEND_H

#include "bt/base/str.h"

/* How the input that follows is meant: the first byte of targets whose formats have checksums. */
enum { FUZZ_MENDS = 1 };

/* Frames of TFRecord: lengths and data. */
void fuzz_mend_records(uint8_t *data, size_t n);
/* Blocks of a sorted-string table. */
void fuzz_mend_table(uint8_t *data, size_t n);
/* Headers of a tar archive. */
void fuzz_mend_tar(uint8_t *data, size_t n);

typedef enum fuzz_packing { FUZZ_PLAIN, FUZZ_GZIP, FUZZ_ZLIB } fuzz_packing;
/* Into out, which is cleared. */
void fuzz_pack(fuzz_packing packing, const uint8_t *data, size_t n, bt_str *out);

#endif
