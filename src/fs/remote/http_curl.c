/* SPDX-License-Identifier: Apache-2.0
 *
 * The transport: one try of one request with libcurl. Connections are kept in a small pool of
 * handles, so that threads do not wait for each other and TLS is not begun anew for each request.
 * TLS is always verified; proxies come from the usual variables (libcurl reads them itself), the
 * certificate authorities from CURL_CA_BUNDLE, SSL_CERT_FILE and SSL_CERT_DIR. */
#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#ifdef BT_HAVE_OPENSSL
#include <openssl/crypto.h>
#endif

#include "http.h"

enum { POOL_SIZE = 16, MAX_RETRY_AFTER_BODY = 1 << 20, MAX_HEADERS_OF_ALL_ANSWERS = 1 << 18 };

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static CURL           *pool[POOL_SIZE]; /* idle handles, each with its open connections */
static size_t          n_pool;
static pthread_once_t  once = PTHREAD_ONCE_INIT;

static void init_libraries(void) {
#ifdef BT_HAVE_OPENSSL
    /* a thread may still be reading when the process ends */
    (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
#endif
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static CURL *handle_take(void) {
    CURL *handle = NULL;
    (void)pthread_once(&once, init_libraries);
    pthread_mutex_lock(&pool_lock);
    if (n_pool > 0) {
        handle = pool[--n_pool];
    }
    pthread_mutex_unlock(&pool_lock);
    return handle != NULL ? handle : curl_easy_init();
}

static void handle_give(CURL *handle) {
    curl_easy_reset(handle); /* keeps the connections */
    pthread_mutex_lock(&pool_lock);
    if (n_pool < POOL_SIZE) {
        pool[n_pool++] = handle;
        handle = NULL;
    }
    pthread_mutex_unlock(&pool_lock);
    if (handle != NULL) {
        curl_easy_cleanup(handle);
    }
}

const char *http_library(void) {
    return curl_version();
}

/* ---- callbacks --------------------------------------------------------------------------------
 */

typedef struct transfer {
    const http_request *request;
    http_response      *response;
    CURL               *handle;
    bt_error           *problem;
    bt_status           failed;   /* what a callback found wrong */
    size_t              n_header; /* bytes of header fields so far */
} transfer;

/* libcurl keeps and parses the fields (take_headers); here they are only kept from being endless.
 */
static size_t on_header(char *line, size_t size, size_t n, void *context) {
    transfer *const t = context;
    (void)line;
    t->n_header += size * n;
    if (t->n_header > (size_t)MAX_HEADERS_OF_ALL_ANSWERS) {
        t->failed = BT_FAIL(t->problem, BT_E_FORMAT,
                            "the server's answer has more or longer header fields than any honest "
                            "one");
        return 0;
    }
    return size * n;
}

/* Of the last answer (one of 100 Continue, or of a proxy, is none). */
static bt_status take_headers(transfer *t) {
    struct curl_header *field = NULL;
    curl_off_t          length = -1;
    curl_off_t          wait = 0;
    while ((field = curl_easy_nextheader(t->handle, CURLH_HEADER, -1, field)) != NULL) {
        BT_TRY(http_headers_add(&t->response->headers, field->name, field->value, t->problem));
    }
    (void)curl_easy_getinfo(t->handle, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    (void)curl_easy_getinfo(t->handle, CURLINFO_RETRY_AFTER, &wait);
    t->response->n_announced = (int64_t)length;
    t->response->retry_after = (double)wait;
    return BT_OK;
}

static bt_status take_body(transfer *t, const void *bytes, size_t n) {
    const http_request *const request = t->request;
    http_response *const      response = t->response;
    long                      status = 0;
    (void)curl_easy_getinfo(t->handle, CURLINFO_RESPONSE_CODE, &status);
    const bool is_good = status >= 200 && status < 300;
    if (is_good && request->sink != NULL) {
        if (n > request->max_body - response->n_body_got) {
            return BT_FAIL(t->problem, BT_E_FORMAT, "the answer is larger than %zu bytes",
                           request->max_body);
        }
        response->n_body_got += n;
        return request->sink->write(request->sink->context, bytes, n, t->problem);
    }
    if (is_good && request->buffer != NULL) {
        if (n > request->n_buffer - response->n_body_got) {
            return BT_FAIL(t->problem, BT_E_FORMAT,
                           "the answer has more than the %zu bytes that "
                           "were asked for",
                           request->n_buffer);
        }
        memcpy(request->buffer + response->n_body_got, bytes, n);
        response->n_body_got += n;
        return BT_OK;
    }
    const size_t max = is_good ? request->max_body : (size_t)MAX_RETRY_AFTER_BODY;
    if (n > max - response->body.len) {
        return BT_FAIL(t->problem, BT_E_FORMAT, "the answer is larger than %zu bytes", max);
    }
    return bt_str_append_n(&response->body, bytes, n, t->problem);
}

static size_t on_body(char *bytes, size_t size, size_t n, void *context) {
    transfer *const t = context;
    t->failed = take_body(t, bytes, size * n);
    return t->failed == BT_OK ? size * n : 0;
}

static int on_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    const transfer *const t = context;
    (void)a, (void)b, (void)c, (void)d;
    return t->request->cancel != NULL && *t->request->cancel != 0;
}

/* ---- options ----------------------------------------------------------------------------------
 */

static void set_authorities(CURL *handle) {
    static const char *const files[] = {"CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"};
    for (size_t i = 0; i < BT_ARRAY_LEN(files); i++) {
        const char *const path = getenv(files[i]);
        if (path != NULL && path[0] != '\0') {
            (void)curl_easy_setopt(handle, CURLOPT_CAINFO, path);
            break;
        }
    }
    const char *const folder = getenv("SSL_CERT_DIR");
    if (folder != NULL && folder[0] != '\0') {
        (void)curl_easy_setopt(handle, CURLOPT_CAPATH, folder);
    }
}

/* A list that grew, or NULL and *ok false; then the old list is freed. */
static struct curl_slist *add_line(struct curl_slist *list, const char *line, bool *ok) {
    struct curl_slist *const longer = curl_slist_append(list, line);
    if (longer == NULL) {
        curl_slist_free_all(list);
        *ok = false;
    }
    return longer;
}

static bool set_headers(CURL *handle, const http_request *request, const char *token,
                        struct curl_slist **list) {
    bool   ok = true;
    bt_str line = BT_STR_INIT;
    *list = add_line(NULL, "Expect:", &ok); /* no round trip of 100-continue */
    for (size_t i = 0; ok && request->headers != NULL && request->headers[i] != NULL; i++) {
        *list = add_line(*list, request->headers[i], &ok);
    }
    if (ok && token[0] != '\0') {
        ok = bt_str_appendf(&line, NULL, "Authorization: Bearer %s", token) == BT_OK;
        *list = ok ? add_line(*list, bt_str_text(&line), &ok) : *list;
    }
    if (ok && request->range_last >= request->range_begin) {
        bt_str_clear(&line);
        ok = bt_str_appendf(&line, NULL, "Range: bytes=%" PRId64 "-%" PRId64, request->range_begin,
                            request->range_last) == BT_OK;
        *list = ok ? add_line(*list, bt_str_text(&line), &ok) : *list;
    }
    bt_str_deinit(&line);
    (void)curl_easy_setopt(handle, CURLOPT_HTTPHEADER, *list);
    return ok;
}

static void set_method(CURL *handle, const http_request *request) {
    if (strcmp(request->method, "HEAD") == 0) {
        (void)curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
    } else if (request->body != NULL || strcmp(request->method, "POST") == 0 ||
               strcmp(request->method, "PUT") == 0) {
        (void)curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->n_body);
        (void)curl_easy_setopt(handle, CURLOPT_POSTFIELDS,
                               request->body != NULL ? request->body : "");
        (void)curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request->method);
    } else if (strcmp(request->method, "GET") != 0) {
        (void)curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request->method);
    }
}

