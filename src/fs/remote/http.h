/* SPDX-License-Identifier: Apache-2.0
 *
 * http, private to the fs room: one request at a time over libcurl, and around it what every store
 * needs: retries with backoff and jitter within a time limit, renewal of a token that was refused,
 * size limits, redirects that take no credential to another host. Stores say what to ask; how often
 * and through which connection is decided here. Safe to call from several threads. */
#ifndef BT_FS_HTTP_H
#define BT_FS_HTTP_H

#include <stdatomic.h>

#include "bt/base/str.h"

/* Header fields. */

enum { HTTP_MAX_FIELDS = 128, HTTP_MAX_FIELD_BYTES = 16384, HTTP_MAX_HEADER_BYTES = 65536 };

typedef struct http_field {
    char *name; /* lower case; owned */
    char *value;
} http_field;

typedef struct http_headers {
    http_field *fields;
    size_t      n;
    size_t      cap;
    size_t      n_bytes;
} http_headers;

void http_headers_deinit(http_headers *headers);
/* Too many or too long: BT_E_FORMAT. */
BT_MUST_USE bt_status http_headers_add(http_headers *headers, const char *name, const char *value,
                                       bt_error *err);
/* The first field of that (lower-case) name; NULL: none. Borrowed. */
const char *http_header(const http_headers *headers, const char *name);
/* "bytes 5-9/20" -> 5, 9, 20 (-1 for "*"). */
bool http_parse_content_range(const char *text, int64_t *begin, int64_t *last, int64_t *total);
/* "crc32c=...,md5=..." (x-goog-hash, also spread over several fields): the value of one. false: not
 * there, or no base64 of n_bytes. */
bool http_parse_goog_hash(const http_headers *headers, const char *which, uint8_t *digest,
                          size_t n_bytes);

/* URLs. */

typedef struct http_url {
    char    scheme[8]; /* lower case */
    char    host[256]; /* lower case, as it is connected to */
    int32_t port;      /* the scheme's own when none is said */
    size_t  path_at;   /* where "/...", "?..." or the end begins in the text */
    bool    no_memory; /* why it could not be parsed */
} http_url;

/* http and https only; no user name, no zone, no control characters, no names that are not ASCII.
 */
bool http_parse_url(const char *text, http_url *out);
/* The same for whoever decides by it: BT_E_NOMEM where nobody can say what it is. */
BT_MUST_USE bt_status http_read_url(const char *text, bool *is_url, http_url *out, bt_error *err);
/* Of two: base, and where it leads; *are_urls: both. */
BT_MUST_USE bt_status http_read_urls(const char *base, const char *next, bool *are_urls,
                                     http_url *from, http_url *to, bt_error *err);
/* The same, and what libcurl made of it, for curl_url_cleanup; NULL: refused. */
struct Curl_URL;
struct Curl_URL *http_open_url(const char *text, http_url *out);
bool             http_same_origin(const http_url *a, const http_url *b);
bool             http_is_loopback(const http_url *url);
/* BT_E_CONFIG ("WHAT: ...") unless a secret may be sent there: https, or this machine itself. */
BT_MUST_USE bt_status http_check_private(const char *what, const char *url, bt_error *err);
/* Where "location", found in the answer for base, leads. */
BT_MUST_USE bt_status http_resolve(const char *base, const char *location, char **out,
                                   bt_error *err);
/* Appends text percent-encoded (RFC 3986 unreserved characters and those of keep stay). */
BT_MUST_USE bt_status http_append_encoded(bt_str *out, const char *text, const char *keep,
                                          bt_error *err);
/* Does something stand before the host, "user:password@"? For refusals and messages. */
bool http_has_user(const char *url);
/* A URL without what its query, or what is before its host, may keep secret; for messages. */
BT_MUST_USE bt_status http_append_shown(bt_str *out, const char *url, bt_error *err);

BT_MUST_USE bt_status http_append_base64(bt_str *out, const void *bytes, size_t n, bool url_safe,
                                         bt_error *err);
/* true: exactly n bytes. */
bool http_decode_base64(const char *text, size_t n_text, uint8_t *bytes, size_t n);

/* Requests. */

/* Adds "Authorization: Bearer ..." to a request. renew: the last token was refused. Appends nothing
 * where there is no credential (a public bucket). */
typedef struct http_auth {
    bt_status (*append_token)(void *context, bool renew, bt_str *out, bt_error *err);
    void *context;
} http_auth;

/* Makes the fields of a request anew before each try, for signatures that hold the time. *headers:
 * all that are sent in place of the request's own, NULL after the last; borrowed until the next
 * call. Not asked once a redirect led to another host. */
