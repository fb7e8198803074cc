/* SPDX-License-Identifier: Apache-2.0
 *
 * --mode=export: the weights of a checkpoint of model_dir, as evaluations use them (the averages
 * where the optimizer keeps them), with all that is known of the model, into the room export. Reads
 * model_dir and the vocabulary; needs no data, no engine, and no lock, as a prediction. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "bt/export.h"
#include "decision.h"
#include "labels.h"
#include "records.h"
#include "run.h"
#include "run_checks.h"
#include "vocabulary.h"

/* What is owned beside the run. */
typedef struct export_run {
    train_run               run;
    const bt_export_format *format;
    bt_ckpt_choice          from;
    float                  *params; /* by the model's table */
    bt_text_vocab          *vocab;
    char                   *vocab_file;
    char                   *name;
    bt_str                  settings;
    bt_str                  data;
    bt_train_values         results;
    bt_export_result        list[BT_TRAIN_MAX_VALUES];
    export_costs            costs;
    bt_export_source        source;
} export_run;

static const char *text_of(const bt_conf *conf, const char *path) {
    return bt_conf_has(conf, path) ? bt_conf_peek_str(conf, path) : "";
}

/* Configuration, task and model, as a prediction reads them. */
static bt_status prepare_model(train_run *run, bt_error *err) {
    const bt_train_args *const args = run->args;
    BT_TRY(bt_arena_init(&run->arena, 4096, err));
    BT_TRY(config_check(args->conf, args->mode, err));
    BT_TRY(bt_task_find(bt_conf_experiment_name(args->conf), &run->task, err));
    BT_TRY(run->task->plan(args->conf, &run->plan, err));
    BT_TRY(run_config_read(args->conf, args->mode, &run->arena, &run->config, err));
    run->dir = (model_dir){.path = args->model_dir,
                           .best_subdir = run->config.best_subdir,
                           .events_subdir = run->config.validation_summary_subdir};
    BT_TRY(model_dir_check(&run->dir, args->mode, err));
    BT_TRY(labels_settle(args->model_dir, &run->plan, &run->recorded_vocabulary, err));
    BT_TRY(bt_model_create(&run->plan.encoder, &run->plan.head, &run->model, err));
    const bt_optim_derived derived = {.train_steps = 1, .makes_no_step = true};
    return bt_optim_create(args->conf, &derived, &run->model->table, &run->optim, err);
}

static bt_export_kind find_kind(const bt_task_plan *plan) {
    switch (plan->head.loss) {
    case BT_LOSS_MSE:
    case BT_LOSS_MSE_ALL_PAIRS:
        return BT_EXPORT_SCORE;
    case BT_LOSS_SIGMOID:
        return BT_EXPORT_LABELS;
    case BT_LOSS_SPAN:
        return BT_EXPORT_ANSWERS;
    case BT_LOSS_TOKENS:
        return BT_EXPORT_TAGS;
    case BT_LOSS_RANKING:
        return BT_EXPORT_VECTORS;
    case BT_LOSS_NONE:
    case BT_LOSS_SOFTMAX:
        break;
    }
    return BT_EXPORT_CLASSES;
}

/* The training's section says how texts became tokens; what it leaves open, the other one does. */
static const char *text_section(const bt_conf *conf) {
    static const char train[] = BT_CONF_TRAIN_DATA ".vocab_file";
    static const char other[] = BT_CONF_VALIDATION_DATA ".vocab_file";
    return text_of(conf, train)[0] == '\0' && text_of(conf, other)[0] != '\0'
               ? BT_CONF_VALIDATION_DATA
               : BT_CONF_TRAIN_DATA;
}

static bt_status read_treatment(const bt_conf *conf, const char *section, bt_export_text *text,
                                bt_error *err) {
    char path[BT_CONF_PATH_MAX];
    bool is_apart = true;
    bool strips = false;
    text->options.do_lower_case = true;
    if (bt_conf_has(conf, bt_conf_join(section, "lower_case", path)) ||
        bt_conf_has(conf, bt_conf_join(section, "do_lower_case", path))) {
        BT_TRY(bt_conf_get_bool(conf, path, &text->options.do_lower_case, err));
    }
    if (!bt_conf_is_null(conf, bt_conf_join(section, "strip_accents", path))) {
        BT_TRY(bt_conf_get_bool(conf, path, &strips, err));
        text->options.accents = strips ? BT_TEXT_ACCENTS_STRIPPED : BT_TEXT_ACCENTS_KEPT;
    }
    BT_TRY(bt_conf_get_bool(conf, bt_conf_join(section, "tokenize_chinese_chars", path), &is_apart,
                            err));
    text->options.chinese_joined = !is_apart;
    (void)bt_conf_join(section, "text_rules", path);
    text->rules = bt_conf_has(conf, path) && !bt_str_equal(text_of(conf, path), "bert")
                      ? BT_TEXT_TF
                      : BT_TEXT_PYTHON;
    return bt_conf_get_i64(conf, bt_conf_join(BT_CONF_TRAIN_DATA, "seq_length", path),
                           &text->max_length, err);
}

