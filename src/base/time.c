/* SPDX-License-Identifier: Apache-2.0
 *
 * The clocks. */
#include <time.h>

#include "bt/base/time.h"

double bt_time_monotonic(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double bt_time_unix(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int64_t bt_time_unix_ms(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static char *put_digits(char *out, int64_t value, int n) {
    for (int i = n; i > 0; i--) {
        out[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    return out + n;
}

/* Days since 1970 as a date of the Gregorian calendar, counted in years that begin with March
 * (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
static char *put_date(char *out, int64_t days) {
    const int64_t shifted = days + 719468;
    const int64_t era = shifted / 146097;
    const int64_t day = shifted % 146097;
    const int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    const int64_t of_year = day - (365 * year + year / 4 - year / 100);
    const int64_t month = (5 * of_year + 2) / 153;
    const bool    is_next = month >= 10;
    out = put_digits(out, year + era * 400 + (is_next ? 1 : 0), 4);
    *out++ = '-';
    out = put_digits(out, is_next ? month - 9 : month + 3, 2);
    *out++ = '-';
    return put_digits(out, of_year - (153 * month + 2) / 5 + 1, 2);
}

void bt_time_iso(int64_t unix_ms, char out[BT_TIME_ISO_MAX]) {
    const int64_t day_ms = 86400000;
    const int64_t ms = unix_ms > 0 ? unix_ms : 0;
    const int64_t of_day = ms % day_ms;
    out = put_date(out, ms / day_ms);
    *out++ = 'T';
    out = put_digits(out, of_day / 3600000, 2);
    *out++ = ':';
    out = put_digits(out, of_day / 60000 % 60, 2);
    *out++ = ':';
    out = put_digits(out, of_day / 1000 % 60, 2);
    *out++ = '.';
    out = put_digits(out, of_day % 1000, 3);
    *out++ = 'Z';
    *out = '\0';
}
