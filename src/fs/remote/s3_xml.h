/* SPDX-License-Identifier: Apache-2.0
 *
 * s3_xml, private: as much XML as the answers of S3 need: elements without attributes that matter,
 * text with the five entities and character numbers. */
#ifndef BT_FS_S3_XML_H
#define BT_FS_S3_XML_H

#include "bt/fs.h"

/* The text of the first element of that name, appended. false: there is none, or no memory. */
bool s3_xml_text(const char *xml, const char *element, bt_str *out);
/* ListBucketResult: full paths into *out; *token: what continues the list, "" at its end. */
BT_MUST_USE bt_status s3_parse_list(const char *bucket, const char *xml, bt_fs_names *out,
                                    bt_str *token, bt_error *err);

#endif
