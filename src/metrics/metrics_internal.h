/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics, private. A metric is a row: a name, and a function of what some parts have summed up. A
 * part is one kind of sum over the stream (counts of classes, moments of scores ...), in a file of
 * its own; a set keeps each part that one of its metrics reads, once. */
#ifndef BT_METRICS_INTERNAL_H
#define BT_METRICS_INTERNAL_H

#include "bt/metrics.h"

/* Parts. */

/* Append, never renumber: the numbers are in saved states. */
typedef enum metric_part_id {
    PART_CLASSES,  /* labels and predictions of sentences, counted (metrics_classes.c) */
    PART_AUC,      /* probabilities of class 1 in buckets (metrics_auc.c) */
    PART_MOMENTS,  /* means and co-moments of score and label (metrics_scores.c) */
    PART_PAIRS,    /* every score and label: rank correlation has no streaming form
                      (metrics_rank.c) */
    PART_RANKS,    /* ranks of the right pairs among the scores of a batch (metrics_retrieval.c) */
    PART_TOKENS,   /* as PART_CLASSES, of tokens; labels below 0 do not count (metrics_classes.c) */
    PART_ENTITIES, /* entities among the tags of sentences (metrics_entities.c) */
    PART_SPANS,    /* starts and ends of spans that were found (metrics_spans.c) */
    PART_MULTI,    /* classes that apply and that were found, several a row (metrics_multi.c) */
    PART_TABLE,    /* labels against predictions, each class by itself (metrics_table.c) */
    PART_TOKEN_TABLE, /* the same of tokens */
    PART_CERTAINTY,   /* probabilities of labels and predictions (metrics_certainty.c) */
    PART_KEPT,        /* every logit and label (metrics_kept.c) */
    PART_KEPT_SETS,   /* the same of several labels a row */
    PART_SETS,        /* rows of several labels, each as a whole (metrics_sets.c) */
    PART_ERRORS,      /* absolute errors of scores (metrics_errors.c) */
    PART_BUCKETS,     /* rows by probability, each class by itself (metrics_pr.c) */
    PART_SET_BUCKETS, /* the same of several labels a row */
    N_PARTS
} metric_part_id;

#define PART_BIT(id) (1U << (id))

/* The functions of a part; state is what create made. */
typedef struct metric_part {
    /* "class" or "float": what a batch without labels lacks; NULL: needs none */
    const char *wants_labels;
    bt_status (*create)(const bt_metrics_config *config, void **state, bt_error *err);
    void (*destroy)(void *state); /* accepts NULL */
    void (*reset)(void *state);
    bt_status (*update)(void *state, const bt_batch *batch, const float *logits, bt_error *err);
    bt_status (*save)(const void *state, bt_str *bytes, bt_error *err);
    bt_status (*load)(void *state, bt_reader *bytes, bt_error *err);
} metric_part;

extern const metric_part metric_part_classes;
extern const metric_part metric_part_auc;
extern const metric_part metric_part_moments;
extern const metric_part metric_part_pairs;
extern const metric_part metric_part_ranks;
extern const metric_part metric_part_tokens;
extern const metric_part metric_part_entities;
extern const metric_part metric_part_spans;
extern const metric_part metric_part_multi;
extern const metric_part metric_part_table;
extern const metric_part metric_part_token_table;
extern const metric_part metric_part_certainty;
extern const metric_part metric_part_kept;
extern const metric_part metric_part_kept_sets;
extern const metric_part metric_part_sets;
extern const metric_part metric_part_errors;
extern const metric_part metric_part_buckets;
extern const metric_part metric_part_set_buckets;

/* Rows. */

/* Is a metric computed when nobody asks for it? */
typedef enum metric_custom {
    CUSTOM_GARDEN,  /* the task says so: Model Garden computes it, or a test */
    CUSTOM_REQUEST, /* when it is asked for */
    CUSTOM_ALWAYS,
} metric_custom;

typedef enum metric_figure { FIGURE_PRECISION, FIGURE_RECALL, FIGURE_F1 } metric_figure;
typedef enum metric_average { AVERAGE_MACRO, AVERAGE_MICRO, AVERAGE_WEIGHTED } metric_average;