/* The copy in model_dir whose words are those of the training. */
static bt_status find_kept(const train_run *run, char **out, bt_error *err) {
    static const model_file files[] = {MODEL_TOKENIZER, MODEL_VOCAB};
    for (size_t i = 0; i < BT_ARRAY_LEN(files) && *out == NULL; i++) {
        uint64_t words = 0;
        BT_TRY(model_dir_file(run->args->model_dir, files[i], out, err));
        BT_TRY(vocabulary_read(*out, &words, err));
        if (words == 0 || words != run->recorded_vocabulary) {
            bt_free(*out);
            *out = NULL;
        }
    }
    return BT_OK;
}

/* The file that the configuration names: it must have the words of the training. */
static bt_status find_named(const train_run *run, const char *section, char **out, bt_error *err) {
    char              path[BT_CONF_PATH_MAX];
    uint64_t          words = 0;
    const char *const named = text_of(run->conf, bt_conf_join(section, "vocab_file", path));
    if (named[0] == '\0') {
        return BT_OK;
    }
    BT_TRY(vocabulary_read(named, &words, err));
    if (run->recorded_vocabulary != 0 && words != 0 && words != run->recorded_vocabulary) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s: %s has other words than the training's (labels.json of --model_dir %s "
                       "names %" PRIu64 " bytes, crc32c %08" PRIx32 "): the exported tokenizer "
                       "would make other tokens",
                       path, named, run->args->model_dir, run->recorded_vocabulary >> 32,
                       (uint32_t)run->recorded_vocabulary);
    }
    *out = bt_strdup(named);
    return *out != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
}

static bt_status read_text(export_run *e, bt_error *err) {
    const train_run *const run = &e->run;
    const char *const      section = text_section(run->conf);
    bt_export_text *const  text = &e->source.text;
    BT_TRY(read_treatment(run->conf, section, text, err));
    if (run->recorded_vocabulary != 0) {
        BT_TRY(find_kept(run, &e->vocab_file, err));
    }
    if (e->vocab_file == NULL) {
        BT_TRY(find_named(run, section, &e->vocab_file, err));
    }
    if (e->vocab_file == NULL) {
        return BT_OK;
    }
    BT_TRY(bt_text_vocab_load_as(&e->vocab, e->vocab_file, text->rules, err));
    BT_TRY(bt_text_vocab_check(e->vocab, e->vocab_file, run->model->encoder.vocab_size, err));
    text->vocab = e->vocab;
    text->vocab_file = e->vocab_file;
    return BT_OK;
}

/* What nobody trained is not exported. */
static bt_status find_checkpoint(export_run *e, bt_error *err) {
    train_run *const run = &e->run;
    BT_TRY(start_find(run, snapshot_check, &e->from, err));
    if (e->from.prefix == NULL) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "no checkpoint in --model_dir %s: train there first, or name one with "
                       "--checkpoint",
                       run->args->model_dir);
    }
    if (e->from.why.len > 0) {
        bt_log(BT_LOG_WARNING, "%s", bt_str_text(&e->from.why));
    }
    BT_TRY(start_check_changes(run, e->from.prefix, err));
    return e->from.step < 0 ? snapshot_check(run, e->from.prefix, &e->from.step, err) : BT_OK;
}

static bt_status read_weights(export_run *e, bt_error *err) {
    const train_run *const run = &e->run;
    bt_status              rc = BT_OK;
    bt_ckpt               *ckpt = NULL;
    e->params = bt_calloc_array((size_t)run->model->table.n_elements, sizeof *e->params);
    if (e->params == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the model's %" PRId64 " parameters",
                       run->model->table.n_elements);
    }
    BT_CHECK(bt_ckpt_open(e->from.prefix, &ckpt, err));
    e->source.are_averages = bt_optim_has_average(run->optim);
    BT_CHECK(snapshot_read_weights(run->model, e->source.are_averages, ckpt, e->params, err));
    bt_log(BT_LOG_INFO, "step %" PRId64 " from %s%s", e->from.step, e->from.prefix,
           e->source.are_averages ? ", the moving averages" : "");
done:
    bt_ckpt_close(ckpt);
    return rc;
}

/* The folder's own name, for people. */
static bt_status read_name(export_run *e, bt_error *err) {
    const char *const path = e->run.args->export_path;
    size_t            n = strlen(path);
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    size_t start = n;
    while (start > 0 && path[start - 1] != '/') {
        start--;
    }
    e->name = bt_strndup(path + start, n - start);
    return e->name != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a name");
}

static bt_status read_data_names(export_run *e, bt_error *err) {
    const bt_conf_str_list list =
        bt_conf_peek_str_list(e->run.conf, BT_CONF_TRAIN_DATA ".input_path");
    for (size_t i = 0; i < list.n; i++) {
        BT_TRY(bt_str_appendf(&e->data, err, "%s`%s`", i > 0 ? ", " : "", list.items[i]));
    }
    return BT_OK;
}

