/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of bert-train sweep. A trial is a choice of values; a run is a trial with one seed and
 * one fold, trained by a process of its own in a folder of its own; a rung of a halving is the
 * steps to which all trials that are left are trained. */
#ifndef BT_CLI_COMMAND_SWEEP_H
#define BT_CLI_COMMAND_SWEEP_H

#include <sys/types.h>

#include "bert_train.h"
#include "bt/base/arena.h"
#include "bt/base/str.h"

enum {
    SWEEP_KEYS_MAX = 32,
    SWEEP_RUNS_MAX = 10000,
    SWEEP_RUNGS_MAX = 32,
    SWEEP_NAME_MAX = 96,
    SWEEP_ERROR_MAX = 600
};

typedef enum sweep_kind { SWEEP_LIST, SWEEP_UNIFORM, SWEEP_LOG, SWEEP_INT } sweep_kind;

typedef struct sweep_key {
    const char  *name;
    sweep_kind   kind;
    const char **values; /* of a list */
    size_t       n_values;
    double       low, high; /* of the others */
} sweep_key;

typedef struct sweep_trial {
    const char **values; /* [n_keys], as an override says them */
    /* of a halving: the whole run's, and what follows from them */
    int64_t     n_steps;
    const char *schedule; /* overrides: ",KEY=STEPS..." */
} sweep_trial;

typedef struct sweep_run {
    size_t  trial;
    int64_t seed; /* SWEEP_OWN_SEED: the configuration's */
    int32_t fold; /* -1: none */
    char    name[SWEEP_NAME_MAX];
    int32_t n_done; /* rungs that are behind it */
    int64_t step;   /* where it ended last */
    double  scores[SWEEP_RUNGS_MAX];
    bool    has_failed;
    int     exit_code;
    char    error[SWEEP_ERROR_MAX];
    pid_t   pid; /* 0: not at work */
} sweep_run;
#define SWEEP_OWN_SEED (-1)

typedef struct sweep {
    const bt_flags *flags;
    bt_arena        texts;
    bool            is_random;
    sweep_key       keys[SWEEP_KEYS_MAX];
    size_t          n_keys;
    sweep_trial    *trials;
    size_t          n_trials;
    sweep_run      *runs;
    size_t          n_runs;
    seed_list       seeds; /* none: that of the configuration */
    int32_t         n_folds;
    int32_t         n_jobs;
    int32_t         n_rungs; /* 1: no halving */
    int32_t         eta;     /* 0: no halving */
    const char     *model_dir;
    const char     *mode;
    const char     *metric;
    bool            is_lower_better;
    bool            wants_report;
    const char     *configuration; /* of the first run, as YAML */
} sweep;

/* sweep_space.c: --grid and --random into keys and trials. */
BT_MUST_USE bt_status sweep_read_space(sweep *s, bt_error *err);
/* "KEY=VALUE, KEY2=VALUE2", or "nothing changed". */
BT_MUST_USE bt_status sweep_append_values(const sweep *s, size_t trial, bt_str *out, bt_error *err);

/* sweep_plan.c: what is run, and with which command line. */
typedef struct sweep_words {
    char **items; /* [n], and a NULL */
    size_t n;
    size_t cap;
} sweep_words;
void                  sweep_words_deinit(sweep_words *words);
BT_MUST_USE bt_status sweep_plan_runs(sweep *s, bt_error *err);
/* Of the child; rung -1: the configuration to look at, in a folder that is never there. */
BT_MUST_USE bt_status sweep_make_words(const sweep *s, const sweep_run *run, int32_t rung,
                                       sweep_words *out, bt_error *err);
/* Every trial's configuration is right, and the first one's data too; fills in metric,
 * configuration and what a halving needs. Problems of a list were shown, err->msg is empty then. */
BT_MUST_USE bt_status sweep_check_trials(sweep *s, bt_error *err);

/* sweep_file.c: sweep.json. */
/* What an earlier start of the same sweep came to, into the runs. BT_E_CONFIG: it was another. */
BT_MUST_USE bt_status sweep_read_state(sweep *s, bt_error *err);
BT_MUST_USE bt_status sweep_write_state(const sweep *s, bt_error *err);
/* DIR/NAME and an extension; the caller bt_free()s it. */
BT_MUST_USE bt_status sweep_path(const sweep *s, const char *name, const char *extension,
                                 char **out, bt_error *err);

/* sweep_jobs.c: trains what is left. BT_E_INTERRUPTED: asked to stop, and the children have. */
BT_MUST_USE bt_status sweep_run_all(sweep *s, bt_error *err);

/* sweep_table.c: what came out. */
typedef struct sweep_outcome {
    size_t  trial;
    int32_t rung; /* the last one that it was in; -1: none has a value */
    size_t  n;    /* runs with a value there */
    size_t  n_failed;
    double  mean;
    double  stddev; /* of a sample; NaN of one */
    int64_t step;
    size_t  best_run; /* among the runs */
} sweep_outcome;
/* Of a rung alone, in the order of trials; no value: NaN. */
sweep_outcome         sweep_judge_trial(const sweep *s, size_t trial, int32_t rung);
bool                  sweep_is_better(const sweep *s, double a, double b);
BT_MUST_USE bt_status sweep_tell(const sweep *s, bt_error *err);

#endif
