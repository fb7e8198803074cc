/* SPDX-License-Identifier: Apache-2.0
 *
 * bert-train: flags -> configuration -> run. stdout carries results only (merged YAML, listings,
 * final metrics); everything else is one line each on stderr. Exit codes: README.md. */
#include <inttypes.h>
#include <stdio.h>

#include "bert_train.h"
#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/number.h"
#include "bt/base/str.h"
#include "bt/conf.h"
#include "bt/exec.h"
#include "bt/export.h"
#include "bt/fs.h"
#include "bt/optim.h"
#include "bt/pjrt.h"
#include "bt/proto.h"
#include "bt/task.h"
#include "bt/train.h"
#include "bt/weights.h"
#include "results.h"

static bt_status print_experiments(bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    text = BT_STR_INIT;
    for (size_t i = 0; i < bt_conf_n_experiments(); i++) {
        const bt_conf_experiment *const e = bt_conf_experiment_at(i);
        BT_CHECK(bt_str_appendf(&text, err, "%-32s %s\n", e->name, e->doc));
    }
    BT_CHECK(bt_cli_print(&text, BT_READER_HAS_ENOUGH, err));
done:
    bt_str_deinit(&text);
    return rc;
}

static bt_status print_configs(bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    text = BT_STR_INIT;
    for (size_t i = 0; i < bt_conf_n_builtins(); i++) {
        const bt_conf_builtin c = bt_conf_builtin_at(i);
        BT_CHECK(bt_str_appendf(&text, err, "%-32s %.*s\n", c.name, (int)c.doc_len, c.doc));
    }
    BT_CHECK(bt_cli_print(&text, BT_READER_HAS_ENOUGH, err));
done:
    bt_str_deinit(&text);
    return rc;
}

static bt_status print_help_experiment(const char *experiment, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    text = BT_STR_INIT;
    BT_CHECK(bt_conf_help(experiment, &text, err));
    BT_CHECK(bt_cli_print(&text, BT_READER_HAS_ENOUGH, err));
done:
    bt_str_deinit(&text);
    return rc;
}

bt_status bert_train_append_build_info(bt_str *out, bt_error *err) {
    BT_TRY(bt_str_appendf(out, err, "engine: %s\n", bt_exec_build_info()));
    BT_TRY(bt_optim_append_build_info(out, err));
    BT_TRY(bt_proto_append_build_info(out, err));
    BT_TRY(bt_fs_append_build_info(out, err));
    return bt_pjrt_append_build_info(out, err);
}

/* Of --dry_run. Without a mode nobody can say what the run would do. */
typedef enum dry_kind { NOT_DRY, DRY_CONFIG, DRY_RUN } dry_kind;

static dry_kind find_dry_kind(const bt_flags *flags) {
    if (!bt_flags_bool(flags, "dry_run")) {
        return NOT_DRY;
    }
    return bt_flags_string(flags, "mode") == NULL ||
                   bt_str_equal(bt_flags_string(flags, "dry_run"), "config")
               ? DRY_CONFIG
               : DRY_RUN;
}

/* All missing flags in one sentence. */
static bt_status check_required(const bt_flags *flags, bt_error *err) {
    static const char *const required[] = {"experiment", "mode", "model_dir"};
    const bool               trains_nothing =
        find_dry_kind(flags) == DRY_CONFIG || bt_flags_bool(flags, "benchmark");
    const size_t n_required = trains_nothing ? 1 : BT_ARRAY_LEN(required);
    char         missing[64] = "";
    size_t       n = 0;
    for (size_t i = 0; i < n_required; i++) {
        const char *const value = bt_flags_string(flags, required[i]);
        const bool        is_recalled = i == 0 && may_recall(flags);
        if ((value == NULL || value[0] == '\0') && !is_recalled) {
            n += (size_t)snprintf(missing + n, sizeof missing - n, "%s--%s", n > 0 ? ", " : "",
                                  required[i]);
        }
    }
    if (n > 0) {
        return BT_FAIL(err, BT_E_CONFIG, "missing %s (see --help)", missing);
    }
    return BT_OK;
}

/* What a mode does, and what a flag is for. */
enum { TRAINS = 1, EVALUATES = 2, PREDICTS = 4, EXPORTS = 8 };

