/* SPDX-License-Identifier: Apache-2.0
 *
 * One request to a store that speaks S3: where it goes (region, endpoint, the bucket in the name of
 * the host or in the path), its signature, and what the store may ask for before it obliges. What
 * was learned (a bucket's region, the store's clock) is kept for the process. */
#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/log.h"
#include "bt/base/time.h"
#include "s3.h"
#include "s3_xml.h"

enum { MAX_XML = 16 << 20, MAX_REGION = 40, MAX_LEARNED = 16, MAX_WAITS = 5 };
static const double far_seconds = 240.0; /* a store refuses from 900 on */

void s3_answer_deinit(s3_answer *answer) {
    http_response_deinit(&answer->http);
    answer->code[0] = '\0';
}

/* 2xx */
static bool is_good(const s3_answer *answer) {
    return answer->http.status >= 200 && answer->http.status < 300;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char bucket[256];
    char region[MAX_REGION];
} learned[MAX_LEARNED]; /* under lock */
static size_t n_learned;

static void region_of(const char *bucket, char region[MAX_REGION]) {
    (void)snprintf(region, MAX_REGION, "%s", aws_region());
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < n_learned; i++) {
        if (strcmp(learned[i].bucket, bucket) == 0) {
            (void)snprintf(region, MAX_REGION, "%s", learned[i].region);
        }
    }
    pthread_mutex_unlock(&lock);
}

static void learn_region(const char *bucket, const char *region) {
    size_t at = 0;
    pthread_mutex_lock(&lock);
    while (at < n_learned && strcmp(learned[at].bucket, bucket) != 0) {
        at++;
    }
    if (at == MAX_LEARNED) {
        at = 0;
    }
    n_learned = at + 1 > n_learned ? at + 1 : n_learned;
    (void)snprintf(learned[at].bucket, sizeof learned[at].bucket, "%s", bucket);
    (void)snprintf(learned[at].region, sizeof learned[at].region, "%s", region);
    pthread_mutex_unlock(&lock);
}

/* https://BUCKET.HOST/NAME, or with the bucket in the path, where it cannot be a part of a host's
 * name: a dot has no certificate; an endpoint of one's own may be an address. */
static bt_status append_url(bt_str *url, const remote_name *name, const char *region,
                            const char *object, bt_error *err) {
    const char *const endpoint = aws_endpoint("s3");
    const char *const domain =
        bt_str_starts_with(region, "cn-") ? "amazonaws.com.cn" : "amazonaws.com";
    const bool in_host = strchr(name->bucket, '.') == NULL && strchr(name->bucket, '_') == NULL &&
                         (endpoint == NULL ? !bt_str_equal(aws_addressing(), "path")
                                           : bt_str_equal(aws_addressing(), "virtual"));
    if (endpoint == NULL) {
        BT_TRY(bt_str_appendf(url, err, "https://%s%ss3.%s.%s", in_host ? name->bucket : "",
                              in_host ? "." : "", region, domain));
    } else {
        BT_TRY(aws_check_endpoint(endpoint, err));
        const size_t n = strlen(endpoint) - (bt_str_ends_with(endpoint, "/") ? 1 : 0);
        const size_t n_scheme = (size_t)(strstr(endpoint, "://") - endpoint) + 3;
        BT_TRY(bt_str_append_n(url, endpoint, n_scheme, err));
        BT_TRY(bt_str_appendf(url, err, "%s%s%.*s", in_host ? name->bucket : "", in_host ? "." : "",
                              (int)(n - n_scheme), endpoint + n_scheme));
    }
    BT_TRY(bt_str_appendf(url, err, "/%s%s", in_host ? "" : name->bucket, in_host ? "" : "/"));
    return http_append_encoded(url, object, "/", err);
}

typedef struct s3_signer {
    const s3_call  *call;
    remote_name     name;
    char            region[MAX_REGION];
    aws_credentials credentials;
    char            hash[AWS_SHA256_HEX];
    aws_fields      fields;
} s3_signer;

