/* SPDX-License-Identifier: Apache-2.0
 *
 * bert-train predict: a filter. Lines come in, what a trained model says of them goes out, in their
 * order and as soon as nothing more is there to be read with them. The configuration is that of a
 * model_dir, or what a folder of weights says of itself. */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/json_text.h"
#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "bt/base/str.h"
#include "bt/ckpt.h"
#include "bt/fs.h"
#include "bt/weights.h"
#include "command_predict.h"

#define VALIDATION BT_CONF_VALIDATION_DATA

static const char *const input_formats[] = {"auto", "text", "jsonl", NULL};
static const char *const output_formats[] = {"tsv", "jsonl", NULL};
static const char *const modes[] = {"predict", NULL};

static const bt_flag_def defs[] = {
    {.name = "model_dir",
     .kind = BT_FLAG_STRING,
     .is_path = true,
     .help =
         "the run whose model predicts: its latest checkpoint, unless --checkpoint says another"},
    {.name = "init",
     .kind = BT_FLAG_STRING,
     .is_path = true,
     .help =
         "instead of --model_dir: a Hugging Face folder (or hf://owner/name) with a head, or one "
         "of sentence-transformers"},
    {.name = "checkpoint",
     .kind = BT_FLAG_STRING,
     .is_path = true,
     .help = "latest (default) or best, both of model_dir, or the prefix of any checkpoint"},
    {.name = "input",
     .kind = BT_FLAG_STRING,
     .default_text = "-",
     .is_path = true,
     .help = "file of lines; - is standard input. A line is a text, two apart by a tab (also "
             "question and context), a sentence whose words are tagged, or an object of JSON"},
    {.name = "input_format",
     .kind = BT_FLAG_ENUM,
     .choices = input_formats,
     .default_text = "auto",
     .help = "auto: jsonl if the first line is an object of JSON"},
    {.name = "output_path",
     .kind = BT_FLAG_STRING,
     .default_text = "-",
     .is_path = true,
     .help = "file to write, whole or not at all; - is standard output"},
    {.name = "output_format",
     .kind = BT_FLAG_ENUM,
     .choices = output_formats,
     .help = "tsv (class, probability) or jsonl (default: as the end of output_path says, else "
             "jsonl for input of JSON, else tsv)"},
    {.name = "top_k",
     .kind = BT_FLAG_INT,
     .default_text = "1",
     .help = "how many classes, or answers to a question, are named; 0: all"},
    {.name = "batch_size",
     .kind = BT_FLAG_INT,
     .default_text = "256",
     .help = "rows that are predicted together at most; fewer where no more are there"},
    {.name = "text",
     .kind = BT_FLAG_STRING,
     .help = "KEY[,KEY]: the keys of JSON that hold the texts (default: the columns that were "
             "trained, else sentence1,sentence2; text; and their like)"},
    {.name = "experiment",
     .kind = BT_FLAG_STRING,
     .values = values_of_experiment,
     .help = "where neither the run nor the weights say what they are"},
    {.name = "config_file",
     .kind = BT_FLAG_LIST,
     .values = values_of_config,
     .help = "with --experiment, as in training"},
    {.name = "params_override",
     .kind = BT_FLAG_STRING,
     .values = values_of_override,
     .help = "keys that are set otherwise than the run had them: a.b=1"},
    {.name = "isa",
     .kind = BT_FLAG_STRING,
     .help = "auto, ref, avx2, avx512 or neon; short for runtime.isa"},
    {.name = "offline",
     .kind = BT_FLAG_BOOL,
     .default_text = "false",
     .help = "fetch nothing from a hub"},
    /* what a configuration is made of elsewhere, and has no place here */
    {.name = "mode", .kind = BT_FLAG_ENUM, .choices = modes, .default_text = "predict"},
    {.name = "train", .kind = BT_FLAG_STRING},
    {.name = "eval", .kind = BT_FLAG_STRING},
    {.name = "predict", .kind = BT_FLAG_STRING},
    {.name = "label", .kind = BT_FLAG_STRING},
    {.name = "tpu", .kind = BT_FLAG_STRING},
    {.name = "tf_data_service", .kind = BT_FLAG_STRING},
};

