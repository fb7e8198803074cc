/* SPDX-License-Identifier: Apache-2.0
 *
 * A byte stream that may be compressed, for the TFRecord reader. */
#ifndef BT_INFLATE_STREAM_H
#define BT_INFLATE_STREAM_H

#include "bt/wire/tfrecord.h"

typedef struct inflate_stream inflate_stream;

BT_MUST_USE bt_status inflate_stream_open(const char *path, bt_compression compression,
                                          inflate_stream **out, bt_error *err);
void                  inflate_stream_close(inflate_stream *stream); /* accepts NULL */
/* *got < n_bytes only at the end. A cut compressed stream simply ends (as TensorFlow has it). */
BT_MUST_USE bt_status inflate_stream_read(inflate_stream *stream, void *dst, size_t n_bytes,
                                          size_t *got, bt_error *err);
/* At the end: does a compressed stream lack its own end? */
bool        inflate_stream_is_cut(const inflate_stream *stream);
const char *inflate_stream_path(const inflate_stream *stream);
/* Bytes that can still come, or -1 when that is not known (compressed, a pipe). */
int64_t inflate_stream_left(const inflate_stream *stream);

#endif
