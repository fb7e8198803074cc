/* SPDX-License-Identifier: Apache-2.0
 *
 * bert-train sweep: one training many times, with other values of keys, other seeds, other folds;
 * what each came to, and which is best. Nothing is started before all of it is known to be right;
 * the same command goes on where an earlier one was stopped. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/number.h"
#include "bt/base/stop.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "command_sweep.h"

enum { JOBS_MAX = 1000, FOLDS_MAX = 1000, ETA_MAX = 100, TEXT_BYTES = 4096 };

static const char *const goals[] = {"max", "min", NULL};
static const char *const formats[] = {"text", "json", NULL};

static const bt_flag_def defs[] = {
    {.name = "grid",
     .kind = BT_FLAG_STRING,
     .help = "'KEY=V1,V2;KEY2=V3,V4': every combination of these values, the last key fastest"},
    {.name = "random",
     .kind = BT_FLAG_STRING,
     .help = "'KEY=log:1e-5..1e-4;KEY2=uniform:0..0.3;KEY3=int:1..4;KEY4=a,b': --trials "
             "combinations drawn from these ranges and lists"},
    {.name = "trials", .kind = BT_FLAG_INT, .help = "--random: how many are drawn"},
    {.name = "sweep_seed",
     .kind = BT_FLAG_INT,
     .default_text = "0",
     .help = "--random: which ones are drawn"},
    {.name = "seeds",
     .kind = BT_FLAG_STRING,
     .help = "3: each trial with the seeds 1, 2 and 3; or the seeds themselves: 1,2,5..8 (default: "
             "that of the configuration)"},
    {.name = "folds",
     .kind = BT_FLAG_INT,
     .help = "K: cross-validation; each trial K times, with another K-th of the training data held "
             "out and evaluated each time"},
    {.name = "jobs",
     .kind = BT_FLAG_INT,
     .default_text = "1",
     .help = "runs at a time, each with so many of the cores (unless runtime.threads is set)"},
    {.name = "metric",
     .kind = BT_FLAG_STRING,
     .help = "the value by which trials are compared, of those that a run ends with (default: "
             "trainer.best_checkpoint_eval_metric)"},
    {.name = "goal",
     .kind = BT_FLAG_ENUM,
     .choices = goals,
     .help = "is more of it better, or less (default: trainer.best_checkpoint_metric_comp)"},
    {.name = "halving",
     .kind = BT_FLAG_BOOL,
     .default_text = "false",
     .help = "train all trials for a few steps, the best of them for more, and only the best of "
             "those to the end (successive halving as Hyperband has it)"},
    {.name = "eta",
     .kind = BT_FLAG_INT,
     .default_text = "3",
     .help = "--halving: one of so many goes on, with so many times the steps"},
    {.name = "min_steps",
     .kind = BT_FLAG_INT,
     .default_text = "1",
     .help = "--halving: no trial is judged before so many steps"},
    {.name = "format",
     .kind = BT_FLAG_ENUM,
     .choices = formats,
     .default_text = "text",
     .help = "of the table on standard output"},
    {.name = "dry_run",
     .kind = BT_FLAG_BOOL,
     .default_text = "false",
     .help = "refuse what the sweep would refuse, and print the command of each run; train and "
             "write nothing"},
};

static const bt_flag_table flag_table = {
    .program = "bert-train sweep",
    .summary = "Trains with many values of keys, several seeds or folds, and compares.\n"
               "  bert-train sweep --grid='KEY=V1,V2;KEY2=V3,V4' --seeds=3 --model_dir=DIR FLAGS\n"
               "  bert-train sweep --random='KEY=log:1e-5..1e-4' --trials=20 --halving "
               "--model_dir=DIR FLAGS\n"
               "  bert-train sweep --folds=5 --model_dir=DIR FLAGS\n"
               "FLAGS are those of a training. DIR gets a folder, a log and a result of each run,\n"
               "what the sweep knows, a table and report.html; the same command goes on where one "
               "was stopped.",
    .exit_codes = "of a run that failed: its own; ",
    .defs = defs,
    .n_defs = sizeof defs / sizeof defs[0],
    .shared = bert_train_conf_defs,
    .n_shared = BERT_TRAIN_N_CONF_DEFS,
};

static bool is_given(const bt_flags *flags, const char *name) {
    const char *const text = bt_flags_string(flags, name);
    return text != NULL && text[0] != '\0';
}

static bt_status check_range(const bt_flags *flags, const char *name, int64_t least, int64_t most,
                             bt_error *err) {
    const int64_t value = bt_flags_int(flags, name);
    return !bt_flags_is_set(flags, name) || (value >= least && value <= most)
               ? BT_OK
               : BT_FAIL(err, BT_E_CONFIG, "--%s=%" PRId64 ": expected %" PRId64 " to %" PRId64,
                         name, value, least, most);
}

static bt_status check_numbers(const bt_flags *flags, bt_error *err) {
    BT_TRY(check_range(flags, "folds", 2, FOLDS_MAX, err));
    BT_TRY(check_range(flags, "jobs", 1, JOBS_MAX, err));
    BT_TRY(check_range(flags, "eta", 2, ETA_MAX, err));
    BT_TRY(check_range(flags, "min_steps", 1, INT64_MAX, err));
    return check_range(flags, "sweep_seed", 0, INT64_MAX, err);
}

/* Ours are added to theirs, which YAML has no way for. */
static bt_status check_overrides(const bt_flags *flags, bt_error *err) {
    const char *const text = bt_flags_string(flags, "params_override");
    const size_t      n = text != NULL ? strcspn(text, ":{=") : 0;
    return text == NULL || text[0] == '\0' || text[n] == '='
               ? BT_OK
               : BT_FAIL(err, BT_E_CONFIG,
                         "--params_override=%.100s: of a sweep write it as KEY=VALUE,KEY=VALUE, or "
                         "give YAML in --config_file",
                         text);
}

