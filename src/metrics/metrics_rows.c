/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of metrics: which parts each reads, what models it is for, and its value from them.
 * docs/model_garden/numerics.md section 11. Adding one is one row and one function. */
#include "metrics_internal.h"

static double compute_pearson_spearman(const bt_metrics *m) {
    return (metric_pearson(m) + metric_spearman(m)) / 2.0;
}

#define FOR_CLASSES .min_classes = 2, .max_classes = INT64_MAX, .wants = "num_classes of 2 or more"
#define FOR_TWO .min_classes = 2, .max_classes = 2, .wants = "num_classes 2"
#define FOR_SCORES .min_classes = 1, .max_classes = 1, .wants = "num_classes 1 (regression)"

#define FOR_ANY .min_classes = 1, .max_classes = INT64_MAX, .wants = "num_classes of 1 or more"
#define READS_MULTI .parts = PART_BIT(PART_MULTI)

#define FOR_PAIRS .min_classes = 0, .max_classes = 0, .wants = "the scores of pairs (no classes)"

#define FOR_TAGS                                                                                   \
    .unit = BT_METRIC_OF_TOKENS, .min_classes = 1, .max_classes = INT64_MAX, .wants = "tags"

#define FOR_SPANS                                                                                  \
    .unit = BT_METRIC_OF_TOKENS, .min_classes = 2, .max_classes = 2, .wants = "starts and ends"

#define READS_ENTITIES .parts = PART_BIT(PART_ENTITIES)
#define READS_TOKENS .parts = PART_BIT(PART_TOKENS)
#define READS_CLASSES .parts = PART_BIT(PART_CLASSES)
#define READS_MOMENTS .parts = PART_BIT(PART_MOMENTS)
#define READS_PAIRS .parts = PART_BIT(PART_PAIRS)
#define READS_RANKS .parts = PART_BIT(PART_RANKS)
#define READS_SPANS .parts = PART_BIT(PART_SPANS)

const metric_row metric_rows[] = {
    {"cls_accuracy", READS_CLASSES, FOR_CLASSES, .compute = metric_accuracy},
    {"auc", .parts = PART_BIT(PART_AUC), FOR_TWO, .compute = metric_auc},
    {"f1", READS_CLASSES, FOR_TWO, .compute = metric_f1},
    {"matthews_corrcoef", READS_CLASSES, FOR_CLASSES, .compute = metric_matthews},
    {"pearson_spearman_corr", .parts = PART_BIT(PART_MOMENTS) | PART_BIT(PART_PAIRS), FOR_SCORES,
     .compute = compute_pearson_spearman},
    {"pearson", READS_MOMENTS, FOR_SCORES, .compute = metric_pearson},
    {"spearman", READS_PAIRS, FOR_SCORES, .compute = metric_spearman},
    {"mean_squared_error", READS_MOMENTS, FOR_SCORES, .compute = metric_mean_squared_error},
    {"batch_size_per_core", READS_RANKS, FOR_PAIRS, .compute = metric_batch_size},
    {"f1", READS_ENTITIES, FOR_TAGS, .compute = metric_entity_f1},
    {"precision", READS_ENTITIES, FOR_TAGS, .compute = metric_entity_precision},
    {"recall", READS_ENTITIES, FOR_TAGS, .compute = metric_entity_recall},
    {"accuracy", READS_TOKENS, FOR_TAGS, .compute = metric_token_accuracy},
    {"left_recall_at_", READS_RANKS, FOR_PAIRS, .compute_at = metric_left_recall},
    {"right_recall_at_", READS_RANKS, FOR_PAIRS, .compute_at = metric_right_recall},
    {"left_mrr", READS_RANKS, FOR_PAIRS, .compute = metric_left_mrr},
    {"right_mrr", READS_RANKS, FOR_PAIRS, .compute = metric_right_mrr},
    {"f1_micro", READS_MULTI, FOR_ANY, .compute = metric_multi_f1_micro},
    {"f1_macro", READS_MULTI, FOR_ANY, .compute = metric_multi_f1_macro},
    {"exact_match", READS_MULTI, FOR_ANY, .compute = metric_multi_exact},
    {"start_position_accuracy", READS_SPANS, FOR_SPANS, .compute = metric_start_accuracy},
    {"end_position_accuracy", READS_SPANS, FOR_SPANS, .compute = metric_end_accuracy},
};
const size_t n_metric_rows = BT_ARRAY_LEN(metric_rows);