static const bt_flag_table flag_table = {
    .program = "bert-train predict",
    .summary = "bert-train predict: lines in, predictions out, in the order of the lines.\n"
               "  echo 'a fine film' | bert-train predict --model_dir=M\n"
               "  bert-train predict --init=FOLDER --input=lines.txt --output_path=classes.tsv",
    .exit_codes = "5 a device is lost; ",
    .defs = defs,
    .n_defs = sizeof defs / sizeof defs[0],
};

static const char *flag_or_null(const bt_flags *flags, const char *name) {
    const char *const text = bt_flags_string(flags, name);
    return text == NULL || text[0] == '\0' ? NULL : text;
}

/* The configuration. */

static bt_status set_key(bt_conf *conf, const char *key, const char *value, const char *origin,
                         bt_conf_errors *errors, bt_error *err) {
    bt_str    override = BT_STR_INIT;
    bt_status rc = bt_str_appendf(&override, err, "%s=", key);
    rc = rc == BT_OK ? bt_str_append(&override, value, err) : rc;
    rc = rc == BT_OK ? bt_conf_set(conf, bt_str_text(&override), origin, errors, err) : rc;
    bt_str_deinit(&override);
    return rc;
}

/* What a folder says it was trained for. */
static bt_status find_experiment_of(const char *folder, const char **out, bt_error *err) {
    static const struct {
        const char *end;
        const char *experiment;
    } rows[] = {{"ForSequenceClassification", "bert/sentence_prediction"},
                {"ForTokenClassification", "bert/tagging"},
                {"ForQuestionAnswering", "bert/squad"}};
    bt_status        rc = BT_OK;
    bt_ckpt         *ckpt = NULL;
    bt_ckpt_facts    facts = {0};
    bt_ckpt_sentence sentence = {0};
    *out = NULL;
    BT_CHECK(bt_ckpt_open(folder, &ckpt, err));
    BT_CHECK(bt_ckpt_read_facts(ckpt, &facts, err));
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        *out = bt_str_ends_with(facts.architecture, rows[i].end) ? rows[i].experiment : *out;
    }
    if (*out == NULL) {
        BT_CHECK(bt_ckpt_read_sentence(ckpt, &sentence, err));
        *out = sentence.pooling[0] != '\0' ? "bert/dual_encoder" : NULL;
    }
    if (*out == NULL) {
        rc = BT_FAIL(err, BT_E_CONFIG,
                     "--init=%s: its config.json names no model that predicts (architectures: "
                     "'%s'): name the task with --experiment, or a folder with a head",
                     folder, facts.architecture);
    }
done:
    bt_ckpt_close(ckpt);
    return rc;
}

static bt_status build_of_weights(const bt_flags *flags, bt_conf **conf, bt_conf_errors *errors,
                                  bt_error *err) {
    const char *const  init = flag_or_null(flags, "init");
    const char        *experiment = flag_or_null(flags, "experiment");
    const char *const *files = NULL;
    bt_str             path = BT_STR_INIT;
    bt_status          rc = BT_OK;
    if (experiment == NULL) {
        BT_TRY(find_experiment_of(init, &experiment, err));
    }
    const bt_conf_args args = {.experiment = experiment,
                               .n_config_files = bt_flags_list(flags, "config_file", &files),
                               .config_files = files,
                               .params_override = bt_flags_string(flags, "params_override")};
    BT_CHECK(bt_conf_build(&args, conf, errors, err));
    BT_CHECK(bt_str_append_json(&path, init, err));
    BT_CHECK(set_key(*conf, "task.init_checkpoint", bt_str_text(&path), "--init", errors, err));
    if (flag_or_null(flags, "isa") != NULL) {
        BT_CHECK(set_key(*conf, "runtime.isa", flag_or_null(flags, "isa"), "--isa", errors, err));
    }
done:
    bt_str_deinit(&path);
    return rc;
}

static predict_kind kind_of(const bt_conf *conf) {
    return bt_conf_has(conf, VALIDATION ".words_column")       ? PREDICT_WORDS
           : bt_conf_has(conf, "task.n_best_size")             ? PREDICT_QUESTIONS
           : bt_conf_has(conf, VALIDATION ".left_text_fields") ? PREDICT_VECTORS
                                                               : PREDICT_TEXTS;
}