/* What the training's own evaluation of that step said. */
static bt_status read_results(export_run *e, bt_error *err) {
    bool found = false;
    BT_TRY(records_recall(e->run.args->model_dir, -1, RECORD_VALIDATION, e->from.step, &e->results,
                          &found, err));
    e->results.n = found ? e->results.n : 0;
    for (size_t i = 0; i < e->results.n; i++) {
        e->list[i] = (bt_export_result){e->results.items[i].name, e->results.items[i].value};
    }
    e->source.results = e->list;
    e->source.n_results = e->results.n;
    return BT_OK;
}

static bt_status describe(export_run *e, bt_error *err) {
    const train_run *const run = &e->run;
    const char *const      module = text_of(run->conf, "task.hub_module_url");
    BT_TRY(read_name(e, err));
    BT_TRY(read_data_names(e, err));
    BT_TRY(read_results(e, err));
    BT_TRY(bt_conf_dump_yaml(run->conf, &e->settings, err));
    e->source.model = run->model;
    e->source.params = e->params;
    e->source.labels = (const char *const *)run->plan.labels.names;
    e->source.name = e->name;
    e->source.experiment = bt_conf_experiment_name(run->conf);
    e->source.checkpoint = e->from.prefix;
    e->source.step = e->from.step;
    e->source.started_from =
        module[0] != '\0' ? module : text_of(run->conf, "task.init_checkpoint");
    e->source.data = e->data.len > 0 ? bt_str_text(&e->data) : NULL;
    e->source.settings = bt_str_text(&e->settings);
    e->source.threshold = decision_threshold_of(&run->plan, &e->results);
    e->source.temperature = decision_temperature_of(&run->plan, &e->results);
    e->source.version = BT_VERSION;
    return BT_OK;
}

/* In an order in which what costs nothing is refused first. */
static bt_status prepare_export(export_run *e, bt_error *err) {
    const bt_train_args *const args = e->run.args;
    BT_TRY(bt_export_find(args->export_format, &e->format, err));
    BT_TRY(bt_export_find_precision(args->export_precision, &e->source.precision, err));
    BT_TRY(bt_export_check_precision(e->format, e->source.precision, err));
    BT_TRY(bt_export_check_folder(args->export_path, run_is_dry(&e->run), err));
    BT_TRY(prepare_model(&e->run, err));
    e->source.kind = find_kind(&e->run.plan);
    BT_TRY(find_checkpoint(e, err));
    BT_TRY(read_text(e, err));
    BT_TRY(describe(e, err));
    BT_TRY(e->format->check(&e->source, err));
    BT_TRY(bt_stop_check(err));
    BT_TRY(read_weights(e, err));
    if (!e->format->keeps_adapters) {
        bt_model_merge_lora(e->run.model, e->params);
    }
    e->source.params = e->params;
    return BT_OK;
}

static bt_status find_costs(export_run *e, bt_error *err) {
    if (e->source.precision == BT_EXPORT_FLOAT32) {
        return BT_OK;
    }
    BT_TRY(e->format->check(&e->source, err)); /* now of the numbers too */
    BT_TRY(export_cost_measure(e->run.args, e->source.precision, e->params, &e->costs, err));
    e->source.costs = e->costs.list;
    e->source.n_costs = e->costs.n;
    return BT_OK;
}

static void export_run_deinit(export_run *e) {
    bt_ckpt_choice_deinit(&e->from);
    bt_free(e->params);
    bt_text_vocab_free(e->vocab);
    bt_free(e->vocab_file);
    bt_free(e->name);
    bt_str_deinit(&e->settings);
    bt_str_deinit(&e->data);
    run_deinit(&e->run);
}

bt_status run_export(const bt_train_args *args, bool is_dry, bt_train_summary *summary,
                     bt_error *err) {
    bt_status         rc = BT_OK;
    const double      start = bt_time_monotonic();
    export_run *const e = bt_calloc_array(1, sizeof *e); /* large */
    if (e == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for an export");
    }
    e->run = run_begin(args, is_dry ? FOR_DRY_RUN : FOR_RUN, summary);
    e->settings = (bt_str)BT_STR_INIT;
    e->data = (bt_str)BT_STR_INIT;
    BT_CHECK(prepare_export(e, err));
    if (!is_dry) {
        BT_CHECK(find_costs(e, err));
        BT_CHECK(bt_export_write(e->format, &e->source, args->export_path, err));
        bt_log(BT_LOG_INFO, "exported to %s: %s", args->export_path, e->format->summary);
        decision_tell_left_out(&e->run.plan);
    }
    summary->step = e->from.step;
    summary->seconds = bt_time_monotonic() - start;
done:
    export_run_deinit(e);
    bt_free(e);
    return rc;
}
