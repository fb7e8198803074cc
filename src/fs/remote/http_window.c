/* SPDX-License-Identifier: Apache-2.0
 *
 * How long a server that does not answer is asked again. One window an origin for the whole
 * process: it opens when a try fails and closes with an answer; who fails while it is open shares
 * what is left of it, and after its end a request is tried once. So neither repeats within repeats,
 * nor several files one after another, wait longer than is promised. Each window is told once, and
 * each minute of it. */
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/log.h"
#include "bt/base/time.h"
#include "http.h"

enum { N_WINDOWS = 32, ORIGIN_MAX = 280 };
static const double usual_limit_seconds = 300.0;
static const double tell_again_seconds = 60.0;
static const double long_wait_seconds = 1.0;

typedef struct window {
    char    origin[ORIGIN_MAX]; /* "host:port" */
    bool    is_open;
    bool    has_answered; /* ever */
    int32_t n_failed;
    double  opened;
    double  failed; /* last */
    double  told;   /* last; 0: not yet */
    double  used;
} window;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static window          windows[N_WINDOWS];

double http_retry_seconds(void) {
    return http_env_seconds("BERT_TRAIN_RETRY_SECONDS", usual_limit_seconds);
}

/* With the lock held; the one that was not used for the longest time makes room. */
static window *find(const char *url) {
    http_url parsed;
    char     origin[ORIGIN_MAX] = "";
    window  *oldest = &windows[0];
    if (http_parse_url(url, &parsed)) {
        (void)snprintf(origin, sizeof origin, "%.255s:%" PRId32, parsed.host, parsed.port);
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(windows); i++) {
        if (strcmp(windows[i].origin, origin) == 0) {
            windows[i].used = bt_time_monotonic();
            return &windows[i];
        }
        oldest = windows[i].used < oldest->used ? &windows[i] : oldest;
    }
    *oldest = (window){.used = bt_time_monotonic()};
    memcpy(oldest->origin, origin, sizeof origin);
    return oldest;
}

double http_window_left(const char *url) {
    const double limit = http_retry_seconds();
    pthread_mutex_lock(&lock);
    const window *const w = find(url);
    const double        left = w->is_open ? w->opened + limit - bt_time_monotonic() : limit;
    pthread_mutex_unlock(&lock);
    return left > 0 ? left : 0;
}

double http_window_fail(const char *url) {
    const double limit = http_retry_seconds();
    const double now = bt_time_monotonic();
    pthread_mutex_lock(&lock);
    window *const w = find(url);
    /* nothing was asked for so long: what happened then is not news of now */
    if (!w->is_open || now - w->failed > limit) {
        w->is_open = true;
        w->opened = now;
        w->n_failed = 0;
        w->told = 0;
    }
    w->n_failed++;
    w->failed = now;
    const double left = w->opened + limit - now;
    pthread_mutex_unlock(&lock);
    return left > 0 ? left : 0;
}

void http_window_tell(const char *url, const char *what, const char *reason, double wait) {
    const double now = bt_time_monotonic();
    char         origin[ORIGIN_MAX];
    pthread_mutex_lock(&lock);
    window *const w = find(url);
    const bool    is_due = w->told > 0 ? now - w->told > tell_again_seconds
                                       : w->n_failed > 1 || wait >= long_wait_seconds;
    const double  left = fmax(0, w->opened + http_retry_seconds() - now);
    if (is_due) {
        w->told = now;
    }
    memcpy(origin, w->origin, sizeof origin);
    pthread_mutex_unlock(&lock);
    if (is_due) {
        bt_log(BT_LOG_INFO,
               "%.200s: %.300s (%s): asked again, for %.0f s at most (BERT_TRAIN_RETRY_SECONDS)",
               what, reason, origin, left);
    }
}

void http_window_answered(const char *url) {
    pthread_mutex_lock(&lock);
    window *const w = find(url);
    const bool    was_told = w->is_open && w->told > 0;
    const double  seconds = bt_time_monotonic() - w->opened;
    char          origin[ORIGIN_MAX];
    memcpy(origin, w->origin, sizeof origin);
    w->is_open = false;
    w->has_answered = true;
    pthread_mutex_unlock(&lock);
    if (was_told) {
        bt_log(BT_LOG_INFO, "%s answers again, after %.0f s", origin, seconds);
    }
}

bool http_has_answered(const char *url) {
    pthread_mutex_lock(&lock);
    const bool has = find(url)->has_answered;
    pthread_mutex_unlock(&lock);
    return has;
}