/* The rows are of no file, but of the kind that the task reads from one of that name. */
static bt_status fit_to_lines(bt_conf *conf, bt_conf_errors *errors, bt_error *err) {
    static const char        origin[] = "bert-train predict";
    static const char *const names[] = {"'-.tsv'", "'-.txt'", "'-.conll'", "'-.json'"};
    static const char *const types[] = {"tsv", "lines", "conll", "tfrecord"};
    const predict_kind       kind = kind_of(conf);
    const char *const        fields = VALIDATION ".text_fields";
    BT_TRY(set_key(conf, VALIDATION ".input_path", names[kind], origin, errors, err));
    if (bt_conf_has(conf, VALIDATION ".held_out")) {
        BT_TRY(set_key(conf, VALIDATION ".held_out", "''", origin, errors, err));
    }
    BT_TRY(set_key(conf, VALIDATION ".file_type", types[kind], origin, errors, err));
    if (bt_conf_peek_is_empty(conf, VALIDATION ".global_batch_size")) { /* --batch_size is obeyed */
        BT_TRY(set_key(conf, VALIDATION ".global_batch_size", "1", origin, errors, err));
    }
    if (kind == PREDICT_TEXTS && bt_conf_peek_is_empty(conf, fields)) {
        BT_TRY(set_key(conf, fields, "[text]", origin, errors, err));
    }
    if (kind == PREDICT_WORDS) {
        BT_TRY(set_key(conf, VALIDATION ".words_path", "''", origin, errors, err));
    }
    return BT_OK;
}

/* --text, where the run says nothing of columns. */
static bt_status set_fields(bt_conf *conf, const char *text, bt_conf_errors *errors,
                            bt_error *err) {
    bt_str    list = BT_STR_INIT;
    bt_status rc = BT_OK;
    if (text == NULL || kind_of(conf) != PREDICT_TEXTS) {
        return BT_OK;
    }
    BT_CHECK(bt_str_appendf(&list, err, "[%s]", text));
    rc = set_key(conf, VALIDATION ".text_fields", bt_str_text(&list), "--text", errors, err);
done:
    bt_str_deinit(&list);
    return rc;
}

/* Serving. */

typedef struct predict_job {
    const bt_flags *flags;
    predict_run     run;
    bool            any_texts; /* nobody says how many texts a row has */
    predict_lines  *lines;
    bt_fs_writer   *writer; /* NULL: standard output */
} predict_job;

static bt_status write_out(predict_job *job, bt_error *err) {
    bt_str *const out = &job->run.out;
    BT_TRY(job->writer != NULL ? bt_fs_writer_write(job->writer, bt_str_text(out), out->len, err)
                               : bt_cli_print(out, BT_READER_MAY_LEAVE, err));
    bt_str_clear(out);
    return BT_OK;
}

static bt_status flush(predict_job *job, bt_error *err) {
    BT_TRY(bt_data_feed_flush(job->run.feed, err));
    return write_out(job, err);
}

/* Is the first line an object of JSON? */
static bool is_object(const char *line, size_t n) {
    struct json_t *root = NULL;
    const char    *at = line;
    while (at < line + n && (*at == ' ' || *at == '\t')) {
        at++;
    }
    if (at == line + n || *at != '{' || bt_json_load(line, n, 0, &root, NULL, NULL) != BT_OK ||
        root == NULL) {
        return false;
    }
    json_decref(root);
    return true;
}

static void choose_forms(predict_job *job, const char *line, size_t n) {
    const char *const in = bt_flags_string(job->flags, "input_format");
    const char *const out = bt_flags_string(job->flags, "output_format");
    const char *const path = bt_flags_string(job->flags, "output_path");
    job->run.is_json_in =
        bt_str_equal(in, "jsonl") || (bt_str_equal(in, "auto") && is_object(line, n));
    job->run.is_json_out = out != NULL ? bt_str_equal(out, "jsonl")
                                       : bt_str_ends_with(path, ".jsonl") ||
                                             (job->run.is_json_in && bt_str_equal(path, "-"));
}

/* What is before a line that cannot be read is answered. */
static bt_status fail_line(predict_job *job, bt_status rc, bt_error *err) {
    bt_error        why = *err;
    const bt_status blamed = predict_lines_blame(job->lines, rc, &why);
    if (blamed == BT_E_FORMAT && job->writer == NULL) {
        BT_TRY(flush(job, err));
    }
    *err = why;
    return blamed;
}

