/* SPDX-License-Identifier: Apache-2.0
 *
 * Strict parsing of numbers and their shortest printing; those that are none. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/number.h"

bool bt_parse_i64(const char *text, int64_t *out) {
    if (text[0] == '\0' || isspace((unsigned char)text[0])) {
        return false;
    }
    errno = 0;
    char           *end = NULL;
    const long long value = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || end == text) {
        return false;
    }
    *out = value;
    return true;
}

bool bt_parse_f64(const char *text, double *out) {
    if (text[0] == '\0' || isspace((unsigned char)text[0])) {
        return false;
    }
    char        *end = NULL;
    const double value = strtod(text, &end); /* the program never leaves the C locale */
    if (*end != '\0' || end == text) {
        return false;
    }
    *out = value;
    return true;
}

static char *copy_word(char *buffer, const char *word) {
    (void)snprintf(buffer, BT_F64_TEXT_MAX, "%s", word);
    return buffer;
}

static bool reads_back_f64(const char *text, double value) {
    return strtod(text, NULL) == value;
}

static bool reads_back_f32(const char *text, double value) {
    return strtof(text, NULL) == (float)value;
}

/* Python's repr chooses the exponent form when the decimal exponent is < -4 or >= 16. */
static char *format_repr(double value, bool (*reads_back)(const char *, double), int max_digits,
                         char *buffer) {
    if (isnan(value)) {
        return copy_word(buffer, "nan");
    }
    if (isinf(value)) {
        return copy_word(buffer, value > 0 ? "inf" : "-inf");
    }
    char scientific[BT_F64_TEXT_MAX];
    for (int digits = 1; digits <= max_digits; digits++) {
        (void)snprintf(scientific, sizeof scientific, "%.*e", digits - 1, value);
        if (reads_back(scientific, value)) {
            break;
        }
    }
    const char *const e = strchr(scientific, 'e');
    const int         exponent = (int)strtol(e + 1, NULL, 10);
    const int         n_digits =
        (int)(e - scientific) - (strchr(scientific, '.') != NULL) - (scientific[0] == '-');
    if (exponent < -4 || exponent >= 16) {
        (void)snprintf(buffer, BT_F64_TEXT_MAX, "%.*se%c%02d", (int)(e - scientific), scientific,
                       exponent < 0 ? '-' : '+', abs(exponent));
        return buffer;
    }
    const int decimals = n_digits - 1 - exponent;
    (void)snprintf(buffer, BT_F64_TEXT_MAX, "%.*f", decimals < 1 ? 1 : decimals, value);
    return buffer;
}

char *bt_f64_repr(double value, char buffer[BT_F64_TEXT_MAX]) {
    return format_repr(value, reads_back_f64, 17, buffer);
}

char *bt_f32_repr(float value, char buffer[BT_F64_TEXT_MAX]) {
    return format_repr((double)value, reads_back_f32, 9, buffer);
}

/* By their bits, a block at a time without a branch. */
static bool has_odd(const float *values, int64_t n) {
    static const uint32_t exponent = 0x7f800000;
    uint32_t              odd = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = 0;
        memcpy(&bits, &values[i], sizeof bits);
        odd |= (bits & exponent) == exponent;
    }
    return odd != 0;
}

int64_t bt_f32_find_odd(const float *values, int64_t n) {
    enum { BLOCK = 1024 };
    for (int64_t at = 0; at < n; at += BLOCK) {
        const int64_t here = n - at < BLOCK ? n - at : BLOCK;
        if (has_odd(values + at, here)) {
            while (isfinite(values[at])) {
                at++;
            }
            return at;
        }
    }
    return -1;
}