static unsigned purposes_of(const char *name) {
    bt_conf_mode mode = BT_CONF_MODE_TRAIN;
    if (!bt_conf_mode_parse(name, &mode)) {
        return TRAINS | EVALUATES; /* refused after the flags */
    }
    return mode == BT_CONF_MODE_EXPORT    ? EXPORTS
           : mode == BT_CONF_MODE_PREDICT ? PREDICTS
                                          : (bt_conf_mode_trains(mode) ? TRAINS : 0U) |
                                                (bt_conf_mode_evaluates(mode) ? EVALUATES : 0U);
}

typedef struct mode_flag {
    const char *flag;
    unsigned    purposes;
    bool        only_alone; /* not while training */
    const char *for_modes;
} mode_flag;

static const mode_flag mode_flags[] = {
    {"checkpoint", EVALUATES | PREDICTS | EXPORTS, true,
     "--mode=eval, --mode=predict and --mode=export"},
    {"output_path", PREDICTS | EXPORTS, true, "--mode=predict and --mode=export"},
    {"export_format", EXPORTS, true, "--mode=export"},
    {"export_precision", EXPORTS, true, "--mode=export"},
    {"output_format", PREDICTS, true, "--mode=predict"},
    {"glue_submission", PREDICTS, true, "--mode=predict"},
    {"glue_task", PREDICTS, true, "--mode=predict"},
    {"predict", PREDICTS, true, "--mode=predict"},
    {"train", TRAINS, false, "modes that train"},
    {"eval", EVALUATES | EXPORTS, false, "modes that evaluate, and --mode=export"},
    {"prometheus_file", TRAINS | EVALUATES, false, "modes that train or evaluate"},
};

/* Flags of one mode are not lost silently in another. */
static bt_status check_mode_flags(const bt_flags *flags, const char *mode, bt_error *err) {
    const char *const glue_task = bt_flags_string(flags, "glue_task");
    if (glue_task != NULL && glue_task[0] != '\0' &&
        bt_flags_string(flags, "glue_submission") == NULL) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--glue_task=%s: name the folder of the submission in --glue_submission",
                       glue_task);
    }
    const unsigned purposes = mode != NULL ? purposes_of(mode) : 0;
    for (size_t i = 0; mode != NULL && i < BT_ARRAY_LEN(mode_flags); i++) {
        const mode_flag *const row = &mode_flags[i];
        const char *const      value = bt_flags_string(flags, row->flag);
        const bool             is_used = (purposes & row->purposes) != 0 &&
                             !(row->only_alone && (purposes & TRAINS) != 0) &&
                             !(row->only_alone && bt_str_equal(mode, "continuous_eval"));
        if (value != NULL && value[0] != '\0' && !is_used) {
            return BT_FAIL(err, BT_E_CONFIG, "--%s=%s is for %s, not for --mode=%s", row->flag,
                           value, row->for_modes, mode);
        }
    }
    return BT_OK;
}

/* --mode=export has no defaults: what it makes goes to others. */
static bt_status check_export_flags(const bt_flags *flags, const char *mode, bt_error *err) {
    static const char *const needed[] = {"export_format", "output_path"};
    for (size_t i = 0; bt_str_equal(mode, "export") && i < BT_ARRAY_LEN(needed); i++) {
        const char *const value = bt_flags_string(flags, needed[i]);
        if (value == NULL || value[0] == '\0') {
            char formats[BT_LIST_MAX] = "";
            for (size_t j = 0; j < bt_export_n_formats(); j++) {
                (void)bt_list_add(formats, sizeof formats, bt_export_format_at(j)->name);
            }
            return i == 0
                       ? BT_FAIL(err, BT_E_CONFIG,
                                 "--mode=export: name the format in --export_format: %s", formats)
                       : BT_FAIL(err, BT_E_CONFIG,
                                 "--mode=export: name the folder to make in --output_path");
        }
    }
    if (bt_str_equal(mode, "export") && bt_str_equal(bt_flags_string(flags, "output_path"), "-")) {
        return BT_FAIL(
            err, BT_E_CONFIG,
            "--output_path=-: --mode=export makes a folder, which standard output cannot "
            "be: name one (./- is the one that is called so)");
    }
    return BT_OK;
}

