/* SPDX-License-Identifier: Apache-2.0
 *
 * create-finetuning-data: text files -> TFRecords of tokenised examples and a meta data file, with
 * the flags of Model Garden's script of that name (spec/data.md (a)) and its bytes. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "data_task.h"

static const char program[] = "create-finetuning-data";

enum { MAX_SEQ_LENGTH_LIMIT = 1 << 20, MAX_THREADS = 1024 };

static const char *const task_types[] = {"classification", "regression", "squad",
                                         "retrieval",      "tagging",    NULL};
static const char *const task_names[] = {
    "AX",     "COLA",          "IMDB", "MNLI",        "MRPC",
    "PAWS-X", "QNLI",          "QQP",  "RTE",         "SST-2",
    "STS-B",  "WNLI",          "XNLI", "XTREME-XNLI", "XTREME-PAWS-X",
    "AX-g",   "SUPERGLUE-RTE", "CB",   "BoolQ",       "WIC",
    NULL};
static const char *const mnli_types[] = {"matched", "mismatched", NULL};
static const char *const retrieval_names[] = {"bucc", "tatoeba", NULL};
static const char *const tagging_names[] = {"panx", "udpos", "conll", NULL};
static const char *const tokenizations[] = {"WordPiece", "SentencePiece", NULL};

/* Flags without help are shown by --helpfull only: those of data that this version does not make,
 * and those that every absl program takes. */
static const bt_flag_def flag_defs[] = {
    {.name = "fine_tuning_task_type",
     .kind = BT_FLAG_ENUM,
     .choices = task_types,
     .default_text = "classification",
     .help = "Kind of data to make."},
    {.name = "input_data_dir",
     .kind = BT_FLAG_STRING,
     .help = "Folder with the task's files (train.tsv, dev.tsv, ...)."},
    {.name = "classification_task_name",
     .kind = BT_FLAG_ENUM,
     .choices = task_names,
     .choices_ignore_case = true,
     .default_text = "MNLI",
     .help = "Task, in upper or lower case."},
    {.name = "mnli_type",
     .kind = BT_FLAG_ENUM,
     .choices = mnli_types,
     .default_text = "matched",
     .help = "Which of MNLI's dev and test files."},
    {.name = "vocab_file",
     .kind = BT_FLAG_STRING,
     .help = "Vocabulary, one word piece a line. Required."},
    {.name = "train_data_output_path", .kind = BT_FLAG_STRING, .help = "Training records."},
    {.name = "eval_data_output_path", .kind = BT_FLAG_STRING, .help = "Evaluation records."},
    {.name = "test_data_output_path", .kind = BT_FLAG_STRING, .help = "Test records."},
    {.name = "meta_data_file_path",
     .kind = BT_FLAG_STRING,
     .is_required = true,
     .help = "Sizes and number of labels, as JSON."},
    {.name = "do_lower_case",
     .kind = BT_FLAG_BOOL,
     .default_text = "true",
     .help = "Lower-case the text and strip accents: true for an uncased vocabulary."},
    {.name = "max_seq_length",
     .kind = BT_FLAG_INT,
     .default_text = "128",
     .help = "Pieces in an example; longer texts are cut, shorter ones padded."},
    {.name = "tokenization",
     .kind = BT_FLAG_ENUM,
     .choices = tokenizations,
     .default_text = "WordPiece",
     .help = "Only WordPiece in this version."},
    {.name = "languages",
     .kind = BT_FLAG_STRING,
     .help = "Only these languages of a task that has several, comma separated; unset: all."},
    {.name = "tagging_labels",
     .kind = BT_FLAG_STRING,
     .help = "conll: its labels in the order of their ids, comma separated, or @FILE with one a "
             "line; unset: those of the training file."},
    {.name = "tagging_columns",
     .kind = BT_FLAG_STRING,
     .help = "conll: columns of word and label, e.g. 1,4; unset: the first and the last."},
    {.name = "squad_data_file", .kind = BT_FLAG_STRING, .help = "squad: the JSON file."},
    {.name = "translated_squad_data_folder",
     .kind = BT_FLAG_STRING,
     .help = "squad: folder whose .json files are read as well."},
    {.name = "doc_stride",
     .kind = BT_FLAG_INT,
     .default_text = "128",
     .help = "squad: tokens between the starts of two windows over a long document."},
    {.name = "max_query_length",
     .kind = BT_FLAG_INT,
     .default_text = "64",
     .help = "squad: longest question in tokens; longer ones are cut."},
    {.name = "version_2_with_negative",
     .kind = BT_FLAG_BOOL,
     .default_text = "false",
     .help = "squad: SQuAD 2.0, whose questions may have no answer."},
    {.name = "xlnet_format",
     .kind = BT_FLAG_BOOL,
     .default_text = "false",
     .help = "squad: document, question, [CLS], in this order."},
    {.name = "num_threads",
     .kind = BT_FLAG_INT,
     .default_text = "0",
     .help = "Threads; 0: one a core. The output does not depend on it."},
    {.name = "verbosity", .alias = "v", .kind = BT_FLAG_INT, .default_text = "0"},
    {.name = "xnli_language", .kind = BT_FLAG_STRING, .default_text = "en"},
    {.name = "pawsx_language", .kind = BT_FLAG_STRING, .default_text = "en"},
    {.name = "translated_input_data_dir", .kind = BT_FLAG_STRING},
    {.name = "retrieval_task_name",
     .kind = BT_FLAG_ENUM,
     .choices = retrieval_names,
     .default_text = "bucc"},
    {.name = "tagging_task_name",
     .kind = BT_FLAG_ENUM,
     .choices = tagging_names,
     .default_text = "panx"},
    {.name = "tagging_only_use_en_train", .kind = BT_FLAG_BOOL, .default_text = "true"},
    {.name = "only_use_en_dev", .kind = BT_FLAG_BOOL, .default_text = "true"},
    {.name = "sp_model_file", .kind = BT_FLAG_STRING, .default_text = ""},
    {.name = "tfds_params", .kind = BT_FLAG_STRING, .default_text = ""},
    {.name = "logtostderr", .kind = BT_FLAG_BOOL},
    {.name = "alsologtostderr", .kind = BT_FLAG_BOOL},
    {.name = "stderrthreshold", .kind = BT_FLAG_STRING},
    {.name = "showprefixforinfo", .kind = BT_FLAG_BOOL},
    {.name = "log_dir", .kind = BT_FLAG_STRING},
};
static const bt_flag_table flag_table = {
    .program = program,
    .summary = "create-finetuning-data: makes TFRecords of tokenised examples from text files.\n"
               "\n"
               "create-finetuning-data --input_data_dir=glue/MRPC --classification_task_name=MRPC\n"
               "    --vocab_file=vocab.txt --train_data_output_path=out/train.tf_record\n"
               "    --eval_data_output_path=out/eval.tf_record --meta_data_file_path=out/meta_data",
    .defs = flag_defs,
    .n_defs = BT_ARRAY_LEN(flag_defs)};

