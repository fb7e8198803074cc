/* SPDX-License-Identifier: Apache-2.0
 *
 * gcs, private: Google Cloud Storage's JSON interface. gcs.c looks, lists, reads and removes;
 * gcs_upload.c writes; gcs_auth.c has the tokens. */
#ifndef BT_FS_GCS_H
#define BT_FS_GCS_H

#include <jansson.h>

#include "remote.h"

enum { GCS_MAX_JSON = 64 << 20 };

/* The credentials to use with that endpoint; NULL: none (an emulator). */
const http_auth *gcs_auth(void);

/* "{endpoint}{service}/b/BUCKET/o" */
BT_MUST_USE bt_status gcs_append_bucket(bt_str *url, const char *service, const remote_name *name,
                                        bt_error *err);
/* One object's resource. *found false: there is none. */
BT_MUST_USE bt_status gcs_get_resource(const char *path, remote_info *info, bool *found,
                                       bt_error *err);
/* Fills *info from a resource's JSON text. */
BT_MUST_USE bt_status gcs_parse_resource(const char *path, const char *text, size_t n,
                                         remote_info *info, bt_error *err);
/* One page of a list of objects: full paths into *out, *next the token of the next page ("" when
 * it was the last). Names that no file can have here are left out. */
BT_MUST_USE bt_status gcs_parse_list(const char *bucket, const char *text, size_t n,
                                     bt_fs_names *out, bt_str *next, bt_error *err);
/* Removes one generation only. */
BT_MUST_USE bt_status gcs_remove_version(const char *path, int64_t version, bt_error *err);

/* gcs_upload.c */
bt_status gcs_put(const char *path, const void *bytes, size_t n, int64_t if_version,
                  int64_t *version, bt_error *err);
bt_status gcs_upload_begin(const char *path, void **out, bt_error *err);
bt_status gcs_upload_chunk(void *context, const void *bytes, size_t n, bool last, bt_error *err);
void      gcs_upload_end(void *context);

#endif