typedef struct metric_row metric_row;
struct metric_row {
    const char    *name;        /* one row for each name and unit */
    uint32_t       parts;       /* of PART_BIT: what it reads */
    int64_t        min_classes; /* columns of the logits that it is for */
    int64_t        max_classes;
    bt_metric_unit unit;
    const char    *wants; /* the same in words, for messages */
    metric_custom  custom;
    metric_figure  figure;
    metric_average average;
    /* One of these. */
    double (*compute)(const bt_metrics *metrics);
    double (*compute_row)(const bt_metrics *metrics, const metric_row *row);
    /* The name is followed by a number from 1, "left_recall_at_3" */
    double (*compute_at)(const bt_metrics *metrics, int64_t k);
    /* The name ends in a slash, and a class follows */
    double (*compute_class)(const bt_metrics *metrics, const metric_row *row, int64_t c);
};

extern const metric_row metric_rows[];
extern const size_t     n_metric_rows;

/* A value that a set gives. */
typedef struct metric_choice {
    const metric_row *row;
    int64_t           number; /* k, or the class */
    char              name[BT_METRIC_NAME_MAX];
} metric_choice;

struct bt_metrics {
    metric_choice  choices[BT_METRIC_MAX];
    size_t         n_choices;
    uint32_t       parts; /* of PART_BIT */
    int64_t        n_classes;
    bt_metric_unit unit;
    bool           bug_compatible;
    double         threshold;   /* that was applied; NaN: none was */
    double         temperature; /* ... of probabilities under this */
    int64_t        n_bootstrap; /* samples; 0: no intervals */
    uint64_t       bootstrap_seed;
    void          *states[N_PARTS]; /* owned; NULL where the part is not kept */
};

/* Whatever its row computes it by. */
double metric_compute(const bt_metrics *metrics, const metric_choice *choice);

/* metrics_choose.c: the rows that the names mean, and which parts they read. */
BT_MUST_USE bt_status metric_choose_rows(bt_metrics *metrics, const bt_metrics_config *config,
                                         bt_error *err);
/* A row without a number or class in its name; NULL: none. */
const metric_row *metric_find_row(const char *name, bt_metric_unit unit, int64_t n_classes);
/* ... and the classes; the parts are there. */
BT_MUST_USE bt_status metric_choose_classes(bt_metrics *metrics, const bt_metrics_config *config,
                                            bt_error *err);

/* What parts share. */

/* The first of the largest, as TensorFlow's argmax. */
int64_t metric_argmax(const float *x, int64_t n);
/* BT_E_FORMAT unless 0 <= label < n_classes. place: of the example, for the message. */
BT_MUST_USE bt_status metric_check_label(int32_t label, int64_t n_classes, int64_t place,
                                         bt_error *err);

/* More than any run counts; what is added to counts of a state that was read cannot overflow. */
#define METRIC_MAX_COUNT (INT64_C(1) << 53)
/* BT_E_FORMAT unless 0 <= count <= METRIC_MAX_COUNT. */
BT_MUST_USE bt_status metric_check_count(int64_t count, bt_error *err);

/* Little-endian words; doubles as their bits. Counts are checked when they are read. */
BT_MUST_USE bt_status metric_put_words(bt_str *bytes, const uint64_t *words, size_t n,
                                       bt_error *err);
BT_MUST_USE bt_status metric_put_counts(bt_str *bytes, const int64_t *counts, int64_t n,
                                        bt_error *err);
BT_MUST_USE bt_status metric_get_words(bt_reader *bytes, uint64_t *words, size_t n, bt_error *err);
BT_MUST_USE bt_status metric_get_counts(bt_reader *bytes, int64_t *counts, int64_t n,
                                        bt_error *err);

/* Values of parts, read by the rows. */

