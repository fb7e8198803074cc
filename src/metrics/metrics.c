/* SPDX-License-Identifier: Apache-2.0
 *
 * A set of streaming metrics over one stream of batches: chooses the rows, keeps the parts that
 * they read, and saves and loads them together. */
#include "bt/metrics.h"
#include "bt/base/alloc.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "metrics_bootstrap.h"

static const uint64_t state_magic = UINT64_C(0x32305353544d5442); /* "BTMTSS02" */

static const metric_part *const parts[N_PARTS] = {
    [PART_CLASSES] = &metric_part_classes,
    [PART_AUC] = &metric_part_auc,
    [PART_MOMENTS] = &metric_part_moments,
    [PART_PAIRS] = &metric_part_pairs,
    [PART_RANKS] = &metric_part_ranks,
    [PART_TOKENS] = &metric_part_tokens,
    [PART_ENTITIES] = &metric_part_entities,
    [PART_SPANS] = &metric_part_spans,
    [PART_MULTI] = &metric_part_multi,
    [PART_TABLE] = &metric_part_table,
    [PART_TOKEN_TABLE] = &metric_part_token_table,
    [PART_CERTAINTY] = &metric_part_certainty,
    [PART_KEPT] = &metric_part_kept,
    [PART_KEPT_SETS] = &metric_part_kept_sets,
    [PART_SETS] = &metric_part_sets,
    [PART_ERRORS] = &metric_part_errors,
    [PART_BUCKETS] = &metric_part_buckets,
    [PART_SET_BUCKETS] = &metric_part_set_buckets,
};

static bool has_part(const bt_metrics *metrics, size_t id) {
    return (metrics->parts & PART_BIT(id)) != 0;
}

bt_status bt_metrics_create(const bt_metrics_config *config, bt_metrics **out, bt_error *err) {
    bt_status   rc = BT_OK;
    bt_metrics *metrics = NULL;
    metrics = bt_calloc_array(1, sizeof *metrics);
    if (metrics == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for metrics");
    }
    metrics->n_classes = config->n_classes;
    metrics->unit = config->unit;
    metrics->bug_compatible = config->bug_compatible;
    metrics->threshold = (double)NAN;
    metrics->temperature = 1.0;
    metrics->n_bootstrap = config->n_bootstrap;
    metrics->bootstrap_seed = config->bootstrap_seed;
    BT_CHECK(metric_choose_rows(metrics, config, err));
    for (size_t id = 0; id < N_PARTS; id++) {
        if (has_part(metrics, id)) {
            BT_CHECK(parts[id]->create(config, &metrics->states[id], err));
        }
    }
    BT_CHECK(metric_choose_classes(metrics, config, err));
    *out = metrics;
    metrics = NULL;
done:
    bt_metrics_free(metrics);
    return rc;
}

void bt_metrics_free(bt_metrics *metrics) {
    if (metrics != NULL) {
        for (size_t id = 0; id < N_PARTS; id++) {
            parts[id]->destroy(metrics->states[id]);
        }
        bt_free(metrics);
    }
}

void bt_metrics_reset(bt_metrics *metrics) {
    metrics->threshold = (double)NAN;
    metrics->temperature = 1.0;
    for (size_t id = 0; id < N_PARTS; id++) {
        if (has_part(metrics, id)) {
            parts[id]->reset(metrics->states[id]);
        }
    }
}

int64_t metric_argmax(const float *x, int64_t n) {
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++) {
        if (x[i] > x[best]) {
            best = i;
        }
    }
    return best;
}

bt_status metric_check_label(int32_t label, int64_t n_classes, int64_t place, bt_error *err) {
    if (label < 0 || label >= n_classes) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "metrics: label %" PRId32 " of example %" PRId64 " is not in [0, %" PRId64
                       ")",
                       label, place, n_classes);
    }
    return BT_OK;
}

