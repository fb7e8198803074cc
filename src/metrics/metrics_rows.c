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

#define FOR_MORE .min_classes = 3, .max_classes = INT64_MAX, .wants = "num_classes of 3 or more"
#define FOR_SETS                                                                                   \
    .unit = BT_METRIC_OF_LABEL_SETS, .min_classes = 1, .max_classes = INT64_MAX,                   \
    .wants = "num_classes of 1 or more"
#define READS_MULTI .parts = PART_BIT(PART_MULTI)

#define FOR_PAIRS .min_classes = 0, .max_classes = 0, .wants = "the scores of pairs (no classes)"

#define FOR_TAGS                                                                                   \
    .unit = BT_METRIC_OF_TOKENS, .min_classes = 1, .max_classes = INT64_MAX, .wants = "tags"

#define FOR_SPANS                                                                                  \
    .unit = BT_METRIC_OF_TOKENS, .min_classes = 2, .max_classes = 2, .wants = "starts and ends"

#define READS_ENTITIES .parts = PART_BIT(PART_ENTITIES)
#define READS_CLASSES .parts = PART_BIT(PART_CLASSES)
#define READS_MOMENTS .parts = PART_BIT(PART_MOMENTS)
#define READS_PAIRS .parts = PART_BIT(PART_PAIRS)
#define READS_RANKS .parts = PART_BIT(PART_RANKS)
#define READS_SPANS .parts = PART_BIT(PART_SPANS)

#define READS_TABLE .parts = PART_BIT(PART_TABLE)
#define READS_KEPT .parts = PART_BIT(PART_KEPT)
#define READS_KEPT_SETS .parts = PART_BIT(PART_KEPT_SETS)
#define READS_SETS .parts = PART_BIT(PART_SETS)
#define READS_CERTAINTY .parts = PART_BIT(PART_CERTAINTY)

/* Nobody need ask for it. */
#define ALWAYS .custom = CUSTOM_ALWAYS
#define ON_REQUEST .custom = CUSTOM_REQUEST

#define AVERAGED(row_figure, row_average)                                                          \
    .figure = FIGURE_##row_figure, .average = AVERAGE_##row_average, .compute_row = metric_averaged
#define OF_CLASS(row_figure)                                                                       \
    ON_REQUEST, .figure = FIGURE_##row_figure, .compute_class = metric_of_class

