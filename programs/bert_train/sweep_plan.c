/* SPDX-License-Identifier: Apache-2.0
 *
 * The runs of a sweep: their names, their command lines, and the look at each trial's configuration
 * before anything is trained. A child is started with the flags of the sweep's own command and with
 * overrides after those of the user, which is also what somebody types who wants that run alone. */
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/cores.h"
#include "bt/base/log.h"
#include "bt/base/number.h"
#include "bt/base/stop.h"
#include "bt/fs.h"
#include "bt/weights.h"
#include "command_sweep.h"

#define OPTIMIZER "trainer.optimizer_config."

/* Command lines. */

void sweep_words_deinit(sweep_words *words) {
    for (size_t i = 0; i < words->n; i++) {
        bt_free(words->items[i]);
    }
    bt_free(words->items);
    *words = (sweep_words){0};
}

BT_PRINTF(3, 4)
static bt_status add_word(sweep_words *words, bt_error *err, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char     *text = n < 0 ? NULL : bt_alloc((size_t)n + 1);
    bt_status rc = text == NULL ? BT_FAIL(err, BT_E_NOMEM, "out of memory for a command line")
                                : bt_grow(&words->items, &words->cap, words->n + 2,
                                          sizeof *words->items, (size_t)1 << 20, err);
    if (rc == BT_OK) {
        (void)vsnprintf(text, (size_t)n + 1, fmt, again);
        words->items[words->n++] = text;
        words->items[words->n] = NULL;
    } else {
        bt_free(text);
    }
    va_end(again);
    return rc;
}

static bt_status add_flag(const sweep *s, const bt_flag_def *def, sweep_words *out, bt_error *err) {
    static const char *const own[] = {"mode", "model_dir", "params_override"};
    for (size_t i = 0; i < BT_ARRAY_LEN(own); i++) {
        if (bt_str_equal(def->name, own[i])) {
            return BT_OK;
        }
    }
    if (def->kind == BT_FLAG_LIST) {
        const char *const *values = NULL;
        const size_t       n = bt_flags_list(s->flags, def->name, &values);
        for (size_t i = 0; i < n; i++) {
            BT_TRY(add_word(out, err, "--%s=%s", def->name, values[i]));
        }
        return BT_OK;
    }
    const char *const text = bt_flags_string(s->flags, def->name);
    return text != NULL ? add_word(out, err, "--%s=%s", def->name, text) : BT_OK;
}

static bt_status append_folds(const sweep *s, const sweep_run *run, bt_str *out, bt_error *err) {
    static const char *const sections[][2] = {{BT_CONF_TRAIN_DATA, "without"},
                                              {BT_CONF_VALIDATION_DATA, "only"}};
    char                     share[BT_F64_TEXT_MAX];
    for (size_t i = 0; run->fold >= 0 && i < BT_ARRAY_LEN(sections); i++) {
        BT_TRY(bt_str_appendf(out, err,
                              ",%s.held_out=%s,%s.held_out_share=%s,%s.held_out_fold=%" PRId32,
                              sections[i][0], sections[i][1], sections[i][0],
                              bt_f64_repr(1.0 / s->n_folds, share), sections[i][0], run->fold));
    }
    return BT_OK;
}

/* Steps that a trial is trained to in a rung. */
static int64_t rung_steps(const sweep *s, const sweep_trial *trial, int32_t rung) {
    int64_t n_steps = trial->n_steps;
    for (int32_t i = rung + 1; i < s->n_rungs; i++) {
        n_steps /= s->eta;
    }
    return n_steps;
}

