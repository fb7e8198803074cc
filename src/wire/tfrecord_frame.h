/* SPDX-License-Identifier: Apache-2.0
 *
 * The frame of a TFRecord and its faults, shared by the sequential and the indexed reader. */
#ifndef BT_TFRECORD_FRAME_H
#define BT_TFRECORD_FRAME_H

#include "bt/base/status.h"

enum { TFRECORD_HEADER_BYTES = 12, TFRECORD_FOOTER_BYTES = 4 };

/* Verifies a header and gives the record's length. n_left: bytes of the file after the header,
 * or -1 when unknown; a longer record is refused before anything is allocated. */
BT_MUST_USE bt_status tfrecord_check_header(const uint8_t header[TFRECORD_HEADER_BYTES],
                                            const char *path, int64_t index, int64_t offset,
                                            int64_t n_left, uint64_t *n_bytes, bt_error *err);
/* data is followed by its checksum. */
BT_MUST_USE bt_status tfrecord_check_data(const uint8_t *data, size_t n_bytes, const char *path,
                                          int64_t index, int64_t offset, bt_error *err);

/* Fewer bytes than a header has. */
bt_status tfrecord_fail_cut_header(const char *path, int64_t index, int64_t offset, int64_t got,
                                   bt_error *err);

#endif
