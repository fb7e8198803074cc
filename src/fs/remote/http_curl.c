/* SPDX-License-Identifier: Apache-2.0
 *
 * The transport: one try of one request with libcurl. Connections are kept in a small pool of
 * handles, so that threads do not wait for each other and TLS is not begun again for each request.
 * TLS is always verified; proxies come from the usual variables (libcurl reads them itself), the
 * certificate authorities from CURL_CA_BUNDLE, SSL_CERT_FILE and SSL_CERT_DIR. */
#include <curl/curl.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef BT_HAVE_OPENSSL
#include <openssl/crypto.h>
#endif

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/size.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "http.h"

enum { POOL_SIZE = 16, MAX_RETRY_AFTER_BODY = 1 << 20, MAX_HEADERS_OF_ALL_ANSWERS = 1 << 18 };

/* How long nothing may move before it is told, and how much must move on a connection that lives.
 */
static const double quiet_seconds = 5.0;
static const double usual_stall_seconds = 30.0;
static const double usual_connect_seconds = 20.0;
static const double usual_min_bytes = 1000.0; /* a second */
enum { POLL_MS = 200 };

/* Connections belong to the multi handle; one transfer at a time. */
typedef struct link {
    CURL  *easy;
    CURLM *multi;
} link;

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static link            pool[POOL_SIZE]; /* idle, each with its open connections */
static size_t          n_pool;
static pthread_once_t  once = PTHREAD_ONCE_INIT;

/* Memory.
 * libcurl may go on without: 7.88 leaves out the query of a URL that it had no memory to copy, and
 * the condition of a write, or the number of an upload that is given up, is in there. So each
 * request of it for memory is seen here, and nothing is sent behind one that was refused. */

static _Thread_local bool lacks_memory; /* since the try began */

static void *see(void *ptr) {
    lacks_memory = lacks_memory || ptr == NULL;
    return ptr;
}

static void *curl_alloc(size_t n_bytes) {
    return see(bt_alloc_small(n_bytes));
}

static void *curl_grow(void *ptr, size_t n_bytes) {
    return see(bt_realloc_small(ptr, n_bytes));
}

static char *curl_copy(const char *text) {
    const size_t n = strlen(text) + 1;
    char *const  copy = curl_alloc(n);
    return copy != NULL ? memcpy(copy, text, n) : NULL;
}

static void *curl_alloc_zeroed(size_t n, size_t size) {
    size_t      n_bytes = 0;
    void *const ptr = bt_size_mul(n, size, &n_bytes) ? curl_alloc(n_bytes) : see(NULL);
    return ptr != NULL ? memset(ptr, 0, n_bytes) : NULL;
}

