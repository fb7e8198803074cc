/* SPDX-License-Identifier: Apache-2.0
 *
 * The time before the first step, in stages: what a user waits for. One line of text says all of
 * them; programs get an event each. */
#include "stages.h"

#include <stdio.h>

#include "bt/base/log.h"
#include "bt/base/time.h"

/* A first step that takes longer is worth a line of text: the steps after it are fast. */
static const double long_first_step = 1.0;

static void add(run_stages *stages, const char *name, double seconds) {
    const bt_log_field fields[] = {bt_log_text("stage", name), bt_log_number("seconds", seconds)};
    if (stages->n < STAGES_MAX) {
        stages->items[stages->n].name = name;
        stages->items[stages->n++].seconds = seconds;
    }
    bt_log_event(BT_LOG_INFO, "stage", fields, BT_ARRAY_LEN(fields), NULL);
}

run_stages stages_begin(double process_began, bool is_shown) {
    const double now = bt_time_monotonic();
    run_stages   stages = {.began = now, .last = now, .is_shown = is_shown};
    if (process_began > 0 && is_shown) {
        add(&stages, "configuration", now - process_began);
    }
    return stages;
}

void stages_end(run_stages *stages, const char *name, const char *next) {
    const double now = bt_time_monotonic();
    if (stages->is_told || !stages->is_shown) {
        return;
    }
    add(stages, name, now - stages->last);
    stages->last = now;
    bt_log_progress(next);
}

void stages_tell_ready(run_stages *stages, const char *before) {
    char   line[320] = "";
    size_t n = 0;
    if (stages->is_told) {
        return;
    }
    stages->is_told = true;
    const double seconds = bt_time_monotonic() - stages->began;
    for (size_t i = 0; i < stages->n && n < sizeof line; i++) {
        const int wrote = snprintf(line + n, sizeof line - n, "%s%s %.3f s", i > 0 ? ", " : " (",
                                   stages->items[i].name, stages->items[i].seconds);
        n += wrote > 0 ? (size_t)wrote : 0;
    }
    const bt_log_field fields[] = {bt_log_number("seconds", seconds)};
    bt_log_event(BT_LOG_INFO, "ready", fields, BT_ARRAY_LEN(fields),
                 "ready for the first %s after %.3f s%s%s", before, seconds, line,
                 n > 0 ? ")" : "");
}

void stages_tell_first(run_stages *stages, double seconds) {
    const bt_log_field fields[] = {bt_log_number("seconds", seconds)};
    if (stages->is_over) {
        return;
    }
    stages->is_over = true;
    if (seconds < long_first_step) {
        bt_log_event(BT_LOG_INFO, "first_step", fields, BT_ARRAY_LEN(fields), NULL);
    } else {
        bt_log_event(BT_LOG_INFO, "first_step", fields, BT_ARRAY_LEN(fields),
                     "the first step took %.1f s", seconds);
    }
}