const metric_row metric_rows[] = {
    {"cls_accuracy", READS_CLASSES, FOR_CLASSES, .compute = metric_accuracy},
    {"auc", .parts = PART_BIT(PART_AUC), FOR_TWO, .compute = metric_auc},
    {"f1", READS_CLASSES, FOR_TWO, ALWAYS, .compute = metric_f1},
    {"precision", READS_TABLE, FOR_TWO, ALWAYS, .figure = FIGURE_PRECISION,
     .compute_row = metric_of_second},
    {"recall", READS_TABLE, FOR_TWO, ALWAYS, .figure = FIGURE_RECALL,
     .compute_row = metric_of_second},
    {"f1_macro", READS_TABLE, FOR_MORE, ALWAYS, AVERAGED(F1, MACRO)},
    {"f1_macro", READS_TABLE, FOR_TWO, ON_REQUEST, AVERAGED(F1, MACRO)},
    {"f1_micro", READS_TABLE, FOR_CLASSES, ON_REQUEST, AVERAGED(F1, MICRO)},
    {"f1_weighted", READS_TABLE, FOR_CLASSES, ON_REQUEST, AVERAGED(F1, WEIGHTED)},
    {"precision_macro", READS_TABLE, FOR_MORE, ALWAYS, AVERAGED(PRECISION, MACRO)},
    {"precision_macro", READS_TABLE, FOR_TWO, ON_REQUEST, AVERAGED(PRECISION, MACRO)},
    {"precision_micro", READS_TABLE, FOR_CLASSES, ON_REQUEST, AVERAGED(PRECISION, MICRO)},
    {"precision_weighted", READS_TABLE, FOR_CLASSES, ON_REQUEST, AVERAGED(PRECISION, WEIGHTED)},
    {"recall_macro", READS_TABLE, FOR_MORE, ALWAYS, AVERAGED(RECALL, MACRO)},
    {"recall_macro", READS_TABLE, FOR_TWO, ON_REQUEST, AVERAGED(RECALL, MACRO)},
    {"recall_micro", READS_TABLE, FOR_CLASSES, ON_REQUEST, AVERAGED(RECALL, MICRO)},
    {"recall_weighted", READS_TABLE, FOR_CLASSES, ON_REQUEST, AVERAGED(RECALL, WEIGHTED)},
    {"f1/", READS_TABLE, FOR_CLASSES, OF_CLASS(F1)},
    {"precision/", READS_TABLE, FOR_CLASSES, OF_CLASS(PRECISION)},
    {"recall/", READS_TABLE, FOR_CLASSES, OF_CLASS(RECALL)},
    {"balanced_accuracy", READS_TABLE, FOR_CLASSES, ON_REQUEST,
     .compute = metric_balanced_accuracy},
    {"matthews_corrcoef", READS_CLASSES, FOR_CLASSES, ON_REQUEST, .compute = metric_matthews},
    {"roc_auc", READS_KEPT, FOR_TWO, ALWAYS, .compute = metric_roc_auc},
    {"roc_auc_ovr", READS_KEPT, FOR_MORE, ON_REQUEST, .average = AVERAGE_MACRO,
     .compute_row = metric_roc_auc_averaged},
    {"roc_auc_ovr_weighted", READS_KEPT, FOR_MORE, ON_REQUEST, .average = AVERAGE_WEIGHTED,
     .compute_row = metric_roc_auc_averaged},
    {"roc_auc/", READS_KEPT, FOR_CLASSES, ON_REQUEST, .compute_class = metric_roc_auc_of_class},
    {"average_precision", READS_KEPT, FOR_TWO, ON_REQUEST, .compute = metric_average_precision},
    {"average_precision_macro", READS_KEPT, FOR_MORE, ON_REQUEST, .average = AVERAGE_MACRO,
     .compute_row = metric_average_precision_averaged},
    {"average_precision_weighted", READS_KEPT, FOR_MORE, ON_REQUEST, .average = AVERAGE_WEIGHTED,
     .compute_row = metric_average_precision_averaged},
    {"average_precision/", READS_KEPT, FOR_CLASSES, ON_REQUEST,
     .compute_class = metric_average_precision_of_class},
    {"cohen_kappa", READS_TABLE, FOR_CLASSES, ON_REQUEST, .compute = metric_cohen_kappa},
    {"cohen_kappa_quadratic", READS_TABLE, FOR_CLASSES, ON_REQUEST,
     .compute = metric_cohen_kappa_quadratic},
    {"log_loss", READS_CERTAINTY, FOR_CLASSES, ALWAYS, .compute = metric_log_loss},
    {"brier_score", READS_CERTAINTY, FOR_CLASSES, ON_REQUEST, .compute = metric_brier},
    {"ece", READS_CERTAINTY, FOR_CLASSES, ALWAYS, .compute = metric_calibration_error},
    {"top_k_accuracy", READS_CERTAINTY, FOR_MORE, ON_REQUEST, .compute = metric_top_two},
    {"top_k_accuracy_at_", READS_CERTAINTY, FOR_MORE, ON_REQUEST, .compute_at = metric_top_k},
    {"pearson_spearman_corr", .parts = PART_BIT(PART_MOMENTS) | PART_BIT(PART_PAIRS), FOR_SCORES,
     .compute = compute_pearson_spearman},
    {"pearson", READS_MOMENTS, FOR_SCORES, ALWAYS, .compute = metric_pearson},
    {"spearman", READS_PAIRS, FOR_SCORES, ALWAYS, .compute = metric_spearman},
    {"mean_squared_error", READS_MOMENTS, FOR_SCORES, .compute = metric_mean_squared_error},
    {"mean_absolute_error", .parts = PART_BIT(PART_ERRORS), FOR_SCORES, ALWAYS,
     .compute = metric_mean_absolute_error},
    {"root_mean_squared_error", READS_MOMENTS, FOR_SCORES, ON_REQUEST,
     .compute = metric_root_mean_squared_error},
    {"r2", READS_MOMENTS, FOR_SCORES, ALWAYS, .compute = metric_r2},
    {"batch_size_per_core", READS_RANKS, FOR_PAIRS, .compute = metric_batch_size},
    {"f1", READS_ENTITIES, FOR_TAGS, .compute = metric_entity_f1},
    {"precision", READS_ENTITIES, FOR_TAGS, .compute = metric_entity_precision},
    {"recall", READS_ENTITIES, FOR_TAGS, .compute = metric_entity_recall},
    /* the table is there to be drawn */
    {"accuracy", .parts = PART_BIT(PART_TOKENS) | PART_BIT(PART_TOKEN_TABLE), FOR_TAGS,
     .compute = metric_token_accuracy},
    {"f1_macro", READS_ENTITIES, FOR_TAGS, ALWAYS, AVERAGED(F1, MACRO)},
    {"f1_weighted", READS_ENTITIES, FOR_TAGS, ON_REQUEST, AVERAGED(F1, WEIGHTED)},
    {"precision_macro", READS_ENTITIES, FOR_TAGS, ON_REQUEST, AVERAGED(PRECISION, MACRO)},
    {"precision_weighted", READS_ENTITIES, FOR_TAGS, ON_REQUEST, AVERAGED(PRECISION, WEIGHTED)},
    {"recall_macro", READS_ENTITIES, FOR_TAGS, ON_REQUEST, AVERAGED(RECALL, MACRO)},
    {"recall_weighted", READS_ENTITIES, FOR_TAGS, ON_REQUEST, AVERAGED(RECALL, WEIGHTED)},
    {"f1/", READS_ENTITIES, FOR_TAGS, OF_CLASS(F1)},
    {"precision/", READS_ENTITIES, FOR_TAGS, OF_CLASS(PRECISION)},
    {"recall/", READS_ENTITIES, FOR_TAGS, OF_CLASS(RECALL)},
    {"left_recall_at_", READS_RANKS, FOR_PAIRS, .compute_at = metric_left_recall},
    {"right_recall_at_", READS_RANKS, FOR_PAIRS, .compute_at = metric_right_recall},
    {"left_mrr", READS_RANKS, FOR_PAIRS, .compute = metric_left_mrr},
    {"right_mrr", READS_RANKS, FOR_PAIRS, .compute = metric_right_mrr},
    {"f1_micro", READS_MULTI, FOR_SETS, .compute = metric_multi_f1_micro},
    {"f1_macro", READS_MULTI, FOR_SETS, .compute = metric_multi_f1_macro},
    {"f1_weighted", READS_MULTI, FOR_SETS, ON_REQUEST, AVERAGED(F1, WEIGHTED)},
    {"f1_samples", READS_SETS, FOR_SETS, ALWAYS, .figure = FIGURE_F1,
     .compute_row = metric_of_samples},
    {"precision_micro", READS_MULTI, FOR_SETS, ALWAYS, AVERAGED(PRECISION, MICRO)},
    {"precision_macro", READS_MULTI, FOR_SETS, ON_REQUEST, AVERAGED(PRECISION, MACRO)},
    {"precision_weighted", READS_MULTI, FOR_SETS, ON_REQUEST, AVERAGED(PRECISION, WEIGHTED)},
    {"precision_samples", READS_SETS, FOR_SETS, ON_REQUEST, .figure = FIGURE_PRECISION,
     .compute_row = metric_of_samples},
    {"recall_micro", READS_MULTI, FOR_SETS, ALWAYS, AVERAGED(RECALL, MICRO)},
    {"recall_macro", READS_MULTI, FOR_SETS, ON_REQUEST, AVERAGED(RECALL, MACRO)},
    {"recall_weighted", READS_MULTI, FOR_SETS, ON_REQUEST, AVERAGED(RECALL, WEIGHTED)},
    {"recall_samples", READS_SETS, FOR_SETS, ON_REQUEST, .figure = FIGURE_RECALL,
     .compute_row = metric_of_samples},
    {"f1/", READS_MULTI, FOR_SETS, OF_CLASS(F1)},
    {"precision/", READS_MULTI, FOR_SETS, OF_CLASS(PRECISION)},
    {"recall/", READS_MULTI, FOR_SETS, OF_CLASS(RECALL)},
    {"hamming_loss", READS_SETS, FOR_SETS, ON_REQUEST, .compute = metric_hamming_loss},
    {"roc_auc_macro", READS_KEPT_SETS, FOR_SETS, ON_REQUEST, .average = AVERAGE_MACRO,
     .compute_row = metric_roc_auc_averaged},
    {"roc_auc_micro", READS_KEPT_SETS, FOR_SETS, ON_REQUEST, .average = AVERAGE_MICRO,
     .compute_row = metric_roc_auc_averaged},
    {"roc_auc_weighted", READS_KEPT_SETS, FOR_SETS, ON_REQUEST, .average = AVERAGE_WEIGHTED,
     .compute_row = metric_roc_auc_averaged},
    {"roc_auc/", READS_KEPT_SETS, FOR_SETS, ON_REQUEST, .compute_class = metric_roc_auc_of_class},
    {"average_precision_macro", READS_KEPT_SETS, FOR_SETS, ON_REQUEST, .average = AVERAGE_MACRO,
     .compute_row = metric_average_precision_averaged},
    {"average_precision_micro", READS_KEPT_SETS, FOR_SETS, ON_REQUEST, .average = AVERAGE_MICRO,
     .compute_row = metric_average_precision_averaged},
    {"average_precision_weighted", READS_KEPT_SETS, FOR_SETS, ON_REQUEST,
     .average = AVERAGE_WEIGHTED, .compute_row = metric_average_precision_averaged},
    {"average_precision/", READS_KEPT_SETS, FOR_SETS, ON_REQUEST,
     .compute_class = metric_average_precision_of_class},
    {"exact_match", READS_MULTI, FOR_SETS, .compute = metric_multi_exact},
    {"start_position_accuracy", READS_SPANS, FOR_SPANS, .compute = metric_start_accuracy},
    {"end_position_accuracy", READS_SPANS, FOR_SPANS, .compute = metric_end_accuracy},
};
const size_t n_metric_rows = BT_ARRAY_LEN(metric_rows);