static void set_limits(CURL *handle, const http_request *request) {
    const double connect = request->connect_seconds > 0 ? request->connect_seconds : 20.0;
    (void)curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, 1L);
    (void)curl_easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, 2L);
    (void)curl_easy_setopt(handle, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    (void)curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, (long)(1000 * connect));
    (void)curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT,
                           1L); /* a stall is a broken connection */
    (void)curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME,
                           (long)http_env_seconds("BERT_TRAIN_STALL_SECONDS", 30.0));
    (void)curl_easy_setopt(handle, CURLOPT_TCP_KEEPALIVE, 1L);
    (void)curl_easy_setopt(handle, CURLOPT_USERAGENT, "bert-train");
    if (request->no_proxy) {
        (void)curl_easy_setopt(handle, CURLOPT_NOPROXY, "*");
    }
    (void)curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, 262144L);
    (void)curl_easy_setopt(handle, CURLOPT_UPLOAD_BUFFERSIZE, 1048576L);
}

static void set_callbacks(CURL *handle, transfer *t) {
    (void)curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(handle, CURLOPT_HEADERDATA, t);
    (void)curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(handle, CURLOPT_WRITEDATA, t);
    (void)curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, on_progress);
    (void)curl_easy_setopt(handle, CURLOPT_XFERINFODATA, t);
    (void)curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
}

