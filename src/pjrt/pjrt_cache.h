/* SPDX-License-Identifier: Apache-2.0
 *
 * pjrt, private: compiled programs on the disk. */
#ifndef BT_PJRT_CACHE_H
#define BT_PJRT_CACHE_H

#include "pjrt_internal.h"

/* The file of a program in the folder: its name is a digest of all that decides what is compiled.
 * The caller bt_free()s *path. */
BT_MUST_USE bt_status pjrt_cache_path(const bt_pjrt_client *client, const char *folder,
                                      const char *text, size_t n_bytes, const bt_str *options,
                                      char **path, bt_error *err);
/* What is there, or an empty *out: missing, or damaged (a line says so). */
BT_MUST_USE bt_status pjrt_cache_read(const char *path, bt_str *out, bt_error *err);
/* Keeps a program. A folder that cannot be written is a warning: the program is here all the same.
 */
void pjrt_cache_write(const char *folder, const char *path, const void *bytes, size_t n_bytes);

#endif
