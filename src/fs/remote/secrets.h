/* SPDX-License-Identifier: Apache-2.0
 *
 * secrets, private: what needs OpenSSL. Signing, and digests that others ask for (crc32c is our
 * own). Built without OpenSSL each refuses in one sentence. */
#ifndef BT_FS_SECRETS_H
#define BT_FS_SECRETS_H

#include "bt/fs.h"

/* header.claims.signature with RS256; key: PEM. */
BT_MUST_USE bt_status secrets_append_jwt(bt_str *out, const char *key_id, const char *claims,
                                         const char *key, bt_error *err);
/* The digest of bytes that are all there; out: 32 bytes for SHA-256, 20 for SHA-1, 16 for MD5. */
BT_MUST_USE bt_status secrets_digest(bt_fs_hash kind, const void *bytes, size_t n, uint8_t *out,
                                     bt_error *err);
/* key may lie in out. */
BT_MUST_USE bt_status secrets_hmac_sha256(const void *key, size_t n_key, const void *bytes,
                                          size_t n, uint8_t out[32], bt_error *err);
/* Overwrites, whatever the optimizer thinks of it. */
void        secrets_wipe(void *bytes, size_t n);
void        secrets_wipe_text(bt_str *text); /* and frees it */
const char *secrets_library(void);           /* for --version; NULL: not built in */

#endif