static bt_status check_flags(const bt_flags *flags, bt_error *err) {
    const char *const *ignored = NULL;
    BT_TRY(check_required(flags, err));
    if (bt_flags_list(flags, "gin_file", &ignored) > 0 ||
        bt_flags_list(flags, "gin_params", &ignored) > 0) {
        return BT_FAIL(
            err, BT_E_UNSUPPORTED,
            "--gin_file and --gin_params: bert-train has no gin; the keys of --config_file and "
            "--params_override cover its settings (--help_experiment=E lists them)");
    }
    const char *const mode = bt_flags_string(flags, "mode");
    if (bt_str_equal(mode, "train_and_validate")) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "--mode=train_and_validate is declared by Model Garden and implemented by "
                       "nobody, here as "
                       "there; --mode=train_and_eval is what you want");
    }
    BT_TRY(check_export_flags(flags, mode, err));
    BT_TRY(check_benchmark_flags(flags, mode, err));
    BT_TRY(check_compile_flags(flags, err));
    return check_mode_flags(flags, bt_flags_bool(flags, "benchmark") ? "train" : mode, err);
}

/* Weights that cannot be read do not matter if only the configuration is wanted. */
static bt_status adopt_facts(const bt_train_args *args, dry_kind kind, bool is_compiling,
                             bt_error *err) {
    bt_error        found = BT_ERROR_INIT;
    const bt_status rc = bt_train_adopt_facts(args, kind != NOT_DRY || is_compiling, &found);
    const bool      is_ignored =
        kind == DRY_CONFIG && rc != BT_E_NOMEM && rc != BT_E_INTERRUPTED && rc != BT_E_RESOURCE;
    if (rc == BT_OK || is_ignored) {
        return BT_OK;
    }
    if (kind == DRY_RUN) {
        BT_TRY(print_yaml(args->conf, err));
    }
    *err = found;
    return rc;
}

static bt_status print_summary(const bt_train_summary *summary, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    text = BT_STR_INIT;
    BT_CHECK(bt_str_appendf(&text, err, "step %" PRId64 "\n", summary->step));
    for (size_t i = 0; i < summary->values.n; i++) {
        char number[BT_F64_TEXT_MAX];
        BT_CHECK(bt_str_appendf(&text, err, "%s %s\n", summary->values.items[i].name,
                                bt_f32_repr((float)summary->values.items[i].value, number)));
    }
    BT_CHECK(bt_cli_print(&text, BT_READER_NEEDS_ALL, err));
done:
    bt_str_deinit(&text);
    return rc;
}

/* What is missing in the configuration was refused before, unless that alone is asked for. */
static bt_status dry_run(const bt_train_args *args, const seed_list *seeds, dry_kind kind,
                         const bt_conf_errors *errors, bt_error *err) {
    bt_status rc = BT_OK;
    (void)show_problems(errors, true);
    if (kind != DRY_CONFIG) { /* which may decide something of what is printed */
        rc = seeds->n > 0 ? bt_train_check_seeds(args, seeds->items, seeds->n, err)
                          : bt_train_check(args, err);
    }
    const bt_status printed = print_yaml(args->conf, rc == BT_OK ? err : NULL);
    return rc == BT_OK ? printed : rc;
}

