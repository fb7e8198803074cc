/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known of a run, put together value by value. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/report.h"

/* No run has more of anything. */
static const size_t max_items = (size_t)1 << 28;

void bt_report_run_deinit(bt_report_run *run) {
    for (size_t i = 0; i < run->n_tracks; i++) {
        bt_free(run->tracks[i].steps);
        bt_free(run->tracks[i].values);
    }
    for (size_t i = 0; i < run->n_settings; i++) {
        bt_free(run->settings[i].key);
        bt_free(run->settings[i].value);
        bt_free(run->settings[i].usual);
        bt_free(run->settings[i].origin);
    }
    for (size_t i = 0; i < run->n_machine; i++) {
        bt_free(run->machine[i].name);
        bt_free(run->machine[i].value);
    }
    bt_free(run->tracks);
    bt_free(run->pauses);
    bt_free(run->settings);
    bt_free(run->machine);
    bt_free(run->name);
    bt_free(run->experiment);
    bt_free(run->status);
    bt_free(run->command);
    bt_free(run->best_metric);
    json_decref(run->data);
    json_decref(run->evaluation);
    *run = (bt_report_run){0};
}

static bt_status find_track(bt_report_run *run, const char *name, bool is_validation,
                            bt_report_track **out, bt_error *err) {
    for (size_t i = 0; i < run->n_tracks; i++) {
        bt_report_track *const track = &run->tracks[i];
        if (track->is_validation == is_validation && bt_str_equal(track->name, name)) {
            *out = track;
            return BT_OK;
        }
    }
    BT_TRY(bt_grow(&run->tracks, &run->cap_tracks, run->n_tracks + 1, sizeof *run->tracks,
                   max_items, err));
    bt_report_track *const track = &run->tracks[run->n_tracks++];
    *track = (bt_report_track){.is_validation = is_validation};
    (void)snprintf(track->name, sizeof track->name, "%s", name);
    *out = track;
    return BT_OK;
}

bt_status bt_report_add_value(bt_report_run *run, const char *name, bool is_validation, double step,
                              double value, bt_error *err) {
    bt_report_track *track = NULL;
    BT_TRY(find_track(run, name, is_validation, &track, err));
    const size_t n = track->n + 1;
    BT_TRY(bt_grow(&track->steps, &track->cap_steps, n, sizeof *track->steps, max_items, err));
    BT_TRY(bt_grow(&track->values, &track->cap_values, n, sizeof *track->values, max_items, err));
    track->steps[track->n] = step;
    track->values[track->n++] = isfinite(value) ? value : (double)NAN;
    return BT_OK;
}

bt_status bt_report_add_pause(bt_report_run *run, double step, double seconds, bt_error *err) {
    BT_TRY(bt_grow(&run->pauses, &run->cap_pauses, run->n_pauses + 1, sizeof *run->pauses,
                   max_items, err));
    run->pauses[run->n_pauses++] = (bt_report_pause){step, seconds};
    return BT_OK;
}

static bt_status copy(const char *text, char **out, bt_error *err) {
    *out = text != NULL ? bt_strdup(text) : NULL;
    return *out != NULL || text == NULL ? BT_OK
                                        : BT_FAIL(err, BT_E_NOMEM, "out of memory for the report");
}

bt_status bt_report_add_setting(bt_report_run *run, const char *key, const char *value,
                                const char *usual, const char *origin, bt_error *err) {
    BT_TRY(bt_grow(&run->settings, &run->cap_settings, run->n_settings + 1, sizeof *run->settings,
                   max_items, err));
    bt_report_setting *const slot = &run->settings[run->n_settings++];
    *slot = (bt_report_setting){0};
    BT_TRY(copy(key, &slot->key, err));
    BT_TRY(copy(value, &slot->value, err));
    BT_TRY(copy(usual, &slot->usual, err));
    return copy(origin, &slot->origin, err);
}

bt_status bt_report_add_fact(bt_report_run *run, const char *name, const char *value,
                             bt_error *err) {
    BT_TRY(bt_grow(&run->machine, &run->cap_machine, run->n_machine + 1, sizeof *run->machine,
                   max_items, err));
    bt_report_fact *const slot = &run->machine[run->n_machine++];
    *slot = (bt_report_fact){0};
    BT_TRY(copy(name, &slot->name, err));
    return copy(value, &slot->value, err);
}
