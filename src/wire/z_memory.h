/* SPDX-License-Identifier: Apache-2.0
 *
 * zlib with the program's own memory. */
#ifndef BT_Z_MEMORY_H
#define BT_Z_MEMORY_H

#include <zlib.h>

/* Of a stream that is about to be initialised. */
void z_memory_set(z_stream *z);

#endif