/* An empty value is none, as for every flag of paths. */
static const char *text_or_null(const bt_flags *flags, const char *name) {
    const char *const text = bt_flags_string(flags, name);
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static bt_train_args make_args(const bt_flags *flags, bt_conf *conf, bt_conf_mode mode,
                               const bt_comm_job *job) {
    const bool has_pretrain_steps = bt_flags_is_set(flags, "pretrain_steps");
    return (bt_train_args){.conf = conf,
                           .mode = mode,
                           .job = job,
                           .model_dir = bt_flags_string(flags, "model_dir"),
                           .offline = bt_flags_bool(flags, "offline"),
                           .saves_beside = bt_flags_bool(flags, "enable_async_checkpointing"),
                           .checkpoint = text_or_null(flags, "checkpoint"),
                           .allow_changed = text_or_null(flags, "allow_changed"),
                           .prometheus_file = text_or_null(flags, "prometheus_file"),
                           .prediction = {.output_path = text_or_null(flags, "output_path"),
                                          .format = text_or_null(flags, "output_format"),
                                          .glue_folder = text_or_null(flags, "glue_submission"),
                                          .glue_task = text_or_null(flags, "glue_task")},
                           .export_format = text_or_null(flags, "export_format"),
                           .export_precision = text_or_null(flags, "export_precision"),
                           .export_path = text_or_null(flags, "output_path"),
                           .once_an_epoch = text_or_null(flags, "train") != NULL,
                           .pretrain_steps =
                               has_pretrain_steps ? bt_flags_int(flags, "pretrain_steps") : -1};
}

/* What all processes of a job have to say, the first one says. */
static void quieten(const bt_flags *flags, const bt_comm_job *job) {
    static char name[40];
    const int   verbosity = (int)bt_flags_int(flags, "verbosity");
    if (job->rank > 0) {
        (void)snprintf(name, sizeof name, "%s[%" PRId32 "]", bert_train_flags.program, job->rank);
        bt_cli_setup_log(flags, name, verbosity > 0 ? verbosity : (int)BT_LOG_WARNING);
    }
}

/* A report that could not be written is no reason to lose the results, which were printed. */
static bt_status fail_report(const bt_train_args *args, const bt_train_summary *summary,
                             bt_error *err) {
    return summary->report == BT_OK
               ? BT_OK
               : BT_FAIL(err, summary->report,
                         "%.300s; the run itself is over, and all else of it is written: "
                         "bert-train report %s makes the report again",
                         summary->report_error.msg, args->model_dir);
}

static bt_status fail_seeds_report(const bt_train_seeds_summary *summary, bt_error *err) {
    return summary->report == BT_OK
               ? BT_OK
               : BT_FAIL(err, summary->report,
                         "%.300s; the runs themselves are over, and all else of them is written: "
                         "the same command makes the reports again",
                         summary->report_error.msg);
}

/* Runs the mode; errors that were shown already leave err->msg empty. */
static bt_status run_and_print(const bt_train_args *args, run_result *result, bt_error *err) {
    bt_train_summary *const summary = &result->summary;
    BT_TRY(bt_train_run(args, summary, err));
    result->has_summary = true;
    if (args->job->rank == 0) {
        BT_TRY(result_tell(result, args, err));
    }
    /* predictions may have values too; but what was sent to standard output stays alone there */
    const bool has_values =
        args->mode != BT_CONF_MODE_PREDICT ||
        (summary->values.n > 0 && !bt_str_equal(args->prediction.output_path, "/dev/stdout"));
    BT_TRY(args->job->rank == 0 && has_values && args->mode != BT_CONF_MODE_EXPORT &&
                   !result_takes_stdout(result)
               ? print_summary(summary, err)
               : BT_OK);
    return fail_report(args, summary, err);
}

/* What the flags ask for, of a configuration that is right. */
static bt_status run_checked(const bt_flags *flags, const bt_train_args *args,
                             const seed_list *seeds, dry_kind dry, bt_conf_errors *errors,
                             run_result *result, bt_error *err) {
    if (args->job->rank == 0) {
        BT_TRY(bt_conf_tell_ignored(args->conf, err));
    }
    BT_TRY(result_check(result, flags, args, dry == NOT_DRY && args->job->rank == 0, err));
    if (dry != NOT_DRY) { /* the first process says it all */
        return args->job->rank > 0 ? BT_OK : dry_run(args, seeds, dry, errors, err);
    }
    if (bt_flags_string(flags, "compile_only") != NULL) {
        return run_compile_only(args, flags, err);
    }
    if (bt_flags_bool(flags, "benchmark")) {
        return run_benchmark(args, flags, err);
    }
    if (seeds->n == 0) {
        return run_and_print(args, result, err);
    }
    result->n_seeds = seeds->n;
    BT_TRY(run_seeds(args, seeds, !result_takes_stdout(result), &result->seeds, err));
    result->has_seeds = true;
    return fail_seeds_report(&result->seeds, err);
}

/* runs_here: what the keys ask of this machine, before what is only missing among them is told. */
static bt_status check_keys(const bt_train_args *args, bool runs_here, bt_conf_errors *errors,
                            bt_error *err) {
    BT_TRY(bt_train_check_conf(args->conf, args->mode, errors, err));
    return errors->n_errors == 0 && runs_here ? bt_train_check_processors(args, err) : BT_OK;
}

static bt_status run_mode(const bt_flags *flags, run_result *result, bt_error *err) {
    bt_status         rc = BT_OK;
    bt_conf          *conf = NULL;
    bt_conf_errors    errors = BT_CONF_ERRORS_INIT;
    seed_list         seeds = {0};
    bt_comm_job       job = {.size = 1};
    bt_str            command = BT_STR_INIT;
    const dry_kind    dry = find_dry_kind(flags);
    const bool        is_benchmark = bt_flags_bool(flags, "benchmark");
    const bool        is_compiling = bt_flags_string(flags, "compile_only") != NULL;
    bt_conf_mode      mode = is_benchmark ? BT_CONF_MODE_TRAIN : BT_CONF_MODE_TRAIN_AND_EVAL;
    const char *const mode_name = bt_flags_string(flags, "mode");
    BT_CHECK(check_flags(flags, err));
    BT_CHECK(bt_comm_job_read(&job, err));
    quieten(flags, &job);
    result->is_silent = result->is_silent || job.rank > 0;
    if (mode_name != NULL && !bt_conf_mode_parse(mode_name, &mode)) {
        rc = BT_FAIL(err, BT_E_CONFIG, "--mode=%s: expected one of %s", mode_name,
                     bt_conf_mode_names());
        goto done;
    }
    if (bt_flags_string(flags, "seeds") != NULL) {
        BT_CHECK(parse_seeds(bt_flags_string(flags, "seeds"), &seeds, err));
        BT_CHECK(bt_train_check_seeds_mode(mode, err));
    }
    rc = build_conf(flags, &conf, &errors, err);
    bt_train_args args = make_args(flags, conf, mode, &job);
    args.process_began = result->began;
    args.asked = result->asked;
    args.n_asked = result->n_limits;
    if (rc == BT_OK) {
        BT_CHECK(bt_flags_append_command(flags, &command, err));
        args.command_line = bt_str_text(&command);
        BT_CHECK(adopt_facts(&args, dry, is_compiling, err));
        rc = bt_weights_read_head(conf, &errors, err);
    }
    if (rc == BT_OK) {
        BT_CHECK(check_keys(&args, dry != DRY_CONFIG && !is_compiling, &errors, err));
    }
    if (rc != BT_OK || errors.n_errors > 0 || (errors.n > 0 && dry != DRY_CONFIG)) {
        if (errors.n > 0) {
            (void)show_problems(&errors, dry == DRY_CONFIG);
            (void)bt_error_make(&result->error, BT_E_CONFIG, __FILE__, __LINE__, "%s",
                                errors.items[0].text);
            rc = BT_E_CONFIG;
            err->msg[0] = '\0';
        }
        goto done;
    }
    BT_CHECK(run_checked(flags, &args, &seeds, dry, &errors, result, err));
done:
    rc = rc != BT_OK ? name_path_key(flags, conf, rc, err) : rc;
    bt_free(seeds.items);
    bt_str_deinit(&command);
    bt_comm_job_deinit(&job);
    bt_conf_free(conf);
    bt_conf_errors_deinit(&errors);
    return rc;
}

/* Ignored as train.py does, but not in silence: mostly they are the end of a list with spaces. A
 * command would not be met by what is done instead. */
static bt_status judge_arguments(const bt_flags *flags, bt_error *err) {
    const char *const *args = NULL;
    const size_t       n = bt_flags_args(flags, &args);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < bert_train_n_commands; k++) {
            if (bt_str_equal(args[i], bert_train_commands[k].word)) {
                return BT_FAIL(err, BT_E_CONFIG,
                               "argument '%s' is a command: it comes first (bert-train %s ...)",
                               args[i], args[i]);
            }
        }
    }
    for (size_t i = 0; i < n; i++) {
        bt_log(BT_LOG_WARNING,
               "argument '%s' is ignored: it is not a flag (--name=value); a list of overrides "
               "must not have spaces outside quotes",
               args[i]);
    }
    return BT_OK;
}

