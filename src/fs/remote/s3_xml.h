/* SPDX-License-Identifier: Apache-2.0
 *
 * s3_xml, private: the answers of S3 (and of STS) parsed by expat. What no answer of theirs
 * has is refused: a DTD (and with it entities of its own), depth, long texts. "Not well-formed"
 * (BT_E_FORMAT) is distinguished from "out of memory" (BT_E_NOMEM). */
#ifndef BT_FS_S3_XML_H
#define BT_FS_S3_XML_H

#include "bt/fs.h"

/* An element that is looked for, by its path from the root: "Error/Code". */
typedef struct s3_xml_field {
    const char *path;
    bt_str     *text; /* of the first one is appended */
    bool        found;
} s3_xml_field;

BT_MUST_USE bt_status s3_xml_read(const char *xml, size_t n_bytes, s3_xml_field *fields,
                                  size_t n_fields, bt_error *err);
/* ListBucketResult: full paths into *out; *token: what continues the list, "" at its end. Names
 * that no path can have (a zero byte, or none) are left out. */
BT_MUST_USE bt_status s3_parse_list(const char *bucket, const char *xml, size_t n_bytes,
                                    bt_fs_names *out, bt_str *token, bt_error *err);
const char           *s3_xml_library(void); /* for --version; NULL: not built in */

#endif