static bt_status check_flags(const bt_flags *flags, bt_error *err) {
    static const char *const modes[] = {"train", "train_and_eval", "train_and_post_eval"};
    static const char *const required[] = {"experiment", "model_dir"};
    const char *const       *args = NULL;
    const char *const        mode = bt_flags_string(flags, "mode");
    bool                     trains = mode == NULL;
    if (bt_flags_args(flags, &args) > 0) {
        return BT_FAIL(err, BT_E_CONFIG, "argument '%.200s' is not expected (see --help)", args[0]);
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(required); i++) {
        if (!is_given(flags, required[i])) {
            return BT_FAIL(err, BT_E_CONFIG, "missing --%s (see --help)", required[i]);
        }
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(modes); i++) {
        trains = trains || bt_str_equal(mode, modes[i]);
    }
    if (!trains || is_given(flags, "predict")) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s%s: a sweep trains: --mode=train_and_eval (which is the default), train "
                       "or train_and_post_eval",
                       trains ? "--predict" : "--mode=", trains ? "" : mode);
    }
    if (bt_fs_is_remote(bt_flags_string(flags, "model_dir"))) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--model_dir=%s: the folder of a sweep is a local one (copy it into a store "
                       "when it is done)",
                       bt_flags_string(flags, "model_dir"));
    }
    if (!is_given(flags, "grid") && !is_given(flags, "random") && !is_given(flags, "seeds") &&
        !is_given(flags, "folds")) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "what is to be tried? --grid='KEY=V1,V2;KEY2=V3', --random=... with "
                       "--trials=N, --seeds=N or --folds=K (see --help)");
    }
    BT_TRY(check_overrides(flags, err));
    return check_numbers(flags, err);
}

/* "3": 1..3 */
static bt_status read_seeds(sweep *s, bt_error *err) {
    const char *const text = bt_flags_string(s->flags, "seeds");
    bt_status         rc = BT_OK;
    bt_str            range = BT_STR_INIT;
    if (text == NULL) {
        return BT_OK;
    }
    if (text[0] != '\0' && text[strspn(text, "0")] == '\0') {
        return BT_FAIL(
            err, BT_E_CONFIG,
            "--seeds=%s: that names no seed; N is the seeds from 1 to N, 0..N has 0 as well, "
            "1,2,5 are these",
            text);
    }
    if (text[0] != '\0' && text[strspn(text, "0123456789")] == '\0') {
        BT_CHECK(bt_str_appendf(&range, err, "1..%s", text));
    }
    rc = parse_seeds(range.len > 0 ? range.data : text, &s->seeds, err);
    for (size_t k = 0; rc == BT_OK && k < s->n_keys; k++) {
        if (bt_str_equal(s->keys[k].name, BT_CONF_TRAIN_DATA ".seed")) {
            rc = BT_FAIL(err, BT_E_CONFIG,
                         "--seeds and " BT_CONF_TRAIN_DATA ".seed among the keys: one of them");
        }
    }
done:
    bt_str_deinit(&range);
    return rc;
}

/* As many rungs as the steps and the number of trials have powers of eta. */
static bt_status count_rungs(sweep *s, bt_error *err) {
    const int64_t least = bt_flags_int(s->flags, "min_steps");
    int64_t       n_steps = INT64_MAX;
    size_t        n = s->n_trials;
    if (s->eta == 0) {
        return BT_OK;
    }
    for (size_t i = 0; i < s->n_trials; i++) {
        n_steps = s->trials[i].n_steps < n_steps ? s->trials[i].n_steps : n_steps;
    }
    const int64_t n_whole = n_steps;
    while (n / (size_t)s->eta >= 1 && n_steps / s->eta >= least && s->n_rungs < SWEEP_RUNGS_MAX) {
        s->n_rungs++;
        n /= (size_t)s->eta;
        n_steps /= s->eta;
    }
    if (s->n_rungs == 1) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--halving: %zu trials of %" PRId64 " steps leave nothing to stop early "
                       "(expected %" PRId32 " trials or more, and a %" PRId32
                       "th of the steps to be --min_steps=%" PRId64 " or more)",
                       s->n_trials, n_whole, s->eta, s->eta, least);
    }
    bt_log(BT_LOG_INFO,
           "%" PRId32 " rungs: %zu trials for %" PRId64 " of %" PRId64
           " steps, then one of %" PRId32 " for %" PRId32 " times as many",
           s->n_rungs, s->n_trials, n_steps, n_whole, s->eta, s->eta);
    return BT_OK;
}