/* What the flags ask to be written of a run is written however it ends. */
static bt_status run_with_result(const bt_flags *flags, bt_error *err) {
    run_result *result = bt_calloc_array(1, sizeof *result);
    if (result == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the result");
    }
    bt_status rc = result_read_flags(flags, result, err);
    rc = rc == BT_OK ? run_mode(flags, result, err) : rc;
    rc = rc == BT_OK ? result_judge(result, err) : rc;
    rc = result_write(result, rc, err);
    bt_str_deinit(&result->inputs);
    bt_free(result);
    return rc;
}

static bt_status run(const bt_flags *flags, int *status, bt_error *err) {
    (void)status;
    if (bt_flags_bool(flags, "list_experiments")) {
        return print_experiments(err);
    }
    if (bt_flags_bool(flags, "list_configs")) {
        return print_configs(err);
    }
    if (bt_flags_string(flags, "help_experiment") != NULL) {
        return print_help_experiment(bt_flags_string(flags, "help_experiment"), err);
    }
    BT_TRY(judge_arguments(flags, err));
    return run_with_result(flags, err);
}

int main(int argc, char **argv) {
    const bt_cli_program program = {.flags = &bert_train_flags,
                                    .commands = bert_train_commands,
                                    .n_commands = bert_train_n_commands,
                                    .append_build_info = bert_train_append_build_info,
                                    .run = run};
    return bt_cli_run(&program, argc, argv);
}
