/* SPDX-License-Identifier: Apache-2.0
 *
 * crc32c (Castagnoli), as TFRecord and LevelDB tables use it. */
#ifndef BT_BASE_CRC32C_H
#define BT_BASE_CRC32C_H

#include "bt/base/compiler.h"

/* crc of the bytes so far (0 at the start) extended by data. By the processor's instruction,
 * where it has one. */
uint32_t bt_crc32c(uint32_t crc, const void *data, size_t n);
bool     bt_crc32c_has_instruction(void);                           /* SSE4.2, ARMv8's CRC32 */
uint32_t bt_crc32c_table(uint32_t crc, const void *data, size_t n); /* the portable twin */
/* rotr(crc,15) + 0xa282ead8: docs/model_garden/data.md section 5 */
uint32_t bt_crc32c_mask(uint32_t crc);

#endif
