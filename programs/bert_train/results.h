/* SPDX-License-Identifier: Apache-2.0
 *
 * bert-train: what a run came to, for programs: --fail_below, --fail_above, --result_json,
 * --result_junit, --result_markdown; and the table for people (docs/guide/results.md). */
#ifndef BT_CLI_BERT_TRAIN_RESULTS_H
#define BT_CLI_BERT_TRAIN_RESULTS_H

#include "bert_train.h"
#include "bt/base/number.h"

enum { RESULT_LIMITS_MAX = 32, RESULT_SCHEMA_VERSION = 1 };

/* "cls_accuracy=0.9" of --fail_below or --fail_above. */
typedef struct result_limit {
    const char *flag; /* "--fail_below" */
    bool        is_upper;
    char        name[BT_METRIC_NAME_MAX];
    double      bound;
    bool        has_value;
    double      value;
    bool        is_met;
} result_limit;

typedef enum result_form { RESULT_JSON, RESULT_JUNIT, RESULT_MARKDOWN } result_form;
enum { RESULT_N_FORMS = RESULT_MARKDOWN + 1 };

typedef struct run_result {
    const char            *paths[RESULT_N_FORMS]; /* of the flags; NULL: not asked for */
    result_limit           limits[RESULT_LIMITS_MAX];
    size_t                 n_limits;
    bt_train_asked         asked[RESULT_LIMITS_MAX]; /* their names, for the run */
    double                 began;                    /* bt_time_monotonic */
    int64_t                began_ms;
    const char            *mode, *model_dir; /* of the flags, or NULL */
    char                   experiment[64];
    bool                   is_silent;  /* another process of the job writes; or nothing is run */
    bool                   is_checked; /* the files may be written over */
    bool                   has_summary;
    bool                   has_seeds;
    size_t                 n_seeds;
    bt_status              status;
    int                    exit_code;
    bt_error               error;  /* of status */
    bt_str                 inputs; /* JSON: the files of the configuration */
    bt_train_summary       summary;
    bt_train_seeds_summary seeds;
} run_result;

/* What the flags ask for. BT_E_CONFIG: a limit that is none; what is asked twice on standard
 * output. The paths are there even then. */
BT_MUST_USE bt_status result_read_flags(const bt_flags *flags, run_result *out, bt_error *err);
/* Before the run: names of limits, places of files; what was left there is removed, so that a
 * killed run leaves no result of another. writes false: a dry run, which only looks. */
BT_MUST_USE bt_status result_check(run_result *r, const bt_flags *flags, const bt_train_args *args,
                                   bool writes, bt_error *err);
/* After it: the limits. BT_E_LIMIT, all that were not kept in one sentence. */
BT_MUST_USE bt_status result_judge(run_result *r, bt_error *err);
/* Writes what was asked for, of a run that ended with rc; returns rc, or what writing failed with.
 */
BT_MUST_USE bt_status result_write(run_result *r, bt_status rc, bt_error *err);
/* Is standard output another's? */
bool result_takes_stdout(const run_result *r);

BT_MUST_USE bt_status result_append_json(const run_result *r, bt_str *out, bt_error *err);
BT_MUST_USE bt_status result_append_junit(const run_result *r, bt_str *out, bt_error *err);
BT_MUST_USE bt_status result_append_markdown(const run_result *r, bt_str *out, bt_error *err);
/* The files that the configuration names, as JSON, into r->inputs. */
BT_MUST_USE bt_status result_find_inputs(run_result *r, const bt_conf *conf, bt_error *err);
/* "cls_accuracy 0.85 is below 0.9", or "... has no value" */
void result_limit_text(const result_limit *limit, char *out, size_t cap);
/* The number as standard output has it, or "nan". */
const char *result_number(double value, char out[BT_F64_TEXT_MAX]);

/* result_table.c: last and best values, where the checkpoints are, what to do next. */
BT_MUST_USE bt_status result_tell(const run_result *r, const bt_train_args *args, bt_error *err);

#endif