static bt_status prepare(sweep *s, bt_error *err) {
    const bt_flags *const flags = s->flags;
    const char *const     mode = bt_flags_string(flags, "mode");
    BT_TRY(check_flags(flags, err));
    BT_TRY(bt_arena_init(&s->texts, TEXT_BYTES, err));
    s->model_dir = bt_flags_string(flags, "model_dir");
    s->mode = mode != NULL ? mode : "train_and_eval";
    s->n_folds = (int32_t)bt_flags_int(flags, "folds");
    s->n_jobs = (int32_t)bt_flags_int(flags, "jobs");
    s->eta = bt_flags_bool(flags, "halving") ? (int32_t)bt_flags_int(flags, "eta") : 0;
    s->n_rungs = 1;
    BT_TRY(sweep_read_space(s, err));
    BT_TRY(read_seeds(s, err));
    BT_TRY(sweep_plan_runs(s, err));
    BT_TRY(sweep_check_trials(s, err));
    return count_rungs(s, err);
}

/* The commands of a dry run; of a halving those of the last rung. */
static bt_status print_commands(const sweep *s, bt_error *err) {
    bt_status   rc = BT_OK;
    bt_str      out = BT_STR_INIT;
    sweep_words words = {0};
    for (size_t i = 0; i < s->n_runs; i++) {
        sweep_words_deinit(&words);
        BT_CHECK(sweep_make_words(s, &s->runs[i], s->n_rungs - 1, &words, err));
        for (size_t k = 0; k < words.n; k++) {
            BT_CHECK(k > 0 ? bt_str_append_char(&out, ' ', err) : BT_OK);
            BT_CHECK(bt_cli_append_word(&out, words.items[k], err));
        }
        BT_CHECK(bt_str_append_char(&out, '\n', err));
    }
    rc = bt_cli_print(&out, BT_READER_NEEDS_ALL, err);
done:
    sweep_words_deinit(&words);
    bt_str_deinit(&out);
    return rc;
}

/* Of the first run that failed. */
static int find_exit_code(const sweep *s) {
    for (size_t i = 0; i < s->n_runs; i++) {
        if (s->runs[i].has_failed) {
            return s->runs[i].exit_code;
        }
    }
    return 0;
}

/* A run that ended well, and whose value is none (of an area under a curve with one class). */
static bt_status check_values(const sweep *s, bt_error *err) {
    for (size_t i = 0; i < s->n_runs; i++) {
        const sweep_run *const run = &s->runs[i];
        if (!run->has_failed && run->n_done > 0 && !isfinite(run->scores[run->n_done - 1])) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "%s of %s/%s is not a number, so its trial cannot be compared: name "
                           "another --metric, or evaluate on rows for which it is defined",
                           s->metric, s->model_dir, run->name);
        }
    }
    return BT_OK;
}

static bt_status run_locked(sweep *s, int *status, bt_error *err) {
    BT_TRY(bt_fs_sweep(s->model_dir, NULL, err));
    BT_TRY(sweep_read_state(s, err));
    BT_TRY(sweep_write_state(s, err));
    bt_stop_mark_saved();
    bt_log(BT_LOG_INFO, "%zu trials in %zu runs, %" PRId32 " at a time, by %s", s->n_trials,
           s->n_runs, s->n_jobs, s->metric);
    (void)bt_stop_say("when the runs at work have saved");
    BT_TRY(sweep_run_all(s, err));
    BT_TRY(sweep_tell(s, err));
    *status = find_exit_code(s);
    return *status == 0 ? check_values(s, err) : BT_OK;
}

static bt_status run_prepared(sweep *s, int *status, bt_error *err) {
    bt_fs_lock *lock = NULL;
    if (bt_flags_bool(s->flags, "dry_run")) {
        return print_commands(s, err);
    }
    BT_TRY(bt_fs_make_folders(s->model_dir, err));
    BT_TRY(bt_fs_lock_take(s->model_dir, BT_FS_LOCK_NAME, "bert-train sweep", &lock, err));
    const bt_status rc = run_locked(s, status, err);
    bt_fs_lock_release(lock);
    return rc;
}

static bt_status run(const bt_flags *flags, int *status, bt_error *err) {
    sweep *const s = bt_calloc_array(1, sizeof *s);
    if (s == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a sweep");
    }
    s->flags = flags;
    bt_status rc = prepare(s, err);
    rc = rc == BT_OK ? run_prepared(s, status, err) : rc;
    bt_free(s->seeds.items);
    bt_free(s->trials);
    bt_free(s->runs);
    bt_arena_deinit(&s->texts);
    bt_free(s);
    return rc;
}

const bt_cli_program command_sweep = {
    .flags = &flag_table, .append_build_info = bert_train_append_build_info, .run = run};
