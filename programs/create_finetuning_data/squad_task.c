/* SPDX-License-Identifier: Apache-2.0
 *
 * SQuAD: questions about a text -> windows with the place of the answer (docs/model_garden/data.md
 * section 4). All questions are in memory, their records are not. Only training data are made: an
 * evaluation reads the JSON file itself. */
#include <inttypes.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/squad.h"

#include "data_task.h"

typedef struct squad_run {
    const char             *file;
    bool                    version_2;
    bt_squad_window_options options;
    bt_squad_set            set;
    bt_squad_windows       *windows;
} squad_run;

/* Rows: windows. */

typedef struct window_source {
    int64_t next;
    int64_t n;
} window_source;

static bt_status next_window(void *state, example_row *row, bool *end, bt_error *err) {
    window_source *const s = state;
    (void)err;
    *end = s->next == s->n;
    row->id = *end ? 0 : s->next++;
    return BT_OK;
}

static bt_status open_windows(const data_job *job, const data_part *part, const void *context,
                              example_source *source, bt_error *err) {
    const squad_run *const run = context;
    window_source *const   s = bt_alloc(sizeof *s);
    (void)job;
    if (s == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "%s: out of memory", part->name);
    }
    *s = (window_source){.n = bt_squad_n_windows(run->windows)};
    *source = (example_source){.state = s, .next = next_window, .close = bt_free};
    return BT_OK;
}

/* The record of window number row->id; context: the windows. */
static bt_status convert_window(const example_settings *settings, example_worker *worker,
                                const example_row *row, bt_str *records, int64_t *n_records,
                                bt_error *err) {
    const bt_squad_columns columns = {.ids = worker->ids,
                                      .mask = worker->mask,
                                      .segments = worker->segments,
                                      .paragraph_mask = worker->labels};
    *n_records += 1;
    return bt_squad_record_append(settings->context, row->id, true, &worker->builder, &columns,
                                  records, err);
}

static bt_status read_translated(const data_job *job, squad_run *run, const char *folder,
                                 bt_error *err) {
    bt_status   rc = BT_OK;
    char       *pattern = NULL;
    bt_fs_names names = BT_FS_NAMES_INIT;
    BT_CHECK(bt_fs_require_folder(folder, err));
    BT_CHECK(bt_fs_join(folder, "*.json", &pattern, err));
    BT_CHECK(bt_fs_glob(pattern, &names, err));
    if (names.n == 0) {
        rc =
            BT_FAIL(err, BT_E_IO, "--translated_squad_data_folder=%s: no .json file in it", folder);
        goto done;
    }
    for (size_t i = 0; i < names.n; i++) {
        BT_CHECK(bt_squad_read(&run->set, names.items[i], &job->encoding, BT_SQUAD_TRAIN,
                               run->version_2, err));
    }
done:
    bt_fs_names_deinit(&names);
    bt_free(pattern);
    return rc;
}

static bt_status read_questions(const data_job *job, squad_run *run, bt_error *err) {
    const char *const folder = data_path_flag(job->flags, "translated_squad_data_folder");
    BT_TRY(
        bt_squad_read(&run->set, run->file, &job->encoding, BT_SQUAD_TRAIN, run->version_2, err));
    if (folder != NULL) {
        BT_TRY(read_translated(job, run, folder, err));
    }
    BT_TRY(bt_squad_windows_create(&run->windows, &run->set, job->tokenizer, &run->options, err));
    if (bt_squad_n_windows(run->windows) == 0) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: no question has a text in which to look for its answer", run->file);
    }
    return BT_OK;
}

static bt_status read_flags(const data_job *job, squad_run *run, bt_error *err) {
    const bt_flags *const flags = job->flags;
    run->file = data_path_flag(flags, "squad_data_file");
    run->version_2 = bt_flags_bool(flags, "version_2_with_negative");
    run->options = (bt_squad_window_options){
        .max_seq_length = job->max_seq_length,
        .doc_stride = bt_flags_int(flags, "doc_stride"),
        .max_query_length = bt_flags_int(flags, "max_query_length"),
        .xlnet_format = bt_flags_bool(flags, "xlnet_format"),
    };
    if (run->file == NULL) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "squad needs --squad_data_file: the JSON file with the questions");
    }
    if (run->options.doc_stride < 0 || run->options.max_query_length < 0) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--doc_stride=%" PRId64 " --max_query_length=%" PRId64
                       ": expected 0 or more",
                       run->options.doc_stride, run->options.max_query_length);
    }
    for (int split = DATA_EVAL; split <= DATA_TEST; split++) {
        if (job->paths[split] != NULL) {
            bt_log(BT_LOG_WARNING,
                   "--%s_data_output_path is not used: squad makes training data only, and an "
                   "evaluation reads the JSON file itself",
                   data_split_names[split]);
        }
    }
    return data_require_output(job, 1U << DATA_TRAIN, err);
}

static bt_status put_meta(const data_job *job, const squad_run *run, meta_data *meta,
                          bt_error *err) {
    BT_TRY(meta_open_map(meta, NULL, err));
    BT_TRY(meta_put_text(meta, "task_type", "bert_squad", err));
    BT_TRY(meta_put_int(meta, "train_data_size", data_split_records(job, DATA_TRAIN), err));
    BT_TRY(meta_put_int(meta, "max_seq_length", job->max_seq_length, err));
    BT_TRY(meta_put_int(meta, "max_query_length", run->options.max_query_length, err));
    BT_TRY(meta_put_int(meta, "doc_stride", run->options.doc_stride, err));
    BT_TRY(meta_put_bool(meta, "version_2_with_negative", run->version_2, err));
    return meta_close(meta, err);
}

bt_status run_squad(data_job *job, const data_task *task, meta_data *meta, bt_error *err) {
    bt_status  rc = BT_OK;
    squad_run  run = {0};
    data_part *part = NULL;
    (void)task;
    BT_CHECK(read_flags(job, &run, err));
    BT_CHECK(read_questions(job, &run, err));
    BT_CHECK(data_add_part(job, DATA_TRAIN, NULL, &part, err));
    const example_settings settings = {.convert = convert_window, .context = run.windows};
    BT_CHECK(data_write_parts(job, &settings, open_windows, &run, err));
    rc = put_meta(job, &run, meta, err);
done:
    bt_squad_windows_free(run.windows);
    bt_squad_set_deinit(&run.set);
    return rc;
}