static bt_status make_headers(void *context, const http_request *request,
                              const char *const **headers, bt_error *err) {
    s3_signer *const     s = context;
    const s3_call *const call = s->call;
    aws_fields_clear(&s->fields);
    if (call->content_type != NULL) {
        BT_TRY(aws_fields_add(&s->fields, err, "Content-Type: %s", call->content_type));
    }
    for (size_t i = 0; call->headers[i] != NULL; i++) {
        BT_TRY(aws_fields_add(&s->fields, err, "%s", call->headers[i]));
    }
    if (s->credentials.id != NULL) {
        aws_request to_sign = {.method = request->method,
                               .url = request->url,
                               .region = s->region,
                               .service = "s3",
                               .now = aws_time()};
        memcpy(to_sign.hash, s->hash, sizeof to_sign.hash);
        BT_TRY(aws_sign(&to_sign, &s->credentials, &s->fields, err));
    }
    *headers = (const char *const *)s->fields.lines;
    return BT_OK;
}

/* An error's answer is XML: its code is for us, its message for people. */
static bt_status keep_message(const s3_signer *s, s3_answer *answer, char region[MAX_REGION],
                              bt_error *err) {
    bt_str        code = BT_STR_INIT;
    bt_str        message = BT_STR_INIT;
    bt_str        own = BT_STR_INIT;
    s3_xml_field  fields[] = {{"Error/Code", &code, false},
                              {"Error/Message", &message, false},
                              {"Error/Region", &own, false}};
    bt_str *const body = &answer->http.body;
    bt_status     rc = body->len == 0
                           ? BT_OK
                           : s3_xml_read(body->data, body->len, fields, BT_ARRAY_LEN(fields), NULL);
    if (rc == BT_OK && body->len > 0) {
        bt_str_clear(body);
        (void)snprintf(answer->code, sizeof answer->code, "%s", bt_str_text(&code));
        if (aws_is_region(bt_str_text(&own))) {
            (void)snprintf(region, MAX_REGION, "%s", own.data);
        }
        rc = bt_str_appendf(body, err, "%s%s%s", bt_str_text(&code), code.len > 0 ? ": " : "",
                            bt_str_text(&message));
        const char *const token = s->credentials.token;
        if (token != NULL && token[0] != '\0' && strstr(bt_str_text(body), token) != NULL) {
            bt_str_clear(body); /* a server that shows what was sent to it */
        }
    }
    bt_str_deinit(&code);
    bt_str_deinit(&message);
    bt_str_deinit(&own);
    /* what is not XML is some other server's words: they stay */
    return rc == BT_E_NOMEM ? BT_FAIL(err, rc, "out of memory for a store's answer") : BT_OK;
}

static bt_status run_once(s3_signer *s, s3_answer *answer, bt_error *err) {
    const s3_call *const call = s->call;
    bt_str               url = BT_STR_INIT;
    bt_status            rc = BT_OK;
    const http_sign      sign = {make_headers, s};
    region_of(s->name.bucket, s->region);
    BT_CHECK(append_url(&url, &s->name, s->region,
                        call->object != NULL ? call->object : s->name.name, err));
    BT_CHECK(bt_str_appendf(&url, err, "%s%s", call->query[0] != '\0' ? "?" : "", call->query));
    const http_request request = {.what = call->path,
                                  .method = call->method,
                                  .url = url.data,
                                  .body = call->body,
                                  .n_body = call->n_body,
                                  .range_begin = call->range_begin,
                                  .range_last = call->range_last,
                                  .max_body = MAX_XML,
                                  .sign = &sign,
                                  .buffer = call->buffer,
                                  .n_buffer = call->n_buffer,
                                  .limit_seconds = call->limit_seconds,
                                  .cancel = call->cancel};
    BT_CHECK(http_run(&request, &answer->http, err));
done:
    bt_str_deinit(&url);
    return rc;
}

typedef struct s3_repairs {
    bool region;
    bool time;
    bool credentials;
    int  waits;
} s3_repairs;

static bool is_code(const s3_answer *answer, const char *const *codes) {
    while (*codes != NULL && strcmp(*codes, answer->code) != 0) {
        codes++;
    }
    return *codes != NULL;
}

/* The bucket is elsewhere: the header says where, also of an answer without a body. */
static bool other_region(const s3_signer *s, const s3_answer *answer, const char *told,
                         s3_repairs *done) {
    const char *const header = http_header(&answer->http.headers, "x-amz-bucket-region");
    const char *const region = header != NULL ? header : told;
    const long        status = answer->http.status;
    if (done->region || !aws_is_region(region) || strcmp(region, s->region) == 0 ||
        (status != 301 && status != 307 && status != 400 && status != 403)) {
        return false;
    }
    done->region = true;
    learn_region(s->name.bucket, region);
    bt_log(BT_LOG_DEBUG, "s3://%s is in %s", s->name.bucket, region);
    return true;
}