/* ---- the try ----------------------------------------------------------------------------------
 */

/* Only codes that no second try can change are refusals. */
static http_outcome outcome_of(CURLcode code) {
    switch ((int)code) {
    case CURLE_OK:
        return HTTP_ANSWERED;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return HTTP_NO_HOST;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_OUT_OF_MEMORY:
    case CURLE_ABORTED_BY_CALLBACK:
        return HTTP_REFUSED;
    default:
        return HTTP_BROKEN;
    }
}

http_outcome http_try(const http_request *request, const char *url, const char *token,
                      http_response *response, bt_error *problem) {
    char               reason[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = NULL;
    CURL *const        handle = handle_take();
    if (handle == NULL) {
        (void)BT_FAIL(problem, BT_E_NOMEM, "out of memory for a connection");
        return HTTP_REFUSED;
    }
    http_url     parsed;
    CURLU *const parts = http_open_url(url, &parsed);
    if (parts == NULL) {
        handle_give(handle);
        (void)BT_FAIL(problem, parsed.no_memory ? BT_E_NOMEM : BT_E_CONFIG,
                      parsed.no_memory ? "out of memory for a URL"
                                       : "this is no URL that can be asked for");
        return HTTP_REFUSED;
    }
    transfer t = {request, response, handle, problem, BT_OK, 0};
    set_limits(handle, request);
    set_authorities(handle);
    set_callbacks(handle, &t);
    set_method(handle, request);
    (void)curl_easy_setopt(handle, CURLOPT_CURLU, parts);
    (void)curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, reason);
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (set_headers(handle, request, token, &headers)) {
        code = curl_easy_perform(handle);
    }
    response->status = 0;
    response->retry_after = 0;
    if (code == CURLE_OK) {
        (void)curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &response->status);
        t.failed = take_headers(&t);
    }
    curl_slist_free_all(headers);
    handle_give(handle);
    curl_url_cleanup(parts);
    if (t.failed != BT_OK) {
        return HTTP_REFUSED; /* problem is filled */
    }
    if (code != CURLE_OK) {
        (void)BT_FAIL(problem,
                      code == CURLE_OUT_OF_MEMORY         ? BT_E_NOMEM
                      : code == CURLE_ABORTED_BY_CALLBACK ? BT_E_INTERRUPTED
                                                          : BT_E_RESOURCE,
                      "%s", reason[0] != '\0' ? reason : curl_easy_strerror(code));
    }
    return outcome_of(code);
}