/* Just before a request is sent on its connection. */
static int on_request(void *context, char *server, char *own, int port, int own_port) {
    (void)context, (void)server, (void)own, (void)port, (void)own_port;
    return lacks_memory ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static void init_libraries(void) {
#ifdef BT_HAVE_OPENSSL
    /* a thread may still be reading when the process ends */
    (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
#endif
    (void)curl_global_init_mem(CURL_GLOBAL_DEFAULT, curl_alloc, bt_free, curl_grow, curl_copy,
                               curl_alloc_zeroed);
}

static void link_close(link l) {
    if (l.easy != NULL) {
        curl_easy_cleanup(l.easy);
    }
    if (l.multi != NULL) {
        (void)curl_multi_cleanup(l.multi);
    }
}

/* false: out of memory. */
static bool link_take(link *out) {
    *out = (link){0};
    (void)pthread_once(&once, init_libraries);
    pthread_mutex_lock(&pool_lock);
    if (n_pool > 0) {
        *out = pool[--n_pool];
    }
    pthread_mutex_unlock(&pool_lock);
    if (out->easy == NULL) {
        *out = (link){curl_easy_init(), curl_multi_init()};
    }
    if (out->easy == NULL || out->multi == NULL) {
        link_close(*out);
        return false;
    }
    return true;
}

static void link_give(link l) {
    curl_easy_reset(l.easy);
    pthread_mutex_lock(&pool_lock);
    const bool is_kept = n_pool < POOL_SIZE;
    if (is_kept) {
        pool[n_pool++] = l;
    }
    pthread_mutex_unlock(&pool_lock);
    if (!is_kept) {
        link_close(l);
    }
}

const char *http_library(void) {
    return curl_version();
}

typedef struct watch {
    double  stall;
    double  min_bytes; /* a second, over span seconds */
    double  span;
    int64_t moved;
    double  moved_at;
    int64_t mark; /* moved, when the span began */
    double  mark_at;
    bool    is_told;
    char    why[128];
} watch;

typedef struct transfer {
    const http_request *request;
    http_response      *response;
    CURL               *handle;
    bt_error           *problem;
    bt_status           failed;   /* what a callback found wrong */
    size_t              n_header; /* bytes of header fields so far */
    watch               watch;
    const char         *broken; /* why it was given up as no connection any more; or NULL */
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

/* Bytes that moved, and when. */
static void watch_begin(watch *w, const http_request *request) {
    const double stall = http_env_seconds("BERT_TRAIN_STALL_SECONDS", usual_stall_seconds);
    const double now = bt_time_monotonic();
    *w = (watch){.stall = stall, .moved_at = now, .mark_at = now};
    w->min_bytes = http_env_seconds("BERT_TRAIN_MIN_BYTES_PER_SECOND", usual_min_bytes);
    /* an answer to POST may be made while spaces keep the connection alive */
    w->span =
        strcmp(request->method, "POST") == 0 ? fmax(2 * stall, http_retry_seconds()) : 2 * stall;
}

/* Why the transfer must end; NULL: it lives. */
static const char *watch_look(watch *w, int64_t moved, double now) {
    if (moved != w->moved) {
        w->moved = moved;
        w->moved_at = now;
    }
    if (now - w->moved_at > w->stall) {
        (void)snprintf(w->why, sizeof w->why,
                       "nothing was sent or received for %.0f s (BERT_TRAIN_STALL_SECONDS)",
                       w->stall);
        return w->why;
    }
    if (now - w->mark_at > w->span) {
        const double moved_in_span = (double)(moved - w->mark);
        if (moved_in_span < w->min_bytes * w->span) {
            (void)snprintf(w->why, sizeof w->why,
                           "only %.0f bytes in %.0f s, less than %.0f a second "
                           "(BERT_TRAIN_MIN_BYTES_PER_SECOND)",
                           moved_in_span, w->span, w->min_bytes);
            return w->why;
        }
        w->mark = moved;
        w->mark_at = now;
    }
    return NULL;
}

static int on_progress(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up) {
    transfer *const t = context;
    watch *const    w = &t->watch;
    const double    now = bt_time_monotonic();
    (void)down_total, (void)up_total;
    if (http_must_stop(t->request)) {
        return 1;
    }
    t->broken = watch_look(w, down + up, now);
    if (t->broken == NULL && !w->is_told && now - w->moved_at > quiet_seconds) {
        w->is_told = true;
        bt_log(BT_LOG_INFO,
               "%.200s: nothing came for %.0f s: waited for, %.0f s at most "
               "(BERT_TRAIN_STALL_SECONDS)",
               t->request->what, now - w->moved_at, w->stall);
    }
    return t->broken != NULL;
}

/* libcurl copies texts and lists: an option that it had no memory for is not set, and the request
 * would be another one (a GET for a DELETE, another certificate authority). */
static void keep(bool *has_memory, CURLcode code) {
    *has_memory = *has_memory && code != CURLE_OUT_OF_MEMORY;
}

static bool set_authorities(CURL *handle) {
    bool                     ok = true;
    static const char *const files[] = {"CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"};
    for (size_t i = 0; i < BT_ARRAY_LEN(files); i++) {
        const char *const path = getenv(files[i]);
        if (path != NULL && path[0] != '\0') {
            keep(&ok, curl_easy_setopt(handle, CURLOPT_CAINFO, path));
            break;
        }
    }
    const char *const folder = getenv("SSL_CERT_DIR");
    if (folder != NULL && folder[0] != '\0') {
        keep(&ok, curl_easy_setopt(handle, CURLOPT_CAPATH, folder));
    }
    return ok;
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

static bool set_method(CURL *handle, const http_request *request) {
    bool ok = true;
    if (strcmp(request->method, "HEAD") == 0) {
        keep(&ok, curl_easy_setopt(handle, CURLOPT_NOBODY, 1L));
    } else if (request->body != NULL || strcmp(request->method, "POST") == 0 ||
               strcmp(request->method, "PUT") == 0) {
        keep(&ok,
             curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->n_body));
        keep(&ok, curl_easy_setopt(handle, CURLOPT_POSTFIELDS,
                                   request->body != NULL ? request->body : ""));
        keep(&ok, curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request->method));
    } else if (strcmp(request->method, "GET") != 0) {
        keep(&ok, curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request->method));
    }
    return ok;
}

static bool set_limits(CURL *handle, const http_request *request) {
    bool         ok = true;
    const double stall = http_env_seconds("BERT_TRAIN_STALL_SECONDS", usual_stall_seconds);
    const double connect = request->connect_seconds > 0 ? request->connect_seconds
                                                        : fmin(usual_connect_seconds, stall);
    keep(&ok, curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https"));
    keep(&ok, curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L));
    keep(&ok, curl_easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, 1L));
    keep(&ok, curl_easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, 2L));
    keep(&ok, curl_easy_setopt(handle, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2));
    keep(&ok, curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L));
    keep(&ok, curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, (long)(1000 * connect)));
    keep(&ok, curl_easy_setopt(handle, CURLOPT_TCP_KEEPALIVE, 1L));
    keep(&ok, curl_easy_setopt(handle, CURLOPT_USERAGENT, "bert-train"));
    if (request->no_proxy) {
        keep(&ok, curl_easy_setopt(handle, CURLOPT_NOPROXY, "*"));
    }
    keep(&ok, curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, 262144L));
    keep(&ok, curl_easy_setopt(handle, CURLOPT_UPLOAD_BUFFERSIZE, 1048576L));
    return ok;
}

