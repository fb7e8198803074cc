/* SPDX-License-Identifier: Apache-2.0
 *
 * report: what is known of a run, or of several side by side, as one page of HTML for people: no
 * network, no script, charts as SVG. Knows no model_dir: the caller hands over what it read.
 *
 * Texts come from data and configurations: they are escaped here, whatever bytes they have. */
#ifndef BT_REPORT_H
#define BT_REPORT_H

#include "bt/base/str.h"
#include "bt/metrics.h"
#include "bt/tensor.h"
#include "bt/text.h"

struct json_t;

/* A value over the steps of a run. */
typedef struct bt_report_track {
    char    name[96]; /* "training_loss", as in metrics.jsonl */
    bool    is_validation;
    double *steps;  /* [n] owned, ascending */
    double *values; /* [n] owned; NaN: there was no number */
    size_t  n;
    size_t  cap_steps, cap_values;
} bt_report_track;

/* A line of two words: "processor", "AMD ...". */
typedef struct bt_report_fact {
    char *name; /* owned, as value */
    char *value;
} bt_report_fact;

/* A key of the configuration that differs from the experiment's default. */
typedef struct bt_report_setting {
    char *key; /* all owned */
    char *value;
    char *usual;  /* the default; NULL: not known */
    char *origin; /* who says so; NULL: not known */
} bt_report_setting;

/* The run rested: the records before and after are farther apart than what was done. */
typedef struct bt_report_pause {
    double step;
    double seconds;
} bt_report_pause;

/* Where the seconds went. */
typedef struct bt_report_times {
    double training; /* steps, waiting included */
    double input_wait;
    double exchange_wait;
    double evaluation;
    double
        elapsed; /* from the first record's beginning to the last, pauses taken out; 0: unknown */
} bt_report_times;

/* All owned; zero-initialise. */
typedef struct bt_report_run {
    char              *name;       /* the folder */
    char              *experiment; /* "": not known */
    char              *status;     /* "finished at step 300" */
    char              *command;    /* to repeat it; NULL: not known */
    bt_report_track   *tracks;
    size_t             n_tracks, cap_tracks;
    bt_report_pause   *pauses;
    size_t             n_pauses, cap_pauses;
    bt_report_setting *settings;
    size_t             n_settings, cap_settings;
    bt_report_fact    *machine;
    size_t             n_machine, cap_machine;
    bt_report_times    times;
    int64_t            last_step;
    char              *best_metric; /* that chose the best checkpoint; NULL: none did */
    bool               best_is_lower;
    struct json_t     *data;       /* of the training's data, or NULL */
    struct json_t     *evaluation; /* what the last evaluation kept, or NULL */
} bt_report_run;

void bt_report_run_deinit(bt_report_run *run);
/* Adds a value to the track of that name, which is made when it is the first. */
BT_MUST_USE bt_status bt_report_add_value(bt_report_run *run, const char *name, bool is_validation,
                                          double step, double value, bt_error *err);
BT_MUST_USE bt_status bt_report_add_pause(bt_report_run *run, double step, double seconds,
                                          bt_error *err);
/* usual, origin: may be NULL. */
BT_MUST_USE bt_status bt_report_add_setting(bt_report_run *run, const char *key, const char *value,
                                            const char *usual, const char *origin, bt_error *err);
BT_MUST_USE bt_status bt_report_add_fact(bt_report_run *run, const char *name, const char *value,
                                         bt_error *err);

/* What an evaluation keeps for the report: of all rows how long they are, and of the worst
 * mistakes the tokens. */

typedef enum bt_report_kind {
    BT_REPORT_LENGTHS,    /* nothing is said of mistakes */
    BT_REPORT_CLASSES,    /* logits [B,C], int_labels [B] */
    BT_REPORT_LABEL_SETS, /* logits [B,C], float_labels [B,C] */
    BT_REPORT_SCORES,     /* logits [B,1], float_labels [B] */
    BT_REPORT_TAGS,       /* logits [T,C], int_labels [T]; those below 0 do not count */
} bt_report_kind;

typedef struct bt_report_rows_config {
    bt_report_kind kind;
    int64_t        n_classes;
    int64_t        seq_length;
    double         threshold; /* LABEL_SETS: from which probability on a class applies */
    int64_t        n_most;    /* mistakes that are kept */
} bt_report_rows_config;

typedef struct bt_report_rows bt_report_rows;
BT_MUST_USE bt_status         bt_report_rows_create(const bt_report_rows_config *config,
                                                    bt_report_rows **out, bt_error *err);
void                          bt_report_rows_free(bt_report_rows *rows); /* accepts NULL */
void                          bt_report_rows_reset(bt_report_rows *rows);
/* Allocates nothing. */
void bt_report_rows_add(bt_report_rows *rows, const bt_batch *batch, const float *logits);

/* Whose texts the rows are. */
typedef struct bt_report_texts {
    const bt_text_vocab *vocab; /* NULL: not known */
    /* The texts of a row by its place in the stream; *n = 0: only its tokens are there. Borrowed
     * until the next call. NULL: the same. */
    bt_status (*read)(void *context, int64_t place, const bt_text_span **texts, size_t *n,
                      bt_error *err);
    void *context;
} bt_report_texts;
/* Members of an object of JSON, each with a comma before it: lengths, mistakes. */
BT_MUST_USE bt_status bt_report_rows_append(const bt_report_rows  *rows,
                                            const bt_report_texts *texts, bt_str *json,
                                            bt_error *err);
/* The same of what the metrics counted: confusion, calibration. */
BT_MUST_USE bt_status bt_report_metrics_append(const bt_metrics *metrics, bt_str *json,
                                               bt_error *err);

/* The page of one run, or of several (n > 1) side by side. Appended to out. Errors: BT_E_NOMEM. */
BT_MUST_USE bt_status bt_report_write_page(const bt_report_run *runs, size_t n, bt_str *out,
                                           bt_error *err);

#endif
