/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of tasks, and what classification tasks share: the meta data (docs/model_garden/data.md
 * section 1: keys, order and spaces as Python's json writes them). */
#include "data_task.h"

#include <stdio.h>
#include <string.h>

#include "tfds_task.h"

/* By task type; tasks of a type in the order of their messages. */
static const data_task data_tasks[] = {
    {"classification", "AX", "AX", run_glue, &glue_ax, NULL},
    {"classification", "COLA", "COLA", run_glue, &glue_cola, NULL},
    {"classification", "MNLI", "MNLI", run_glue, &glue_mnli, NULL},
    {"classification", "MRPC", "MRPC", run_glue, &glue_mrpc, NULL},
    {"classification", "QNLI", "QNLI", run_glue, &glue_qnli, NULL},
    {"classification", "QQP", "QQP", run_glue, &glue_qqp, NULL},
    {"classification", "RTE", "RTE", run_glue, &glue_rte, NULL},
    {"classification", "SST-2", "SST-2", run_glue, &glue_sst2, NULL},
    {"classification", "STS-B", "STS-B", run_glue, &glue_stsb, NULL},
    {"classification", "WNLI", "WNLI", run_glue, &glue_wnli, NULL},
    {"classification", "IMDB", "IMDB", run_imdb, NULL, NULL},
    {"classification", "table", "table", run_table, NULL, NULL},
    {"classification", "PAWS-X", "XTREME-PAWS-X", run_xlang, &xlang_pawsx, xlang_pawsx_languages},
    {"classification", "XNLI", "XNLI", run_xlang, &xlang_xnli, xlang_xnli_languages},
    {"classification", "XTREME-PAWS-X", "XTREME-PAWS-X", run_xlang, &xlang_xtreme_pawsx,
     xlang_pawsx_languages},
    {"classification", "XTREME-XNLI", "XTREME-XNLI", run_xlang, &xlang_xtreme_xnli,
     xlang_xnli_languages},
    {"classification", "AX-g", "AXg", run_superglue, &superglue_axg, NULL},
    {"classification", "SUPERGLUE-RTE", "RTESuperGLUE", run_superglue, &superglue_rte, NULL},
    {"classification", "CB", "CB", run_superglue, &superglue_cb, NULL},
    {"classification", "BoolQ", "BoolQ", run_superglue, &superglue_boolq, NULL},
    {"classification", "WIC", "WiC", run_superglue, &superglue_wic, NULL},
    {"regression", "table", "table", run_table, NULL, NULL},
    {"retrieval", "bucc", "BUCC", run_retrieval, &retrieval_bucc, retrieval_bucc_languages},
    {"retrieval", "tatoeba", "TATOEBA", run_retrieval, &retrieval_tatoeba,
     retrieval_tatoeba_languages},
    {"squad", "squad", "squad", run_squad, NULL, NULL},
    {"tagging", "conll", "conll", run_tagging, &tagging_conll, NULL},
    {"tagging", "panx", "panx", run_tagging, &tagging_panx, tagging_panx_languages},
    {"tagging", "udpos", "udpos", run_tagging, &tagging_udpos, tagging_udpos_languages},
};

/* --tfds_params: whatever the task's name. */
static const data_task generic_task = {"classification", "TFDS", "TFDS",
                                       run_tfds_params,  NULL,   NULL};

/* Which flag names the task of a type; a type that is not here has one task, named like it. */
static const struct {
    const char *task_type;
    const char *flag;
} name_flags[] = {
    {"classification", "classification_task_name"},
    {"tagging", "tagging_task_name"},
    {"retrieval", "retrieval_task_name"},
};

static const char *name_flag_of(const char *task_type) {
    for (size_t i = 0; i < BT_ARRAY_LEN(name_flags); i++) {
        if (bt_str_equal(name_flags[i].task_type, task_type)) {
            return name_flags[i].flag;
        }
    }
    return NULL;
}

static const data_task *find_row(const char *task_type, const char *name) {
    for (size_t i = 0; i < BT_ARRAY_LEN(data_tasks); i++) {
        if (bt_str_equal(data_tasks[i].task_type, task_type) &&
            bt_str_equal(data_tasks[i].name, name)) {
            return &data_tasks[i];
        }
    }
    return NULL;
}

static bt_status list_languages(const data_task *task, bt_str *out, bt_error *err) {
    for (size_t i = 0; task->languages[i] != NULL; i++) {
        BT_TRY(bt_str_appendf(out, err, "%s%s", i == 0 ? "" : " ", task->languages[i]));
    }
    return BT_OK;
}

static bool knows_language(const data_task *task, const char *name, size_t n) {
    for (size_t i = 0; task->languages[i] != NULL; i++) {
        if (strlen(task->languages[i]) == n && memcmp(task->languages[i], name, n) == 0) {
            return true;
        }
    }
    return false;
}

/* Every language of --languages must be one of the task's. */
static bt_status check_languages(const bt_flags *flags, const data_task *task, bt_error *err) {
    const char *at = data_path_flag(flags, "languages");
    bt_str      known = BT_STR_INIT;
    bt_status   rc = BT_OK;
    if (at == NULL) {
        return BT_OK;
    }
    if (task->languages == NULL) {
        return BT_FAIL(err, BT_E_CONFIG, "--languages=%s: %s data have no languages to choose from",
                       at, task->name);
    }
    for (; *at != '\0'; at += strspn(at, ", ")) {
        const size_t n = strcspn(at, ", ");
        if (!knows_language(task, at, n)) {
            BT_CHECK(list_languages(task, &known, err));
            rc = BT_FAIL(err, BT_E_CONFIG, "--languages: '%.*s' is not a language of %s: %s",
                         (int)n, at, task->name, bt_str_text(&known));
            goto done;
        }
        at += n;
    }
done:
    bt_str_deinit(&known);
    return rc;
}

/* Flags that would say nothing. */
static bt_status check_own(const bt_flags *flags, const data_task *task, bt_error *err) {
    static const char *const of_tables[] = {"text_fields", "delimiter", "quote"};
    for (size_t i = 0; task->run != run_table && i < BT_ARRAY_LEN(of_tables); i++) {
        if (data_path_flag(flags, of_tables[i]) != NULL) {
            return BT_FAIL(err, BT_E_CONFIG,
                           "--%s is for --classification_task_name=table, not for %s", of_tables[i],
                           task->name);
        }
    }
    const bool is_own =
        task->run == run_table || task->run == run_squad || task->config == &tagging_conll;
    if (!is_own && data_path_flag(flags, "encoding") != NULL) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--encoding is for table, conll and squad; the files of %s are UTF-8",
                       task->name);
    }
    return BT_OK;
}