static void set_callbacks(CURL *handle, transfer *t) {
    (void)curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(handle, CURLOPT_HEADERDATA, t);
    (void)curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(handle, CURLOPT_WRITEDATA, t);
    (void)curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, on_progress);
    (void)curl_easy_setopt(handle, CURLOPT_XFERINFODATA, t);
    (void)curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(handle, CURLOPT_PREREQFUNCTION, on_request);
}

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
    case CURLE_ABORTED_BY_CALLBACK:
        return HTTP_REFUSED;
    default:
        return HTTP_BROKEN;
    }
}

/* As curl_easy_perform, but it ends within POLL_MS when the request must stop. */
static CURLcode perform(link l, const http_request *request) {
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (curl_multi_add_handle(l.multi, l.easy) != CURLM_OK) {
        return code;
    }
    for (int running = 1;;) {
        int n_left = 0;
        if (curl_multi_perform(l.multi, &running) != CURLM_OK) {
            break;
        }
        const CURLMsg *const message = curl_multi_info_read(l.multi, &n_left);
        if (message != NULL && message->msg == CURLMSG_DONE) {
            code = message->data.result;
            break;
        }
        if (http_must_stop(request)) {
#if LIBCURL_VERSION_NUM >= 0x075700
            /* a thread that asks for a name is not waited for */
            (void)curl_easy_setopt(l.easy, CURLOPT_QUICK_EXIT, 1L);
#endif
            code = CURLE_ABORTED_BY_CALLBACK;
            break;
        }
        struct curl_waitfd stop = {.fd = bt_stop_fd(), .events = CURL_WAIT_POLLIN};
        const bool         listens = stop.fd >= 0 && !bt_stop_requested();
        (void)curl_multi_poll(l.multi, &stop, listens ? 1 : 0, POLL_MS, NULL);
    }
    (void)curl_multi_remove_handle(l.multi, l.easy);
    return lacks_memory ? CURLE_OUT_OF_MEMORY : code; /* it has other names, too: "No URL set" */
}

static http_outcome tell_failure(const transfer *t, CURLcode code, const char *reason,
                                 bt_error *problem) {
    if (t->broken != NULL) {
        (void)BT_FAIL(problem, BT_E_RESOURCE, "%s", t->broken);
        return HTTP_BROKEN;
    }
    if (code == CURLE_OUT_OF_MEMORY) {
        (void)BT_FAIL(problem, BT_E_NOMEM, "out of memory for a request");
        return HTTP_REFUSED;
    }
    (void)BT_FAIL(problem, code == CURLE_ABORTED_BY_CALLBACK ? BT_E_INTERRUPTED : BT_E_RESOURCE,
                  "%s", reason[0] != '\0' ? reason : curl_easy_strerror(code));
    return outcome_of(code);
}

http_outcome http_try(const http_request *request, const char *url, const char *token,
                      http_response *response, bt_error *problem) {
    char               reason[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = NULL;
    link               l;
    lacks_memory = false;
    if (!link_take(&l)) {
        (void)BT_FAIL(problem, BT_E_NOMEM, "out of memory for a connection");
        return HTTP_REFUSED;
    }
    CURL *const  handle = l.easy;
    http_url     parsed;
    CURLU *const parts = http_open_url(url, &parsed);
    if (parts == NULL) {
        link_give(l);
        (void)BT_FAIL(problem, parsed.no_memory ? BT_E_NOMEM : BT_E_CONFIG,
                      parsed.no_memory ? "out of memory for a URL"
                                       : "this is not a URL that can be asked for");
        return HTTP_REFUSED;
    }
    transfer   t = {.request = request, .response = response, .handle = handle, .problem = problem};
    const bool is_set =
        set_limits(handle, request) && set_authorities(handle) && set_method(handle, request);
    set_callbacks(handle, &t);
    (void)curl_easy_setopt(handle, CURLOPT_CURLU, parts);
    (void)curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, reason);
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (is_set && set_headers(handle, request, token, &headers)) {
        watch_begin(&t.watch, request);
        code = perform(l, request);
    }
    response->status = 0;
    response->retry_after = 0;
    if (code == CURLE_OK) {
        (void)curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &response->status);
        t.failed = take_headers(&t);
    }
    curl_slist_free_all(headers);
    link_give(l);
    curl_url_cleanup(parts);
    if (t.failed != BT_OK) {
        return HTTP_REFUSED; /* problem is filled */
    }
    return code == CURLE_OK ? HTTP_ANSWERED : tell_failure(&t, code, reason, problem);
}