/* The user's, less a comma at their end; then ours. */
static bt_status append_overrides(const sweep *s, const sweep_run *run, int32_t rung, bt_str *out,
                                  bt_error *err) {
    const char *const theirs = bt_flags_string(s->flags, "params_override");
    size_t            n = theirs != NULL ? strlen(theirs) : 0;
    while (n > 0 && strchr(", \t\r\n", theirs[n - 1]) != NULL) {
        n--;
    }
    BT_TRY(n > 0 ? bt_str_append_n(out, theirs, n, err) : BT_OK);
    BT_TRY(n > 0 && s->n_keys > 0 ? bt_str_append(out, ",", err) : BT_OK);
    BT_TRY(sweep_append_values(s, run->trial, out, err));
    BT_TRY(append_folds(s, run, out, err));
    if (run->seed != SWEEP_OWN_SEED) {
        BT_TRY(bt_str_appendf(out, err, ",%s.seed=%" PRId64, BT_CONF_TRAIN_DATA, run->seed));
    }
    if (rung >= 0 && s->n_rungs > 1) {
        const sweep_trial *const trial = &s->trials[run->trial];
        BT_TRY(bt_str_appendf(out, err, ",trainer.train_steps=%" PRId64 "%s",
                              rung_steps(s, trial, rung), trial->schedule));
    }
    if (rung >= 0 && s->n_jobs > 1 && strstr(bt_str_text(out), "runtime.threads") == NULL) {
        const int32_t n_threads = bt_n_physical_cores() / s->n_jobs;
        BT_TRY(
            bt_str_appendf(out, err, ",runtime.threads=%" PRId32, n_threads > 1 ? n_threads : 1));
    }
    return BT_OK;
}

bt_status sweep_make_words(const sweep *s, const sweep_run *run, int32_t rung, sweep_words *out,
                           bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    overrides = BT_STR_INIT;
    BT_CHECK(add_word(out, err, "bert-train"));
    for (size_t i = 0; i < BERT_TRAIN_N_CONF_DEFS; i++) {
        BT_CHECK(add_flag(s, &bert_train_conf_defs[i], out, err));
    }
    BT_CHECK(append_overrides(s, run, rung, &overrides, err));
    const char *const text = bt_str_text(&overrides);
    BT_CHECK(add_word(out, err, "--mode=%s", s->mode));
    BT_CHECK(add_word(out, err, "--params_override=%s", text[0] == ',' ? text + 1 : text));
    /* one that is never there knows nothing of an earlier start */
    BT_CHECK(
        add_word(out, err, "--model_dir=%s/%s", s->model_dir, rung < 0 ? "run_000" : run->name));
    if (rung >= 0) {
        BT_CHECK(add_word(out, err, "--result_json=%s/%s.json", s->model_dir, run->name));
    }
done:
    bt_str_deinit(&overrides);
    return rc;
}

/* Runs. */

static void name_run(const sweep *s, sweep_run *run) {
    char seed[32] = "";
    char fold[32] = "";
    if (s->seeds.n > 1) {
        (void)snprintf(seed, sizeof seed, "_seed_%" PRId64, run->seed);
    }
    if (run->fold >= 0) {
        (void)snprintf(fold, sizeof fold, "_fold_%" PRId32, run->fold);
    }
    (void)snprintf(run->name, sizeof run->name, "run_%03zu%s%s", run->trial + 1, seed, fold);
}

bt_status sweep_plan_runs(sweep *s, bt_error *err) {
    const size_t n_seeds = s->seeds.n > 0 ? s->seeds.n : 1;
    const size_t n_folds = s->n_folds > 0 ? (size_t)s->n_folds : 1;
    if (s->n_trials * n_seeds > SWEEP_RUNS_MAX / n_folds) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%zu trials with %zu seeds and %zu folds: more than %d runs", s->n_trials,
                       n_seeds, n_folds, SWEEP_RUNS_MAX);
    }
    s->runs = bt_calloc_array(s->n_trials * n_seeds * n_folds, sizeof *s->runs);
    if (s->runs == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the runs");
    }
    for (size_t i = 0; i < s->n_trials * n_seeds * n_folds; i++) {
        sweep_run *const run = &s->runs[s->n_runs++];
        run->trial = i / (n_seeds * n_folds);
        run->seed = s->seeds.n > 0 ? s->seeds.items[i / n_folds % n_seeds] : SWEEP_OWN_SEED;
        run->fold = s->n_folds > 0 ? (int32_t)(i % n_folds) : -1;
        name_run(s, run);
    }
    return BT_OK;
}

/* Looking at configurations. */