bt_status data_find_task(const bt_flags *flags, const data_task **task, bt_error *err) {
    const char *const type = bt_flags_string(flags, "fine_tuning_task_type");
    const char *const name_flag = name_flag_of(type);
    const bool        takes_params =
        bt_str_equal(type, "classification") || bt_str_equal(type, "regression");
    if (data_path_flag(flags, "tfds_params") != NULL && !takes_params) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--tfds_params is for --fine_tuning_task_type=classification or regression, "
                       "not for %s",
                       type);
    }
    if (data_path_flag(flags, "tfds_params") != NULL) {
        *task = &generic_task;
        return check_languages(flags, *task, err);
    }
    const bool is_regression = bt_str_equal(type, "regression");
    if (is_regression && data_path_flag(flags, "text_fields") == NULL) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--fine_tuning_task_type=regression needs --tfds_params; STS-B is made with "
                       "--fine_tuning_task_type=classification --classification_task_name=STS-B, "
                       "tables of one's own with --text_fields and --label_field");
    }
    *task = find_row(type, is_regression       ? "table"
                           : name_flag == NULL ? type
                                               : bt_flags_string(flags, name_flag));
    if (*task == NULL) {
        return BT_FAIL(err, BT_E_INTERNAL, "--fine_tuning_task_type=%s: no row of that name", type);
    }
    BT_TRY(check_own(flags, *task, err));
    return check_languages(flags, *task, err);
}