static bool has_labels(const metric_part *part, const bt_batch *batch) {
    if (part->wants_labels == NULL) {
        return true;
    }
    return strcmp(part->wants_labels, "float") == 0 ? batch->float_labels != NULL
                                                    : batch->int_labels != NULL;
}

bt_status bt_metrics_update(bt_metrics *metrics, const bt_batch *batch, const float *logits,
                            bt_error *err) {
    for (size_t id = 0; id < N_PARTS; id++) {
        if (!has_part(metrics, id)) {
            continue;
        }
        if (!has_labels(parts[id], batch)) {
            return BT_FAIL(err, BT_E_CONFIG, "metrics: num_classes %" PRId64 " needs %s labels",
                           metrics->n_classes, parts[id]->wants_labels);
        }
        BT_TRY(parts[id]->update(metrics->states[id], batch, logits, err));
    }
    return BT_OK;
}

double metric_compute(const bt_metrics *metrics, const metric_choice *choice) {
    const metric_row *const row = choice->row;
    return row->compute != NULL       ? row->compute(metrics)
           : row->compute_row != NULL ? row->compute_row(metrics, row)
           : row->compute_at != NULL  ? row->compute_at(metrics, choice->number)
                                      : row->compute_class(metrics, row, choice->number);
}

size_t bt_metrics_compute(const bt_metrics *metrics, bt_metric_value values[BT_METRIC_MAX]) {
    for (size_t i = 0; i < metrics->n_choices; i++) {
        memcpy(values[i].name, metrics->choices[i].name, sizeof values[i].name);
        values[i].value = metric_compute(metrics, &metrics->choices[i]);
    }
    return metrics->n_choices + (metrics->n_bootstrap > 0
                                     ? metric_add_intervals(metrics, values + metrics->n_choices)
                                     : 0);
}

const int64_t *bt_metrics_prediction_counts(const bt_metrics *metrics, int64_t *n) {
    bt_metrics_confusion counts;
    if (bt_metrics_get_confusion(metrics, &counts)) {
        *n = counts.n;
        return counts.predicted;
    }
    const void *const state = has_part(metrics, PART_TOKENS) ? metrics->states[PART_TOKENS]
                                                             : metrics->states[PART_CLASSES];
    *n = 0;
    return state != NULL ? metric_classes_predicted(state, n) : NULL;
}

bt_status bt_metrics_save(const bt_metrics *metrics, bt_str *bytes, bt_error *err) {
    const uint64_t head[] = {state_magic, metrics->parts, (uint64_t)metrics->n_classes};
    BT_TRY(metric_put_words(bytes, head, BT_ARRAY_LEN(head), err));
    for (size_t id = 0; id < N_PARTS; id++) {
        if (has_part(metrics, id)) {
            BT_TRY(parts[id]->save(metrics->states[id], bytes, err));
        }
    }
    return BT_OK;
}

static bt_status load_parts(bt_metrics *metrics, bt_reader *bytes, bt_error *err) {
    uint64_t head[3] = {0};
    BT_TRY(metric_get_words(bytes, head, BT_ARRAY_LEN(head), err));
    if (head[0] != state_magic) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "metrics state: these bytes are not one, or one of another version");
    }
    if (head[1] != metrics->parts || head[2] != (uint64_t)metrics->n_classes) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "metrics state: it is of other metrics or of %" PRIu64
                       " classes, not %" PRId64,
                       head[2], metrics->n_classes);
    }
    for (size_t id = 0; id < N_PARTS; id++) {
        if (has_part(metrics, id)) {
            BT_TRY(parts[id]->load(metrics->states[id], bytes, err));
        }
    }
    return BT_OK;
}

bt_status bt_metrics_load(bt_metrics *metrics, bt_reader *bytes, bt_error *err) {
    const bt_status status = load_parts(metrics, bytes, err);
    if (status != BT_OK) {
        bt_metrics_reset(metrics); /* never half a state */
    }
    return status;
}