static bt_status serve_lines(predict_job *job, bt_error *err) {
    bool knows_forms = false;
    for (;;) {
        const char  *line = NULL;
        size_t       n = 0;
        predict_wait what = PREDICT_END;
        BT_TRY(bt_stop_check(err));
        bt_status rc = predict_lines_next(job->lines, &line, &n, &what, err);
        if (rc == BT_OK && what == PREDICT_LINE) {
            if (!knows_forms) {
                choose_forms(job, line, n);
                knows_forms = true;
            }
            const int64_t before = job->run.n_answers;
            rc = predict_take_line(&job->run, line, n, err);
            rc = rc == BT_OK && job->run.n_answers != before ? write_out(job, err) : rc;
        }
        if (rc != BT_OK) {
            return fail_line(job, rc, err);
        }
        if (what == PREDICT_END) {
            return flush(job, err);
        }
        if (what == PREDICT_NONE) {
            BT_TRY(flush(job, err));
            BT_TRY(predict_lines_wait(job->lines, err));
        }
    }
}

static bt_status make_room(predict_run *run, bt_error *err) {
    const size_t C = (size_t)run->plan->head.num_classes;
    run->pending = bt_calloc_array(run->cap, sizeof *run->pending);
    run->probabilities = bt_alloc_array(C + 1, sizeof *run->probabilities);
    run->order = bt_alloc_array(C + 1, sizeof *run->order);
    return run->pending != NULL && run->probabilities != NULL && run->order != NULL
               ? BT_OK
               : BT_FAIL(err, BT_E_NOMEM, "out of memory for predictions");
}

static void job_deinit(predict_job *job) {
    predict_run *const run = &job->run;
    for (size_t i = 0; run->pending != NULL && i < run->cap; i++) {
        predict_pending *const p = &run->pending[i];
        bt_str_deinit(&p->id);
        bt_str_deinit(&p->words);
        bt_str_deinit(&p->texts);
        bt_str_deinit(&p->labels);
        bt_str_deinit(&p->scores);
    }
    bt_free(run->pending);
    bt_free(run->probabilities);
    bt_free(run->order);
    bt_str_deinit(&run->out);
    bt_str_deinit(&run->json);
    bt_data_feed_free(run->feed);
    predict_lines_close(job->lines);
    bt_fs_writer_abort(job->writer);
}

static bt_status serve(void *context, bt_train_filter *filter, bt_error *err) {
    predict_job *const job = context;
    predict_run *const run = &job->run;
    run->filter = filter;
    run->plan = bt_train_filter_plan(filter);
    bt_data_schema schema = run->plan->prediction_schema;
    if (job->any_texts || run->kind == PREDICT_VECTORS) {
        schema.text.n_fields = run->kind == PREDICT_VECTORS ? 1 : 0;
    }
    const bt_data_feed_config config = {.schema = &schema,
                                        .section = VALIDATION,
                                        .n_rows = (int64_t)run->cap,
                                        .take = predict_answer,
                                        .context = run};
    BT_TRY(make_room(run, err));
    BT_TRY(bt_data_feed_create(&config, &run->feed, err));
    BT_TRY(serve_lines(job, err));
    if (job->writer == NULL) {
        return BT_OK;
    }
    BT_TRY(bt_fs_writer_commit(&job->writer, err));
    bt_log(BT_LOG_INFO, "wrote %" PRId64 " predictions to %s", run->n_answers,
           bt_flags_string(job->flags, "output_path"));
    return BT_OK;
}

static bt_status open_files(predict_job *job, const bt_train_args *args, bt_error *err) {
    const char *const input = bt_flags_string(job->flags, "input");
    const char *const output = bt_flags_string(job->flags, "output_path");
    const bt_fs_named in = {"--input", input};
    const bt_fs_named out = {"--output_path", output};
    BT_TRY(predict_lines_open(input, &job->lines, err));
    if (bt_str_equal(output, "-")) {
        return BT_OK;
    }
    if (!bt_str_equal(input, "-")) {
        BT_TRY(bt_fs_check_not_read(&out, &in, NULL, err));
    }
    BT_TRY(bt_train_check_outputs(args, &out, 1, err));
    return bt_fs_writer_create(output, &job->writer, err);
}