static volatile sig_atomic_t was_signalled;

static void on_signal(int number) {
    (void)number;
    was_signalled = 1;
}

static bool is_interrupted(void) {
    return was_signalled != 0;
}

static void catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

/* ---- checks
 * --------------------------------------------------------------------------------------- */

static bt_status check_flags(const bt_flags *flags, bt_error *err) {
    const char *const *args = NULL;
    const int64_t      length = bt_flags_int(flags, "max_seq_length");
    const int64_t      n_threads = bt_flags_int(flags, "num_threads");
    if (bt_flags_args(flags, &args) > 0) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "unexpected argument '%s'; flags are --name=value, also for booleans "
                       "(--do_lower_case=false)",
                       args[0]);
    }
    if (data_path_flag(flags, "meta_data_file_path") == NULL) {
        return BT_FAIL(err, BT_E_CONFIG, "--meta_data_file_path is empty");
    }
    if (bt_str_equal(bt_flags_string(flags, "tokenization"), "SentencePiece")) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "--tokenization=SentencePiece: this version tokenises with WordPiece only");
    }
    if (data_path_flag(flags, "vocab_file") == NULL) {
        return BT_FAIL(err, BT_E_CONFIG, "--vocab_file must be given");
    }
    if (length < 2 || length > MAX_SEQ_LENGTH_LIMIT) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "flag --max_seq_length=%" PRId64 ": must be 2 ([CLS], [SEP]) to %d", length,
                       MAX_SEQ_LENGTH_LIMIT);
    }
    if (n_threads < 0 || n_threads > MAX_THREADS) {
        return BT_FAIL(err, BT_E_CONFIG, "flag --num_threads=%" PRId64 ": must be 0 to %d",
                       n_threads, MAX_THREADS);
    }
    return BT_OK;
}

/* ---- the run
 * ---------------------------------------------------------------------------------------- */

static void report(const data_job *job, const data_task *task, double seconds) {
    char    counts[160] = "";
    size_t  used = 0;
    int64_t n = 0;
    for (int split = 0; split < DATA_N_SPLITS; split++) {
        const int64_t n_split = data_split_records(job, split);
        if (n_split > 0 && used < sizeof counts) {
            used += (size_t)snprintf(counts + used, sizeof counts - used, "%s%s %" PRId64,
                                     used == 0 ? "" : ", ", data_split_names[split], n_split);
        }
        n += n_split;
    }
    bt_log(BT_LOG_INFO, "%s: %s records in %.2f s (%.0f records/s, %d thread%s)", task->name,
           counts, seconds, (double)n / (seconds > 1e-6 ? seconds : 1e-6),
           bt_pool_n_threads(job->pool), bt_pool_n_threads(job->pool) == 1 ? "" : "s");
}

