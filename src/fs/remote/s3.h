/* SPDX-License-Identifier: Apache-2.0
 *
 * s3, private: what the files of s3:// share. */
#ifndef BT_FS_S3_H
#define BT_FS_S3_H

#include "aws.h"
#include "remote.h"

enum { S3_MAX_HEADERS = 6 };

typedef struct s3_call {
    const char       *path;
    const char       *method;
    const char       *object;                      /* NULL: that of the path; "": the bucket */
    const char       *query;                       /* encoded, "" for none */
    const char       *headers[S3_MAX_HEADERS + 1]; /* "Name: value", NULL after the last */
    const char       *content_type;                /* of the body; NULL: none is sent */
    const void       *body;
    size_t            n_body;
    int64_t           range_begin;
    int64_t           range_last;
    uint8_t          *buffer;
    size_t            n_buffer;
    const atomic_int *cancel;
    const char       *verb;
    bt_status         failure;       /* code of an answer that is not a success */
    const long       *allowed;       /* statuses that are the caller's, 0 after the last; or NULL */
    double            limit_seconds; /* 0: the usual */
} s3_call;

typedef struct s3_answer {
    http_response http;     /* body of a failure: its "Code: Message" */
    char          code[64]; /* of a failure, as the store names it; "" where it says none */
} s3_answer;

/* One request, signed where there are credentials. What a store may ask for is done: another
 * region, its own clock, renewed credentials (each once), a little patience. */
BT_MUST_USE bt_status s3_run(const s3_call *call, s3_answer *answer, bt_error *err);
void                  s3_answer_deinit(s3_answer *answer);

/* *out: what is there; BT_FS_MISSING where nothing has that very name. *is_encrypted (may be NULL):
 * so that its ETag is not an MD5. */
BT_MUST_USE bt_status s3_look(const char *path, remote_info *out, bool *is_encrypted,
                              bt_error *err);

/* s3_upload.c */
bt_status s3_put(const char *path, const void *bytes, size_t n, int64_t if_version,
                 int64_t *version, bt_error *err);
bt_status s3_upload_begin(const char *path, void **out, bt_error *err);
bt_status s3_upload_chunk(void *context, const void *bytes, size_t n, bool last, bt_error *err);
void      s3_upload_end(void *context);

/* A number for an ETag, for bt_fs_info.version; BT_FS_ANY_VERSION for none. */
int64_t s3_version_of(const char *etag);

#endif