/* Signatures hold the time; a machine's clock may be wrong. An answer to HEAD names no code. */
static bool other_time(const s3_answer *answer, s3_repairs *done) {
    const double now = remote_parse_time(http_header(&answer->http.headers, "date"));
    if (done->time || answer->http.status != 403 || now <= 0 ||
        fabs(now - aws_time()) < far_seconds ||
        (answer->code[0] != '\0' && strcmp(answer->code, "RequestTimeTooSkewed") != 0)) {
        return false;
    }
    done->time = true;
    aws_set_time(now);
    bt_log(BT_LOG_WARNING,
           "s3://: this machine's clock differs from the store's by %.0f seconds; the store's is "
           "used",
           fabs(now - bt_time_unix()));
    return true;
}

static bool other_credentials(const s3_signer *s, const s3_answer *answer, s3_repairs *done) {
    static const char *const codes[] = {"ExpiredToken",
                                        "ExpiredTokenException",
                                        "TokenRefreshRequired",
                                        "RequestExpired",
                                        "InvalidToken",
                                        "InvalidAccessKeyId",
                                        NULL};
    const long               status = answer->http.status;
    const bool silent = answer->code[0] == '\0' && strcmp(s->call->method, "HEAD") == 0;
    if (done->credentials || s->credentials.id == NULL ||
        !(is_code(answer, codes) || (silent && (status == 400 || status == 403)))) {
        return false;
    }
    done->credentials = true;
    return true;
}

/* Faults that pass, but whose status does not say so. */
static bool must_wait(const s3_call *call, const s3_answer *answer, s3_repairs *done) {
    static const char *const codes[] = {"RequestTimeout", "ConditionalRequestConflict",
                                        "OperationAborted", "SlowDown", NULL};
    if (!is_code(answer, codes) || answer->http.status >= 500 || done->waits == MAX_WAITS) {
        return false;
    }
    http_backoff(++done->waits, 30.0, call->cancel);
    return true;
}

static bool is_allowed(const s3_call *call, const s3_answer *answer) {
    for (const long *status = call->allowed; status != NULL && *status != 0; status++) {
        if (*status == answer->http.status) {
            return true;
        }
    }
    return is_good(answer);
}

static bt_status renew(s3_signer *s, bt_error *err) {
    aws_credentials fresh = {0};
    BT_TRY(aws_credentials_get(&s->credentials, &fresh, err));
    aws_credentials_deinit(&s->credentials);
    s->credentials = fresh;
    return BT_OK;
}

static bt_status run_repaired(s3_signer *s, s3_answer *answer, bt_error *err) {
    s3_repairs done = {0};
    BT_TRY(aws_credentials_get(NULL, &s->credentials, err));
    for (;;) {
        char region[MAX_REGION] = "";
        if (s->credentials.id != NULL && s->hash[0] == '\0') {
            BT_TRY(aws_hash_body(s->call->body, s->call->n_body, s->hash, err));
        }
        BT_TRY(run_once(s, answer, err));
        if (is_good(answer)) {
            return BT_OK;
        }
        BT_TRY(keep_message(s, answer, region, err));
        if (!other_region(s, answer, region, &done) && !other_time(answer, &done)) {
            if (other_credentials(s, answer, &done)) {
                BT_TRY(renew(s, err));
            } else if (!must_wait(s->call, answer, &done)) {
                return BT_OK;
            }
        }
        s3_answer_deinit(answer);
    }
}

bt_status s3_run(const s3_call *call, s3_answer *answer, bt_error *err) {
    bt_status rc = BT_OK;
    s3_signer s = {.call = call};
    *answer = (s3_answer){0};
    BT_TRY(remote_name_parse(call->path, &s.name, err));
    BT_CHECK(run_repaired(&s, answer, err));
    if (!is_allowed(call, answer)) {
        const http_request request = {.what = call->path};
        rc = http_fail(&request, &answer->http, call->verb, call->failure, err);
    }
done:
    if (rc != BT_OK) {
        s3_answer_deinit(answer);
    }
    aws_credentials_deinit(&s.credentials);
    aws_fields_clear(&s.fields);
    return rc;
}
