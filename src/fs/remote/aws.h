/* SPDX-License-Identifier: Apache-2.0
 *
 * aws, private to the fs room: accounts of Amazon's kind and the signatures (SigV4) made with them.
 * Knows nothing of objects: s3.h does. No secret is ever put into a message. */
#ifndef BT_FS_AWS_H
#define BT_FS_AWS_H

#include "bt/fs.h"
#include "http.h"

/* ---- credentials ------------------------------------------------------------------------------
 */

typedef struct aws_credentials {
    char  *id;      /* NULL: none were found (requests are not signed) */
    char  *secret;  /* all owned */
    char  *token;   /* of a session; "" for none */
    double expires; /* bt_time_unix(); 0: never */
} aws_credentials;

void aws_credentials_deinit(aws_credentials *credentials); /* wipes */
/* Copies; the texts must be of printable ASCII (they go into header fields): else BT_E_CONFIG that
 * names "from". token may be NULL. */
BT_MUST_USE bt_status aws_credentials_set(aws_credentials *out, const char *id, const char *secret,
                                          const char *token, const char *from, bt_error *err);
/* Those of this process, a copy; found once, renewed before they run out. refused: those that were
 * given out last were (run out, or replaced). Safe to call from several threads. */
BT_MUST_USE bt_status aws_credentials_get(bool refused, aws_credentials *out, bt_error *err);

/* AWS_REGION, AWS_DEFAULT_REGION, else us-east-1. Borrowed. */
const char *aws_region(void);
/* The text of an environment variable; NULL when it is unset or empty. */
const char *aws_env(const char *name);

/* ---- signatures -------------------------------------------------------------------------------
 */

enum { AWS_MAX_FIELDS = 16, AWS_SHA256_HEX = 65 };

/* Header fields as they are sent, "Name: value". */
typedef struct aws_fields {
    char  *lines[AWS_MAX_FIELDS + 1]; /* owned; NULL behind the last */
    size_t n;
} aws_fields;

void                  aws_fields_clear(aws_fields *fields); /* wipes: a token may be among them */
BT_MUST_USE bt_status aws_fields_add(aws_fields *fields, bt_error *err, const char *fmt, ...)
    BT_PRINTF(3, 4);

typedef struct aws_request {
    const char *method;
    const char *url; /* encoded as it is sent; its path is signed as it stands */
    const char *region;
    const char *service;              /* "s3", "sts" */
    char        hash[AWS_SHA256_HEX]; /* of the body */
    double      now;                  /* seconds since 1970 */
} aws_request;

BT_MUST_USE bt_status aws_hash_body(const void *bytes, size_t n, char hash[AWS_SHA256_HEX],
                                    bt_error *err);
/* All of *fields are signed; Host, X-Amz-Date, X-Amz-Content-Sha256, the token and Authorization
 * are added. */
BT_MUST_USE bt_status aws_sign(const aws_request *request, const aws_credentials *credentials,
                               aws_fields *fields, bt_error *err);

#endif