/* Everything of the configuration that is known before the weights are read. */
static bt_status build(const bt_flags *flags, predict_job *job, bt_conf **conf,
                       bt_conf_errors *errors, bt_error *err) {
    const bool of_weights = flag_or_null(flags, "model_dir") == NULL;
    BT_TRY(of_weights ? build_of_weights(flags, conf, errors, err)
                      : build_conf(flags, conf, errors, err));
    BT_TRY(of_weights ? set_fields(*conf, flag_or_null(flags, "text"), errors, err) : BT_OK);
    job->run.conf = *conf;
    job->run.kind = kind_of(*conf);
    job->any_texts =
        job->run.kind == PREDICT_TEXTS && bt_conf_peek_is_empty(*conf, VALIDATION ".text_fields");
    BT_TRY(fit_to_lines(*conf, errors, err));
    if (job->run.kind == PREDICT_TEXTS && !job->any_texts) {
        job->run.fields = bt_conf_peek_str_list(*conf, VALIDATION ".text_fields");
    }
    const bt_train_args args = {.conf = *conf,
                                .mode = BT_CONF_MODE_PREDICT,
                                .model_dir = flag_or_null(flags, "model_dir"),
                                .offline = bt_flags_bool(flags, "offline"),
                                .pretrain_steps = -1};
    BT_TRY(bt_train_adopt_facts(&args, false, err));
    BT_TRY(bt_weights_read_head(*conf, errors, err));
    return bt_train_check_conf(*conf, BT_CONF_MODE_PREDICT, errors, err);
}

static bt_status check_flags(const bt_flags *flags, bt_error *err) {
    const char *const *args = NULL;
    const char *const  model_dir = flag_or_null(flags, "model_dir");
    const char *const  init = flag_or_null(flags, "init");
    if (bt_flags_args(flags, &args) > 0) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "argument '%.200s' is not expected: name a file of lines with --input",
                       args[0]);
    }
    if ((model_dir == NULL) == (init == NULL)) {
        return BT_FAIL(err, BT_E_CONFIG, "name the model with either --model_dir or --init%s",
                       model_dir == NULL ? "" : ", not with both");
    }
    if (init != NULL && flag_or_null(flags, "checkpoint") != NULL) {
        return BT_FAIL(err, BT_E_CONFIG, "--checkpoint goes with --model_dir, not with --init");
    }
    if (bt_flags_int(flags, "batch_size") < 1 || bt_flags_int(flags, "batch_size") > 65536) {
        return BT_FAIL(err, BT_E_CONFIG, "--batch_size: expected 1 to 65536");
    }
    return bt_flags_int(flags, "top_k") >= 0
               ? BT_OK
               : BT_FAIL(err, BT_E_CONFIG, "--top_k: expected a number of at least 0");
}

static bt_status run(const bt_flags *flags, int *status, bt_error *err) {
    bt_status      rc = BT_OK;
    bt_conf       *conf = NULL;
    bt_conf_errors errors = BT_CONF_ERRORS_INIT;
    predict_job    job = {.flags = flags,
                          .run = {.top_k = bt_flags_int(flags, "top_k"),
                                  .cap = (size_t)bt_flags_int(flags, "batch_size")}};
    (void)status;
    BT_TRY(check_flags(flags, err));
    rc = build(flags, &job, &conf, &errors, err);
    if (errors.n > 0) {
        (void)show_problems(&errors, false);
        rc = BT_E_CONFIG;
        err->msg[0] = '\0';
    }
    BT_CHECK(rc);
    const bt_train_args args = {.conf = conf,
                                .mode = BT_CONF_MODE_PREDICT,
                                .model_dir = flag_or_null(flags, "model_dir"),
                                .checkpoint = flag_or_null(flags, "checkpoint"),
                                .offline = bt_flags_bool(flags, "offline"),
                                .pretrain_steps = -1};
    BT_CHECK(open_files(&job, &args, err));
    rc = bt_train_run_filter(&args, serve, &job, err);
done:
    job_deinit(&job);
    bt_conf_free(conf);
    bt_conf_errors_deinit(&errors);
    return rc;
}

const bt_cli_program command_predict = {
    .flags = &flag_table, .append_build_info = bert_train_append_build_info, .run = run};