/* Whatever else is wrong, a key that is not set would be tried in vain. */
static bt_status check_written(const sweep *s, const sweep_run *run, const bt_conf *conf,
                               bt_error *err) {
    int64_t seed = 0;
    for (size_t k = 0; k < s->n_keys; k++) {
        if (!bt_conf_is_written(conf, s->keys[k].name) &&
            !bt_conf_is_written_below(conf, s->keys[k].name)) {
            return BT_FAIL(err, BT_E_CONFIG,
                           "%s=%s did not become a value of the configuration: write keys in full, "
                           "and --params_override as KEY=VALUE,KEY=VALUE",
                           s->keys[k].name, s->trials[run->trial].values[k]);
        }
    }
    return run->seed == SWEEP_OWN_SEED ||
                   (bt_conf_peek_i64(conf, BT_CONF_TRAIN_DATA ".seed", &seed) && seed == run->seed)
               ? BT_OK
               : BT_FAIL(err, BT_E_CONFIG,
                         "the seed did not become a value of the configuration: write "
                         "--params_override as KEY=VALUE,KEY=VALUE");
}

static bt_status check_folds(const sweep *s, const bt_conf *conf, bt_error *err) {
    const bt_conf_str_list train = bt_conf_peek_str_list(conf, BT_CONF_TRAIN_DATA ".input_path");
    const bt_conf_str_list other =
        bt_conf_peek_str_list(conf, BT_CONF_VALIDATION_DATA ".input_path");
    bool is_same = train.n == other.n;
    for (size_t i = 0; is_same && i < train.n; i++) {
        is_same = bt_str_equal(train.items[i], other.items[i]);
    }
    return s->n_folds == 0 || is_same
               ? BT_OK
               : BT_FAIL(err, BT_E_CONFIG,
                         "--folds evaluates parts of the training data: leave out --eval, or name "
                         "the same files in task.train_data.input_path and "
                         "task.validation_data.input_path");
}

static bt_status fail_metric(const bt_conf *conf, bt_conf_mode mode, const char *key,
                             bt_error *err) {
    bt_error          why = BT_ERROR_INIT;
    const char *const has = bt_train_check_value_name(conf, mode, "", "--metric", &why) != BT_OK
                                ? strstr(why.msg, "it has ")
                                : NULL;
    return BT_FAIL(
        err, BT_E_CONFIG,
        "which runs are the best? name a value that they end with in --metric=NAME%s%s%s "
        "and say --goal=max or min, or set %s",
        has != NULL ? " (" : "", has != NULL ? has + strlen("it has ") : "", has != NULL ? ")" : "",
        key);
}

static const char best_key[] = "trainer.best_checkpoint_eval_metric";

/* A metric that nobody named is that of the best checkpoint. */
static bt_status choose_metric(sweep *s, const bt_conf *conf, bt_conf_mode mode, bt_error *err) {
    const char *const named = bt_flags_string(s->flags, "metric");
    const char *const best = bt_conf_peek_str(conf, best_key);
    const bool        has_named = named != NULL && named[0] != '\0';
    if (!has_named && best[0] == '\0') {
        return fail_metric(conf, mode, best_key, err);
    }
    s->metric = bt_arena_strdup(&s->texts, has_named ? named : best);
    if (s->metric == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a name");
    }
    return bt_train_check_value_name(conf, mode, s->metric, "--metric", err);
}

/* best: the metric of the best checkpoint; both by their names in the results, where one class may
 * be written in two ways. */
static bt_status choose_goal(sweep *s, const bt_conf *conf, const char *best, bt_error *err) {
    static const char start[] = "best_";
    const char *const goal = bt_flags_string(s->flags, "goal");
    const size_t      n_start = bt_str_starts_with(s->metric, start) ? strlen(start) : 0;
    if (goal == NULL && !bt_str_equal(s->metric, best) &&
        !bt_str_equal(s->metric + n_start, best)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--metric=%s: say whether more of it is better (--goal=max) or less "
                       "(--goal=min)",
                       s->metric);
    }
    s->is_lower_better =
        goal != NULL
            ? bt_str_equal(goal, "min")
            : bt_str_equal(bt_conf_peek_str(conf, "trainer.best_checkpoint_metric_comp"), "lower");
    return BT_OK;
}

