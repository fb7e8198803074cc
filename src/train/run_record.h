/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: the form of a line of metrics.jsonl, written and read in one place. */
#ifndef BT_TRAIN_RUN_RECORD_H
#define BT_TRAIN_RUN_RECORD_H

#include "run_log.h"

enum { RECORD_KIND_MAX = 16 };

/* A line to be written. */
typedef struct run_record {
    const char            *kind; /* "train", "validation", "final" */
    int64_t                step;
    int64_t                round;   /* of continuous_train_and_eval, else -1 */
    const char            *mode;    /* of an evaluation that no training made; else NULL */
    const char            *stopped; /* NULL: not said */
    const bt_metric_value *values;
    size_t                 n_values;
    const bt_metric_value *extra;
    size_t                 n_extra;
} run_record;

/* A line that was read. */
typedef struct record_line {
    char            kind[RECORD_KIND_MAX];
    int64_t         step;
    int64_t         round;         /* -1: not said */
    bool            from_training; /* it names no mode */
    size_t          n_values;
    bt_metric_value values[BT_TRAIN_MAX_VALUES]; /* without the extra ones */
} record_line;

/* Appends the line with its end. */
BT_MUST_USE bt_status record_format(const run_record *r, bt_str *line, bt_error *err);
/* Without its end. *is_record false: another text, a torn line. The one error: no memory. */
BT_MUST_USE bt_status record_parse(const char *line, size_t n_bytes, record_line *out,
                                   bool *is_record, bt_error *err);
/* A line that is not a record, but looks like the remains of one. */
bool record_is_torn(const char *line, size_t n_bytes);
/* The same numbers, but for times and best_*: the same evaluation, made again. */
bool record_is_repeated(const record_line *line, const run_record *r);

/* run_history.c: metrics.jsonl read back, and mended. */

/* Which records go: those behind last_step, and "final" of last_step where that is asked; only of
 * this round, unless it is -1. */
typedef struct record_cut {
    int64_t last_step;
    int64_t round;
    bool    without_final;
} record_cut;
/* Takes them out, and what is torn, so that the file is whole at any moment. *n_cut: how many. */
BT_MUST_USE bt_status history_cut(const char *path, const record_cut *cut, int64_t *n_cut,
                                  bt_error *err);
/* Calls visit for each record, in order, until it says true. A missing file has none. */
BT_MUST_USE bt_status history_visit(const char *path,
                                    bool (*visit)(void *context, const record_line *line),
                                    void *context, bt_error *err);
/* *torn: the file ends inside a line. */
BT_MUST_USE bt_status history_is_torn(const char *path, bool *torn, bt_error *err);

#endif
