/* SPDX-License-Identifier: Apache-2.0
 *
 * What is around a try: retries on 408, 429, 5xx and broken connections with exponential backoff
 * and full jitter, within a time limit; a token that was refused is renewed once; redirects are
 * followed only where they are as safe as the first URL, and take no credential to another host. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bt/base/alloc.h"
#include "bt/base/rng.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "bt/fs.h"
#include "http.h"

enum { MAX_REDIRECTS = 10, MAX_TRIES_NO_HOST = 3 };
static const double first_wait_seconds = 0.25;
static const double longest_wait_seconds = 30.0;

void http_response_deinit(http_response *response) {
    http_headers_deinit(&response->headers);
    bt_str_deinit(&response->body);
    bt_free(response->final_url);
    *response = (http_response){0};
}

bool http_is_retryable(long status) {
    return status == 408 || status == 429 || (status >= 500 && status != 501 && status != 505);
}

bool http_must_stop(const http_request *request) {
    return (request->cancel != NULL && *request->cancel != 0) || bt_stop_now();
}

static void sleep_for(double seconds, const atomic_int *cancel) {
    const double end = bt_time_monotonic() + seconds;
    for (;;) {
        const double left = end - bt_time_monotonic();
        if (left <= 0 || (cancel != NULL && *cancel != 0) ||
            !bt_stop_sleep(left < 0.1 ? left : 0.1)) {
            return;
        }
    }
}

/* Jitter only spreads clients over time: nothing that is computed depends on it. */
static double jitter(int32_t n) {
    const double     now = bt_time_monotonic();
    const bt_rng_key key = bt_rng_key_make((uint64_t)(now * 1e9), (uint64_t)n, 0, 0);
    return (double)bt_rng_uniform(key, 0);
}

static double backoff_seconds(int32_t n, double left) {
    const double scale = ldexp(first_wait_seconds, n < 10 ? n - 1 : 9);
    const double most = scale < longest_wait_seconds ? scale : longest_wait_seconds;
    return fmin(most * (0.5 + 0.5 * jitter(n)), left);
}

void http_backoff(int32_t n, double left, const atomic_int *cancel) {
    sleep_for(backoff_seconds(n, left), cancel);
}

/* The server may say how long to wait. */
static double retry_after(const http_response *response) {
    const double seconds = response->retry_after;
    return seconds > 0 && seconds < 3600 ? seconds : 0;
}

/* {"error": {"message": "..."}}, or the start of a text that is not markup. */
static void server_words(const http_response *response, char *words, size_t cap) {
    json_t *root = NULL; /* without memory the message lacks the server's words, no more */
    (void)!bt_json_load(bt_str_text(&response->body), response->body.len, 0, &root, NULL, NULL);
    json_t *const     error = json_object_get(root, "error");
    const char       *text = json_string_value(json_object_get(error, "message"));
    const char *const other = json_string_value(json_object_get(root, "error_description"));
    text = text != NULL ? text : other != NULL ? other : json_string_value(error);
    if (text == NULL && root == NULL && bt_str_text(&response->body)[0] != '<') {
        text = bt_str_text(&response->body);
    }
    const int n = snprintf(words, cap, "%s", text != NULL ? text : "");
    for (char *p = words; *p != '\0'; p++) {
        *p = (unsigned char)*p < ' ' ? ' ' : *p;
    }
    if (n < 0 || words[strspn(words, " ")] == '\0') {
        words[0] = '\0';
    }
    json_decref(root);
}

bt_status http_fail(const http_request *request, const http_response *response, const char *verb,
                    bt_status code, bt_error *err) {
    char        words[256];
    const char *hint = "";
    server_words(response, words, sizeof words);
    if (http_is_retryable(response->status)) {
        code = BT_E_RESOURCE; /* the server has a bad time; that says nothing about the file */
    }
    if (response->status == 401 || response->status == 403) {
        hint = " (is the account that the credentials are of allowed to do that?)";
    }
    char tries[96] = "";
    if (response->n_tries > 1) {
        (void)snprintf(tries, sizeof tries, ", after %d tries%s", response->n_tries,
                       http_is_retryable(response->status)
                           ? " (BERT_TRAIN_RETRY_SECONDS says for how long)"
                           : "");
    }
    return BT_FAIL(err, code, "cannot %s %s: the server answers %ld%s%s%s%s", verb, request->what,
                   response->status, words[0] != '\0' ? ": " : "", words, tries, hint);
}