static bt_status run_job(data_job *job, const data_task *task, bt_error *err) {
    meta_data     meta = META_DATA_INIT;
    bt_fs_writer *meta_writer = NULL;
    bt_status     rc = BT_OK;
    BT_CHECK(task->run(job, task, &meta, err));
    BT_CHECK(output_set_add(&job->outputs, bt_flags_string(job->flags, "meta_data_file_path"),
                            &meta_writer, err));
    BT_CHECK(bt_fs_writer_write(meta_writer, bt_str_text(&meta.text), meta.text.len, err));
    rc = output_set_commit(&job->outputs, err);
done:
    output_set_deinit(&job->outputs, rc != BT_OK);
    meta_deinit(&meta);
    return rc;
}

static bt_status make_data(const bt_flags *flags, bt_error *err) {
    bt_status          rc = BT_OK;
    const data_task   *task = NULL;
    bt_text_vocab     *vocab = NULL;
    bt_text_tokenizer *tokenizer = NULL;
    bt_pool           *pool = NULL;
    const double       start = bt_time_monotonic();
    int32_t            n_threads = (int32_t)bt_flags_int(flags, "num_threads");
    data_job           job = {.flags = flags,
                              .max_seq_length = bt_flags_int(flags, "max_seq_length"),
                              .input_dir = data_path_flag(flags, "input_data_dir"),
                              .paths = {data_path_flag(flags, "train_data_output_path"),
                                        data_path_flag(flags, "eval_data_output_path"),
                                        data_path_flag(flags, "test_data_output_path")},
                              .outputs = {.made_folders = BT_FS_NAMES_INIT},
                              .is_interrupted = is_interrupted};
    BT_CHECK(data_find_task(flags, &task, err));
    BT_CHECK(bt_text_vocab_load(&vocab, bt_flags_string(flags, "vocab_file"), err));
    rc = bt_text_tokenizer_create(&tokenizer, vocab, bt_flags_bool(flags, "do_lower_case"), err);
    if (rc != BT_OK) {
        rc = bt_error_prefix(err, "%s", bt_flags_string(flags, "vocab_file"));
        goto done;
    }
    n_threads = n_threads == 0 ? bt_n_physical_cores() : n_threads;
    if (n_threads > 1) {
        BT_CHECK(bt_pool_create(&pool, n_threads, err));
    }
    job.tokenizer = tokenizer;
    job.pool = pool;
    catch_signals();
    BT_CHECK(run_job(&job, task, err));
    report(&job, task, bt_time_monotonic() - start);
done:
    data_free_parts(&job);
    bt_pool_free(pool);
    bt_text_tokenizer_free(tokenizer);
    bt_text_vocab_free(vocab);
    return rc;
}

static bt_status answer(bt_flags_ask ask, bt_error *err) {
    bt_str    text = BT_STR_INIT;
    bt_status rc = BT_OK;
    if (ask == BT_ASK_VERSION) {
        BT_CHECK(bt_str_appendf(&text, err, "%s %s\n", program, BT_VERSION));
    } else {
        BT_CHECK(bt_flags_help(&flag_table, ask == BT_ASK_HELPFULL, &text, err));
    }
    if (fputs(bt_str_text(&text), stdout) == EOF || fflush(stdout) != 0) {
        rc = BT_FAIL(err, BT_E_RESOURCE, "cannot write to standard output");
    }
done:
    bt_str_deinit(&text);
    return rc;
}

int main(int argc, char **argv) {
    bt_error  err = BT_ERROR_INIT;
    bt_flags *flags = NULL;
    bt_log_setup(program, BT_LOG_TEXT, 0);
    bt_status rc = bt_flags_parse(&flags, &flag_table, argc, argv, &err);
    if (rc == BT_OK && bt_flags_asked(flags) != BT_ASK_RUN) {
        rc = answer(bt_flags_asked(flags), &err);
    } else if (rc == BT_OK) {
        bt_log_setup(program, BT_LOG_TEXT, (int)bt_flags_int(flags, "verbosity"));
        rc = check_flags(flags, &err);
        if (rc == BT_OK) {
            rc = make_data(flags, &err);
        }
    }
    bt_flags_free(flags);
    if (rc != BT_OK) {
        bt_log(BT_LOG_ERROR, "%s", err.msg);
    }
    return bt_status_exit_code(rc);
}
