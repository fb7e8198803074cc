/* SPDX-License-Identifier: Apache-2.0
 *
 * web, private: files of web servers, read only; also those of the Hugging Face hub that its cache
 * cannot hold. */
#ifndef BT_FS_WEB_H
#define BT_FS_WEB_H

#include "remote.h"

BT_MUST_USE bt_status web_stat(const char *path, remote_info *out, bt_error *err);
BT_MUST_USE bt_status web_read(const char *path, const remote_info *info, int64_t offset, void *dst,
                               size_t n, const atomic_int *cancel, bt_error *err);
BT_MUST_USE bt_status web_download(const char *path, const http_sink *sink, size_t max_bytes,
                                   double limit_seconds, bt_error *err);

#endif