double metric_multi_f1_micro(const bt_metrics *metrics);
double metric_multi_f1_macro(const bt_metrics *metrics);
double metric_multi_exact(const bt_metrics *metrics);
double metric_accuracy(const bt_metrics *metrics);
double metric_f1(const bt_metrics *metrics);
double metric_matthews(const bt_metrics *metrics);
double metric_token_accuracy(const bt_metrics *metrics);
double metric_entity_f1(const bt_metrics *metrics);
double metric_entity_precision(const bt_metrics *metrics);
double metric_entity_recall(const bt_metrics *metrics);
double metric_auc(const bt_metrics *metrics);
double metric_pearson(const bt_metrics *metrics);
double metric_mean_squared_error(const bt_metrics *metrics);
double metric_spearman(const bt_metrics *metrics);
double metric_left_recall(const bt_metrics *metrics, int64_t k);
double metric_right_recall(const bt_metrics *metrics, int64_t k);
double metric_left_mrr(const bt_metrics *metrics);
double metric_right_mrr(const bt_metrics *metrics);
double metric_batch_size(const bt_metrics *metrics);
double metric_start_accuracy(const bt_metrics *metrics);
double metric_end_accuracy(const bt_metrics *metrics);

/* What precision, recall and F1 are made of, each class (of tags: type) by itself. */
typedef struct metric_counts {
    int64_t        n_classes;
    const int64_t *applies;
    const int64_t *found;
    const int64_t *both;
} metric_counts;

/* metrics_table.c */
typedef struct class_table {
    int64_t  n_classes;
    int64_t  n;
    double   gap_sq;    /* sum of (prediction - label)^2 */
    int64_t *labelled;  /* [n_classes] owned, and so below */
    int64_t *predicted; /* [n_classes] */
    int64_t *correct;   /* [n_classes] */
    int64_t *cells;     /* [n_classes,n_classes], or NULL: too many */
} class_table;

metric_counts metric_multi_counts(const bt_metrics *metrics); /* metrics_multi.c */
/* metrics_entities.c: of the types, and their names, [n_classes of the counts]. *first: the first
 * that a tag has. */
metric_counts      metric_entity_counts(const bt_metrics *metrics);
const char *const *metric_entity_types(const bt_metrics *metrics, int64_t *n, int64_t *first);

/* metrics_averages.c */
double metric_averaged(const bt_metrics *metrics, const metric_row *row);
double metric_of_class(const bt_metrics *metrics, const metric_row *row, int64_t c);
double metric_of_second(const bt_metrics *metrics, const metric_row *row);
double metric_balanced_accuracy(const bt_metrics *metrics);
double metric_cohen_kappa(const bt_metrics *metrics);
double metric_cohen_kappa_quadratic(const bt_metrics *metrics);

/* metrics_certainty.c */
double metric_log_loss(const bt_metrics *metrics);
double metric_brier(const bt_metrics *metrics);
double metric_calibration_error(const bt_metrics *metrics);
double metric_top_k(const bt_metrics *metrics, int64_t k);
double metric_top_two(const bt_metrics *metrics);

/* metrics_curves.c */
double metric_roc_auc(const bt_metrics *metrics);
double metric_average_precision(const bt_metrics *metrics);
double metric_roc_auc_averaged(const bt_metrics *metrics, const metric_row *row);
double metric_average_precision_averaged(const bt_metrics *metrics, const metric_row *row);
double metric_roc_auc_of_class(const bt_metrics *metrics, const metric_row *row, int64_t c);
double metric_average_precision_of_class(const bt_metrics *metrics, const metric_row *row,
                                         int64_t c);

/* metrics_pr.c: which part counts for curves; 0: there are none of such a set. */
uint32_t metric_curve_parts(const bt_metrics_config *config);

/* metrics_sets.c, metrics_scores.c, metrics_errors.c */
double metric_of_samples(const bt_metrics *metrics, const metric_row *row);
double metric_hamming_loss(const bt_metrics *metrics);
double metric_r2(const bt_metrics *metrics);
double metric_root_mean_squared_error(const bt_metrics *metrics);
double metric_mean_absolute_error(const bt_metrics *metrics);

/* metrics_table.c, and what that means for a state of metrics_classes.c */
void metric_table_count(class_table *t, int64_t label, int64_t prediction, int64_t weight);
void metric_classes_take(void *state, const class_table *table);

/* metrics_classes.c, both of its parts: the counts of predictions and their sum. */
const int64_t *metric_classes_predicted(const void *state, int64_t *n);

#endif