struct http_request;
typedef struct http_sign {
    bt_status (*make_headers)(void *context, const struct http_request *request,
                              const char *const **headers, bt_error *err);
    void *context;
} http_sign;

/* Receives the body of a good answer, in order; called from the start again after a retry. */
typedef struct http_sink {
    bt_status (*restart)(void *context, bt_error *err);
    bt_status (*write)(void *context, const void *bytes, size_t n, bt_error *err);
    void *context;
} http_sink;

typedef struct http_request {
    const char        *what;    /* for messages: the path that the user wrote */
    const char        *method;  /* "GET", "PUT", ... */
    const char        *url;     /* encoded; sent as it stands, ".." and all */
    const char *const *headers; /* "Name: value", NULL at the end; or NULL */
    const void        *body;
    size_t             n_body;
    int64_t            range_begin; /* with range_last >= range_begin: a Range field */
    int64_t            range_last;
    size_t             max_body; /* of the answer; more is BT_E_FORMAT */
    const http_auth   *auth;     /* or NULL */
    const http_sign   *sign;     /* or NULL */
    const http_sink   *sink;     /* or NULL: the body goes to http_response.body */
    uint8_t           *buffer;   /* or NULL: a good body goes there, n_body_got says how much */
    size_t             n_buffer;
    bool               follow;   /* redirects, to https (or as safe as the first) only */
    bool               once;     /* not idempotent: broken connections are the caller's to repair */
    bool               no_proxy; /* a host of this machine's own network */
    double             limit_seconds;   /* 0: the usual one */
    double             connect_seconds; /* 0: the usual one */
    const atomic_int  *cancel;          /* or NULL: stop soon when it becomes non-zero */
} http_request;

typedef struct http_response {
    long         status; /* 200, 404, ...; 0: no answer came (only with once) */
    http_headers headers;
    bt_str       body;       /* also of an error */
    size_t       n_body_got; /* with buffer or sink */
    int32_t      n_tries;
    char        *final_url;   /* after redirects */
    int64_t      n_announced; /* Content-Length; -1: none */
    double       retry_after; /* Retry-After, in seconds; 0: none */
} http_response;

#define HTTP_RANGE_NONE .range_begin = 0, .range_last = -1

void http_response_deinit(http_response *response);
/* BT_OK: an answer that is not worth a retry came, whatever its status. Otherwise BT_E_RESOURCE
 * (network, time limit), BT_E_FORMAT (too large, not HTTP) or BT_E_INTERRUPTED (cancel). */
BT_MUST_USE bt_status http_run(const http_request *request, http_response *response, bt_error *err);
/* A sentence for an answer that the caller cannot use: status, and the server's own words. */
bt_status http_fail(const http_request *request, const http_response *response, const char *verb,
                    bt_status code, bt_error *err);
/* Seconds from an environment variable, else fallback. */
double http_env_seconds(const char *name, double fallback);
/* Sleeps before try number n (1 = the first retry): exponential, with jitter, at most left; ends
 * early with cancel and bt_stop_now. */
void http_backoff(int32_t n, double left, const atomic_int *cancel);
bool http_is_retryable(long status);
/* Should the request end now: its cancel, or bt_stop_now. */
bool http_must_stop(const http_request *request);

/* How long a server is asked again (http_window.c). */

double http_retry_seconds(void); /* BERT_TRAIN_RETRY_SECONDS */
/* A try of a request to the URL's origin failed: seconds that are left to ask it again, over all
 * requests since its last answer. 0: not any more. */
double http_window_fail(const char *url);
double http_window_left(const char *url); /* the same without a failure */
void   http_window_answered(const char *url);
bool   http_has_answered(const char *url); /* ever */
/* Says, once a window and each minute of it, what is waited for. wait: seconds until the next try;
 * a first failure that costs less than a second is not told. */
void http_window_tell(const char *url, const char *what, const char *reason, double wait);

/* The transport (http_curl.c). */

typedef enum http_outcome {
    HTTP_ANSWERED,
    HTTP_BROKEN,  /* no or half an answer: worth a retry */
    HTTP_NO_HOST, /* the name of the host is not known */
    HTTP_REFUSED, /* wrong certificate, not allowed, too large, sink failed: no retry helps */
} http_outcome;

/* One try, no retries, no redirects. *problem is filled unless HTTP_ANSWERED. */
http_outcome http_try(const http_request *request, const char *url, const char *token,
                      http_response *response, bt_error *problem);
const char  *http_library(void); /* for --version */

#endif
