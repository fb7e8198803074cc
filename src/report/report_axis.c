/* SPDX-License-Identifier: Apache-2.0
 *
 * Scales of charts: linear with round marks, or of powers of ten. */
#include <math.h>
#include <stdio.h>

#include "report_page.h"

/* A factor from which on small values would lie on the line of zero. */
static const double log_factor = 50;

/* 1, 2 or 5 times a power of ten, of which about n fill the range. */
static double round_step(double range, size_t n) {
    static const double fitting[] = {1, 2, 5, 10};
    const double        raw = range / (double)n;
    const double        power = pow(10, floor(log10(raw)));
    size_t              i = 0;
    while (i < 3 && fitting[i] * power < raw * 0.999) {
        i++;
    }
    return fitting[i] * power;
}

static axis make_linear(double low, double high, size_t n_wanted) {
    axis a = {.low = low, .high = high};
    if (!(high > low)) {
        const double around = low != 0 ? fabs(low) * 0.1 : 1;
        a.low = low - around;
        a.high = low + around;
    }
    const double step = round_step(a.high - a.low, n_wanted);
    const double first = floor(a.low / step + 1e-9);
    const double last = ceil(a.high / step - 1e-9);
    a.low = first * step;
    a.high = last * step;
    for (double i = first; i <= last && a.n_marks < AXIS_MARKS_MAX; i++) {
        a.marks[a.n_marks++] = i * step;
    }
    a.n_decimals = step < 1 ? (int)ceil(-log10(step) - 1e-9) : 0;
    return a;
}

/* Marks at powers of ten, and where they are few at 2 and 5 times as well. */
static axis make_log(double low, double high) {
    static const double between[] = {1, 2, 5};
    const double        first = floor(log10(low));
    const double        last = ceil(log10(high) - 1e-9);
    const size_t        n = last - first <= 2 ? 3 : 1;
    const double        jump = fmax(1, ceil((last - first) / 5));
    axis                a = {.is_log = true, .low = low, .high = high};
    for (double e = first; e <= last; e += jump) {
        for (size_t i = 0; i < n && a.n_marks < AXIS_MARKS_MAX; i++) {
            const double mark = between[i] * pow(10, e);
            if (mark >= low * 0.999 && mark <= high * 1.001) {
                a.marks[a.n_marks++] = mark;
            }
        }
    }
    return a;
}

axis axis_make(double low, double high, bool may_be_log, size_t n_wanted) {
    return may_be_log && low > 0 && high / low >= log_factor ? make_log(low, high)
                                                             : make_linear(low, high, n_wanted);
}

double axis_place(const axis *a, double value) {
    return a->is_log ? log(value / a->low) / log(a->high / a->low)
                     : (value - a->low) / (a->high - a->low);
}

const char *axis_text(const axis *a, double mark, char text[NUMBER_MAX]) {
    const double size = fabs(mark);
    if (size == 0) {
        (void)snprintf(text, NUMBER_MAX, "0");
    } else if (size < 1e-3 || size >= 1e6) {
        (void)snprintf(text, NUMBER_MAX, "%.3g", mark);
    } else if (a->is_log || size >= 1000) {
        return size >= 1000 ? number_text(mark, text)
                            : (snprintf(text, NUMBER_MAX, "%.3g", mark), text);
    } else {
        (void)snprintf(text, NUMBER_MAX, "%.*f", a->n_decimals, mark);
    }
    return text;
}