/* What a run says of its data and configuration; the metric becomes the name in its results. */
static bt_status check_run(sweep *s, const bt_train_args *args, bt_error *err) {
    char              name[BT_METRIC_NAME_MAX] = ""; /* stays so in a run that evaluates nothing */
    char              best_name[BT_METRIC_NAME_MAX] = "";
    const char *const best = bt_conf_peek_str(args->conf, best_key);
    const bt_train_asked asked[] = {{"--metric", s->metric, name}, {best_key, best, best_name}};
    bt_train_args        once = *args;
    once.asked = asked;
    once.n_asked = bt_flags_string(s->flags, "goal") == NULL && best[0] != '\0' ? 2 : 1;
    BT_TRY(bt_train_check(&once, err));
    if (name[0] != '\0') {
        s->metric = bt_arena_strdup(&s->texts, name);
    }
    if (s->metric == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a name");
    }
    return choose_goal(s, args->conf, best_name[0] != '\0' ? best_name : best, err);
}

/* Of the first trial: what the whole sweep stands on. */
static bt_status check_first(sweep *s, const bt_train_args *args, bt_error *err) {
    bt_str    yaml = BT_STR_INIT;
    bt_status rc = BT_OK;
    BT_CHECK(check_folds(s, args->conf, err));
    BT_CHECK(choose_metric(s, args->conf, args->mode, err));
    BT_CHECK(bt_conf_tell_ignored(args->conf, err));
    BT_CHECK(bt_conf_get_bool(args->conf, "trainer.report", &s->wants_report, err));
    BT_CHECK(bt_conf_dump_yaml(args->conf, &yaml, err));
    s->configuration = bt_arena_strdup(&s->texts, bt_str_text(&yaml));
    if (s->configuration == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for the configuration");
        goto done;
    }
    rc = check_run(s, args, err);
done:
    bt_str_deinit(&yaml);
    return rc;
}

/* ",KEY=STEPS" where the optimizer's section has the key and leaves it to trainer.train_steps. */
static bt_status fix_steps(const bt_conf *conf, const char *section, const char *name,
                           int64_t n_steps, bt_str *out, bt_error *err) {
    char              path[BT_CONF_PATH_MAX];
    const char *const type = bt_conf_type_of_oneof(conf, section);
    if (type == NULL) {
        return BT_OK;
    }
    (void)snprintf(path, sizeof path, "%s.%s.%s", section, type, name);
    return bt_conf_has(conf, path) && bt_conf_is_null(conf, path)
               ? bt_str_appendf(out, err, ",%s=%" PRId64, path, n_steps)
               : BT_OK;
}

/* A run that is stopped early goes on later as if nothing had been: what follows from the number
 * of all steps is that of the whole run from the start. */
static bt_status find_schedule(sweep *s, sweep_trial *trial, const bt_train_args *args,
                               bt_error *err) {
    static const char rate[] = OPTIMIZER "learning_rate";
    static const char warmup[] = OPTIMIZER "warmup";
    bt_str            text = BT_STR_INIT;
    int64_t           n_warmup = 0;
    bt_status         rc = BT_OK;
    BT_CHECK(bt_train_find_steps(args, &trial->n_steps, &n_warmup, err));
    BT_CHECK(fix_steps(args->conf, rate, "decay_steps", trial->n_steps, &text, err));
    BT_CHECK(fix_steps(args->conf, rate, "total_decay_steps", trial->n_steps, &text, err));
    BT_CHECK(fix_steps(args->conf, warmup, "warmup_steps", n_warmup, &text, err));
    trial->schedule = bt_arena_strdup(&s->texts, bt_str_text(&text));
    rc = trial->schedule != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for the trials");
done:
    bt_str_deinit(&text);
    return rc;
}