bt_status data_require_output(const data_job *job, unsigned splits, bt_error *err) {
    bt_str    names = BT_STR_INIT;
    bt_status rc = BT_OK;
    for (unsigned split = 0; split < DATA_N_SPLITS; split++) {
        if ((splits >> split & 1U) == 0) {
            continue;
        }
        if (job->paths[split] != NULL) {
            goto done;
        }
        BT_CHECK(bt_str_appendf(&names, err, "%s--%s_data_output_path",
                                names.len == 0 ? "" : " or ", data_split_names[split]));
    }
    rc = BT_FAIL(err, BT_E_CONFIG, "%s must be given", bt_str_text(&names));
done:
    bt_str_deinit(&names);
    return rc;
}

bt_status data_require_input_dir(const data_job *job, const data_task *task, const char *files,
                                 bt_error *err) {
    if (job->input_dir == NULL) {
        return BT_FAIL(err, BT_E_CONFIG, "%s needs --input_data_dir: the folder with %s",
                       task->name, files);
    }
    return bt_fs_require_folder(job->input_dir, err);
}

static bt_status put_test_sizes(const data_job *job, meta_data *meta, bt_error *err) {
    char key[64];
    for (size_t i = 0; i < job->n_parts; i++) {
        const data_part *const part = &job->parts[i];
        if (part->split == DATA_TEST) {
            (void)snprintf(key, sizeof key, "test_%s%sdata_size",
                           part->language == NULL ? "" : part->language,
                           part->language == NULL ? "" : "_");
            BT_TRY(meta_put_int(meta, key, part->n_records, err));
        }
    }
    return BT_OK;
}

static bt_status put_meta(const data_job *job, const data_task *task, const classification *form,
                          meta_data *meta, bt_error *err) {
    BT_TRY(meta_open_map(meta, NULL, err));
    BT_TRY(meta_put_text(meta, "processor_type", task->processor, err));
    BT_TRY(meta_put_int(meta, "train_data_size", data_split_records(job, DATA_TRAIN), err));
    BT_TRY(meta_put_int(meta, "max_seq_length", job->max_seq_length, err));
    BT_TRY(put_test_sizes(job, meta, err));
    BT_TRY(meta_put_text(meta, "task_type",
                         form->is_regression ? "bert_regression" : "bert_classification", err));
    if (form->is_regression) {
        const bool is_float = form->label == EXAMPLE_LABEL_FLOAT;
        BT_TRY(meta_put_text(meta, "label_type", is_float ? "float" : "int", err));
    } else {
        BT_TRY(meta_put_int(meta, "num_labels", form->n_labels, err));
    }
    if (form->n_label_names > 0) {
        BT_TRY(meta_open_list(meta, "label_list", err));
        for (size_t i = 0; i < form->n_label_names; i++) {
            BT_TRY(meta_put_text(meta, NULL, form->label_names[i], err));
        }
        BT_TRY(meta_close(meta, err));
    }
    if (form->has_weight) {
        BT_TRY(meta_put_bool(meta, "has_sample_weights", true, err));
    }
    if (job->paths[DATA_EVAL] != NULL) {
        BT_TRY(meta_put_int(meta, "eval_data_size", data_split_records(job, DATA_EVAL), err));
    }
    return meta_close(meta, err);
}

bt_status write_classification(data_job *job, const data_task *task, const classification *form,
                               data_part_open open, const void *context, meta_data *meta,
                               bt_error *err) {
    const example_settings settings = {
        .convert = convert_text, .label = form->label, .has_weight = form->has_weight};
    BT_TRY(data_write_parts(job, &settings, open, context, err));
    return put_meta(job, task, form, meta, err);
}
