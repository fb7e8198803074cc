/* SPDX-License-Identifier: Apache-2.0
 *
 * See data_run.h. */
#include "data_run.h"
#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"

#include <inttypes.h>
#include <stdio.h>

#include "data_task.h"

enum { MAX_SEQ_LENGTH_LIMIT = 1 << 20, MAX_THREADS = 1024 };

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

/* A piece that lower-cased text can never match. */
static bool has_upper_case(const char *piece) {
    for (; *piece != '\0' && *piece != '['; piece++) {
        if (*piece >= 'A' && *piece <= 'Z') {
            return true;
        }
    }
    return false;
}

/* A cased vocabulary with lower-cased text, or the other way round, makes words [UNK] silently. */
static void warn_of_case(const bt_flags *flags, const bt_text_vocab *vocab) {
    enum { MIN_PIECES = 1000, CASED_PERCENT = 10 };
    const int64_t n_pieces = bt_text_vocab_size(vocab);
    const bool    lowers = bt_flags_bool(flags, "do_lower_case");
    int64_t       n_upper = 0;
    for (int32_t id = 0; id < n_pieces; id++) {
        n_upper += has_upper_case(bt_text_vocab_piece(vocab, id, NULL)) ? 1 : 0;
    }
    const bool is_cased = n_upper * 100 > n_pieces * CASED_PERCENT;
    if (n_pieces >= MIN_PIECES && (lowers ? is_cased : n_upper == 0)) {
        bt_log(BT_LOG_WARNING,
               "%s: %" PRId64 " of %" PRId64 " pieces have upper-case letters, but the text is %s: "
               "is --do_lower_case=%s meant?",
               bt_flags_string(flags, "vocab_file"), n_upper, n_pieces,
               lowers ? "lower-cased" : "not lower-cased", lowers ? "false" : "true");
    }
}

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

/* First in all folders of the outputs: the journal of a run that was killed is in one of them
 * and names temporary files in the others, which would be swept there as left over. */
static bt_status finish_earlier(const data_job *job, bt_error *err) {
    const char *const paths[] = {job->paths[0], job->paths[1], job->paths[2],
                                 bt_flags_string(job->flags, "meta_data_file_path")};
    for (size_t i = 0; i < BT_ARRAY_LEN(paths); i++) {
        char *folder = NULL;
        if (paths[i] == NULL || paths[i][0] == '\0') {
            continue;
        }
        BT_TRY(bt_fs_parent(paths[i], &folder, err));
        const bt_status rc = bt_fs_finish_commits(folder, err);
        bt_free(folder);
        BT_TRY(rc);
    }
    return BT_OK;
}

/* That none is an input is checked where the inputs are known (data_parts.c), but the vocabulary.
 * Retrieval writes into folders, which may be one: its files have names of their own there. */
static bt_status check_outputs(const data_job *job, bt_error *err) {
    static const char *const output_flags[] = {"train_data_output_path", "eval_data_output_path",
                                               "test_data_output_path", "meta_data_file_path"};
    const bt_fs_named        vocabulary = {"vocab_file", bt_flags_string(job->flags, "vocab_file")};
    bt_fs_named              outputs[BT_ARRAY_LEN(output_flags)];
    size_t                   n = 0;
    for (size_t i = 0; i < BT_ARRAY_LEN(output_flags); i++) {
        const char *const path = bt_flags_string(job->flags, output_flags[i]);
        if (path != NULL && path[0] != '\0') {
            outputs[n] = (bt_fs_named){output_flags[i], path};
            BT_TRY(bt_fs_check_not_read(&outputs[n++], &vocabulary, NULL, err));
        }
    }
    const bool are_folders =
        bt_str_equal(bt_flags_string(job->flags, "fine_tuning_task_type"), "retrieval");
    return are_folders ? BT_OK : bt_fs_check_distinct(outputs, n, err);
}

static bt_status run_job(data_job *job, const data_task *task, bt_error *err) {
    meta_data     meta = META_DATA_INIT;
    bt_fs_writer *meta_writer = NULL;
    bt_status     rc = BT_OK;
    BT_CHECK(check_outputs(job, err));
    BT_CHECK(finish_earlier(job, err));
    BT_CHECK(task->run(job, task, &meta, err));
    BT_CHECK(output_set_add(&job->outputs, bt_flags_string(job->flags, "meta_data_file_path"),
                            &meta_writer, err));
    BT_CHECK(bt_fs_writer_write(meta_writer, bt_str_text(&meta.text), meta.text.len, err));
    rc = output_set_commit(&job->outputs, err);
done:
    bt_stop_shield(true); /* what was begun is taken back although the process was asked to stop */
    output_set_deinit(&job->outputs, rc != BT_OK);
    bt_stop_shield(false);
    meta_deinit(&meta);
    return rc;
}

bt_status data_run(const bt_flags *flags, bt_error *err) {
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
                              .outputs = {.made_folders = BT_FS_NAMES_INIT}};
    BT_TRY(check_flags(flags, err));
    BT_CHECK(data_find_task(flags, &task, err));
    BT_CHECK(bt_text_vocab_load(&vocab, bt_flags_string(flags, "vocab_file"), err));
    rc = bt_text_tokenizer_create(&tokenizer, vocab, bt_flags_bool(flags, "do_lower_case"), err);
    if (rc != BT_OK) {
        rc = bt_error_prefix(err, "%s", bt_flags_string(flags, "vocab_file"));
        goto done;
    }
    warn_of_case(flags, vocab);
    (void)snprintf(job.encoding.key, sizeof job.encoding.key, "--encoding");
    job.encoding.name = data_path_flag(flags, "encoding");
    n_threads = n_threads == 0 ? bt_n_physical_cores() : n_threads;
    if (n_threads > 1) {
        BT_CHECK(bt_pool_create(&pool, n_threads, err));
    }
    job.tokenizer = tokenizer;
    job.pool = pool;
    BT_CHECK(run_job(&job, task, err));
    report(&job, task, bt_time_monotonic() - start);
done:
    data_free_parts(&job);
    bt_pool_free(pool);
    bt_text_tokenizer_free(tokenizer);
    bt_text_vocab_free(vocab);
    return rc;
}
