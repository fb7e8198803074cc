/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: the form of a line of metrics.jsonl, written and read in one place. */
#ifndef BT_TRAIN_RECORD_H
#define BT_TRAIN_RECORD_H

#include "bt/train.h"

typedef enum record_kind {
    RECORD_TRAIN,
    RECORD_VALIDATION,
    RECORD_FINAL, /* the end of a run */
    RECORD_OTHER, /* of a later version */
} record_kind;

/* Extra values, by which nothing is compared or gone on with. Their names are known here alone: a
 * line's values end where the first of them stands. */
typedef enum record_extra {
    EXTRA_EXAMPLES,
    EXTRA_EXAMPLES_PER_SECOND,
    EXTRA_TOKENS_PER_SECOND,
    EXTRA_SECONDS,
    EXTRA_GRAD_NORM,
    EXTRA_LOSS_SCALE,
    EXTRA_SKIPPED_UPDATES,
    EXTRA_INPUT_WAIT,
    EXTRA_EXCHANGE_WAIT,
    EXTRA_PADDING_AVOIDED,
    EXTRA_PREDICTED_CLASSES,
} record_extra;
enum { N_RECORD_EXTRAS = EXTRA_PREDICTED_CLASSES + 1 };

/* name = value, appended; cut off silently never: the list is large enough by construction */
void record_add(bt_train_values *values, const char *name, double value);
/* An extra value that TensorBoard shows as a curve. */
bool record_is_curve(const char *name);
void record_add_extra(bt_train_values *extra, record_extra which, double value);

/* What a line says of a training that early stopping ended. */
#define RECORD_STOPPED_EARLY "early_stopping"

/* A line to be written. */
typedef struct run_record {
    record_kind            kind;
    int64_t                step;
    int64_t                round;     /* of continuous_train_and_eval, else -1 */
    const char            *mode;      /* of an evaluation that no training made; else NULL */
    const char            *precision; /* that runtime.precision asked for; NULL: none */
    const char            *stopped;   /* NULL: not said */
    const bt_train_values *values;
    const bt_train_values *extra;
} run_record;

/* A line that was read. */
typedef struct record_line {
    record_kind     kind;
    int64_t         step;
    int64_t         round;         /* -1: not said */
    double          time;          /* seconds since 1970; 0: not said */
    bool            from_training; /* it names no mode */
    bool            is_early;      /* stopped: early_stopping */
    bt_train_values values;        /* without the extra ones */
    bt_train_values extra;
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

#endif