static bt_status fail_stopped(const http_request *request, bt_error *err) {
    return BT_FAIL(err, BT_E_INTERRUPTED, "%s: stopped by %s", request->what,
                   bt_stop_requested() ? bt_stop_signal_name() : "its reader");
}

static bt_status fail_broken(const http_request *request, const char *url, int32_t n_tries,
                             double seconds, const bt_error *problem, bt_error *err) {
    http_url   at;
    const bool parsed = http_parse_url(url, &at);
    const bool has_waited = n_tries > 1 && problem->code == BT_E_RESOURCE;
    if (problem->code == BT_E_INTERRUPTED) {
        return fail_stopped(request, err);
    }
    return BT_FAIL(err, problem->code, "%s: %s (host %s, %d tries in %.0f s%s)", request->what,
                   problem->msg, parsed ? at.host : "?", n_tries, seconds,
                   has_waited ? "; BERT_TRAIN_RETRY_SECONDS says for how long; the same command "
                                "goes on once it answers"
                              : "");
}

static bool is_redirect(long status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* A redirect must not lead to a place that is less safe than the first one. */
static bool may_go(const http_url *from, const http_url *to) {
    return strcmp(to->scheme, "https") == 0 ||
           (strcmp(from->scheme, "http") == 0 &&
            (http_same_origin(from, to) || (http_is_loopback(from) && http_is_loopback(to))));
}

typedef struct attempt {
    const http_request *request;
    http_response      *response;
    char               *url; /* owned; changes with redirects */
    int                 n_redirects;
    bool                is_home; /* still the first host: credentials may go there */
    bool                has_renewed;
    bt_str              token;
    double              began;
    double              limit;
} attempt;

static bt_status fail_unsafe(const http_request *request, const char *url, bt_error *err) {
    bt_str    shown = BT_STR_INIT;
    bt_status rc = http_append_shown(&shown, url, err);
    if (rc == BT_OK) {
        rc = BT_FAIL(
            err, BT_E_RESOURCE,
            "%s: the server redirects to %.200s, which is not an https:// URL: not followed",
            request->what, bt_str_text(&shown));
    }
    bt_str_deinit(&shown);
    return rc;
}

static bt_status go_where_told(attempt *a, bt_error *err) {
    const char *const location = http_header(&a->response->headers, "location");
    http_url          from;
    http_url          to;
    bool              are_urls = false;
    char             *next = NULL;
    if (location == NULL || a->n_redirects++ >= MAX_REDIRECTS) {
        return BT_FAIL(err, BT_E_RESOURCE, "%s: the server redirects %s", a->request->what,
                       location == NULL ? "to nowhere" : "in a circle");
    }
    if (http_resolve(a->url, location, &next, err) != BT_OK) {
        return bt_error_prefix(err, "%s: not followed", a->request->what);
    }
    bt_status rc = http_read_urls(a->url, next, &are_urls, &from, &to, err);
    if (rc == BT_OK && (!are_urls || !may_go(&from, &to))) {
        rc = fail_unsafe(a->request, next, err);
    }
    if (rc != BT_OK) {
        bt_free(next);
        return rc;
    }
    a->is_home = a->is_home && http_same_origin(&from, &to);
    bt_free(a->url);
    a->url = next;
    return BT_OK;
}

static void forget_answer(http_response *response) {
    http_headers_deinit(&response->headers);
    bt_str_clear(&response->body);
    response->n_body_got = 0;
}

static bt_status make_try(attempt *a, http_outcome *outcome, bt_error *problem, bt_error *err) {
    const http_request *const request = a->request;
    http_request              away = *request;
    if (request->auth != NULL && a->is_home && a->token.len == 0) {
        BT_TRY(request->auth->append_token(request->auth->context, false, &a->token, err));
    }
    if (request->sink != NULL) {
        BT_TRY(request->sink->restart(request->sink->context, err));
    }
    if (a->is_home && request->sign != NULL) {
        BT_TRY(request->sign->make_headers(request->sign->context, request, &away.headers, err));
    }
    forget_answer(a->response);
    a->response->n_tries++;
    *outcome =
        http_try(&away, a->url, a->is_home ? bt_str_text(&a->token) : "", a->response, problem);
    return BT_OK;
}

/* 401: the token may have run out on its way. */
static bt_status renew_token(attempt *a, bool *renewed, bt_error *err) {
    const http_auth *const auth = a->request->auth;
    *renewed = false;
    if (auth == NULL || !a->is_home || a->has_renewed || a->token.len == 0) {
        return BT_OK;
    }
    a->has_renewed = true;
    bt_str_clear(&a->token);
    BT_TRY(auth->append_token(auth->context, true, &a->token, err));
    *renewed = true;
    return BT_OK;
}

/* A failure that may pass: waits, unless the window is over. */
static bt_status repeat(attempt *a, http_outcome outcome, const bt_error *problem, bool *again,
                        bt_error *err) {
    const http_request *const request = a->request;
    http_response *const      response = a->response;
    const double              own_left = a->limit - (bt_time_monotonic() - a->began);
    const double              left = fmin(own_left, http_window_fail(a->url));
    char                      answer[48];
    /* a name that was known before may well be known again */
    const bool no_host = outcome == HTTP_NO_HOST && response->n_tries >= MAX_TRIES_NO_HOST &&
                         !http_has_answered(a->url);
    if (left <= 0 || no_host || (request->once && request->n_body > 0)) {
        return BT_OK;
    }
    (void)snprintf(answer, sizeof answer, "the server answers %ld", response->status);
    const double wait =
        fmin(left, retry_after(response) + backoff_seconds(response->n_tries, left));
    http_window_tell(a->url, request->what, outcome == HTTP_ANSWERED ? answer : problem->msg, wait);
    sleep_for(wait, request->cancel);
    *again = true;
    return http_must_stop(request) ? fail_stopped(request, err) : BT_OK;
}

/* *again: another try must be made at once or later; else the answer (or failure) stands. */
static bt_status judge(attempt *a, http_outcome outcome, const bt_error *problem, bool *again,
                       bt_error *err) {
    http_response *const response = a->response;
    const double         spent = bt_time_monotonic() - a->began;
    *again = false;
    if (outcome == HTTP_ANSWERED && is_redirect(response->status) && a->request->follow) {
        *again = true;
        return go_where_told(a, err);
    }
    if (outcome == HTTP_ANSWERED && response->status == 401) {
        return renew_token(a, again, err);
    }
    const bool retryable =
        outcome == HTTP_ANSWERED ? http_is_retryable(response->status) : outcome != HTTP_REFUSED;
    if (outcome == HTTP_ANSWERED && !retryable) {
        http_window_answered(a->url);
    }
    if (retryable) {
        BT_TRY(repeat(a, outcome, problem, again, err));
        if (*again) {
            return BT_OK;
        }
    }
    if (outcome == HTTP_ANSWERED || (a->request->once && outcome == HTTP_BROKEN)) {
        return BT_OK;
    }
    return fail_broken(a->request, a->url, response->n_tries, spent, problem, err);
}

bt_status http_run(const http_request *request, http_response *response, bt_error *err) {
    bt_status rc = BT_OK;
    attempt   a = {.request = request,
                   .response = response,
                   .url = bt_strdup(request->url),
                   .is_home = true,
                   .token = BT_STR_INIT,
                   .began = bt_time_monotonic(),
                   .limit = http_retry_seconds()};
    if (request->limit_seconds > 0 && request->limit_seconds < a.limit) {
        a.limit = request->limit_seconds;
    }
    *response = (http_response){0};
    if (a.url == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a URL");
    }
    for (bool again = true; again;) {
        http_outcome outcome = HTTP_REFUSED;
        bt_error     problem = BT_ERROR_INIT;
        if (http_must_stop(request)) {
            rc = fail_stopped(request, err);
            goto done;
        }
        BT_CHECK(make_try(&a, &outcome, &problem, err));
        BT_CHECK(judge(&a, outcome, &problem, &again, err));
    }
    response->final_url = a.url;
    a.url = NULL;
done:
    bt_free(a.url);
    bt_str_deinit(&a.token);
    if (rc != BT_OK) {
        http_response_deinit(response);
    }
    return rc;
}
