/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that gzip packed, unpacked as a whole. */
#ifndef BT_WIRE_GZIP_H
#define BT_WIRE_GZIP_H

#include "bt/base/status.h"
#include "bt/fs.h"

/* Appends all that a gzip file holds to out, and flushes it. BT_E_FORMAT: damaged, or it ends
 * within the stream. */
BT_MUST_USE bt_status bt_gzip_unpack(const char *path, bt_fs_scratch *out, bt_error *err);
/* Does the file begin as gzip files do? false also when it cannot be read. */
bool bt_gzip_is_magic(const char *path);

#endif