static bt_status check_conf(sweep *s, const bt_flags *flags, const sweep_run *run, bt_conf **conf,
                            bt_conf_errors *errors, bt_error *err) {
    const bt_comm_job alone = {.size = 1};
    bt_train_args args = {.mode = BT_CONF_MODE_TRAIN_AND_EVAL, .job = &alone, .pretrain_steps = -1};
    const char *const train = bt_flags_string(flags, "train");
    BT_TRY(build_conf(flags, conf, errors, err));
    if (!bt_conf_mode_parse(s->mode, &args.mode)) {
        return BT_FAIL(err, BT_E_INTERNAL, "--mode=%s is not a mode", s->mode);
    }
    args.conf = *conf;
    args.model_dir = bt_flags_string(flags, "model_dir");
    args.offline = bt_flags_bool(flags, "offline");
    args.saves_beside = true;
    args.once_an_epoch = train != NULL && train[0] != '\0';
    BT_TRY(bt_train_adopt_facts(&args, true, err));
    BT_TRY(bt_weights_read_head(*conf, errors, err));
    BT_TRY(bt_train_check_conf(*conf, args.mode, errors, err));
    if (errors->n > 0) {
        return BT_FAIL(err, BT_E_CONFIG, "%s", errors->items[0].text);
    }
    BT_TRY(check_written(s, run, *conf, err));
    BT_TRY(run == s->runs ? check_first(s, &args, err) : BT_OK);
    return s->eta > 0 ? find_schedule(s, &s->trials[run->trial], &args, err) : BT_OK;
}

static bt_status check_trial(sweep *s, const sweep_run *run, bt_error *err) {
    bt_status      rc = BT_OK;
    sweep_words    words = {0};
    bt_flags      *flags = NULL;
    bt_conf       *conf = NULL;
    bt_conf_errors errors = BT_CONF_ERRORS_INIT;
    BT_CHECK(sweep_make_words(s, run, -1, &words, err));
    if (bt_flags_bool(s->flags, "dry_run")) { /* what looks at the data keeps no index of it */
        BT_CHECK(add_word(&words, err, "--dry_run"));
    }
    BT_CHECK(bt_flags_parse(&flags, &bert_train_flags, (int)words.n, words.items, err));
    rc = check_conf(s, flags, run, &conf, &errors, err);
    rc = rc != BT_OK ? name_path_key(flags, conf, rc, err) : rc;
done:
    if (rc != BT_OK && errors.n > 0 && show_problems(&errors, false)) {
        rc = BT_E_CONFIG;
        err->msg[0] = '\0';
    }
    bt_conf_errors_deinit(&errors);
    bt_conf_free(conf);
    bt_flags_free(flags);
    sweep_words_deinit(&words);
    return rc;
}

bt_status sweep_check_trials(sweep *s, bt_error *err) {
    const char *const program = "bert-train sweep";
    const int         verbosity = (int)bt_flags_int(s->flags, "verbosity");
    bt_status         rc = BT_OK;
    for (size_t i = 0; rc == BT_OK && i < s->n_runs; i++) {
        const bool is_next = i == 0 || s->runs[i].trial != s->runs[i - 1].trial;
        if (i == 1) { /* what holds for one, holds for all, and is told once */
            bt_cli_setup_log(s->flags, program, (int)BT_LOG_ERROR);
        }
        rc = bt_stop_check(err);
        rc = rc == BT_OK && is_next ? check_trial(s, &s->runs[i], err) : rc;
        if (rc != BT_OK && rc != BT_E_INTERRUPTED && s->n_keys > 0) {
            bt_str          values = BT_STR_INIT;
            const bt_status said = sweep_append_values(s, s->runs[i].trial, &values, NULL);
            if (said == BT_OK && err->msg[0] != '\0') {
                rc = bt_error_prefix(err, "trial %zu (%.300s)", s->runs[i].trial + 1,
                                     bt_str_text(&values));
            } else if (said == BT_OK) {
                bt_log(BT_LOG_ERROR, "trial %zu (%s) is refused; nothing was run",
                       s->runs[i].trial + 1, bt_str_text(&values));
            }
            bt_str_deinit(&values);
        }
    }
    bt_cli_setup_log(s->flags, program, verbosity);
    return rc;
}
