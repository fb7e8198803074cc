/* SPDX-License-Identifier: Apache-2.0
 *
 * See tfds_task.h. */
#include "tfds_task.h"
#include "bt/base/alloc.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tfds_set.h"

/* A wanted split: its part has the same place among the job's parts. */
typedef struct wanted_split {
    const tfds_split *split;
    tfds_set         *set;
} wanted_split;

typedef struct tfds_run {
    const tfds_config *config;
    int64_t            n_labels; /* 0: a regression */
    wanted_split       wanted[DATA_N_SPLITS];
} tfds_run;

typedef struct tfds_source {
    const tfds_run *run;
    tfds_reader    *reader;
    bool            is_test;
} tfds_source;

static bt_status fail_label(const tfds_source *s, double value, bt_error *err) {
    char text[160];
    if (s->run->n_labels > 0) {
        (void)snprintf(text, sizeof text, "label %g is none of the classes 0 to %" PRId64, value,
                       s->run->n_labels - 1);
    } else if (isfinite(value)) {
        (void)snprintf(text, sizeof text,
                       "label %g is not an integer of 64 bits; give label_type=float", value);
    } else {
        (void)snprintf(text, sizeof text, "label %g is not a finite number", value);
    }
    return tfds_reader_fail(s->reader, BT_E_FORMAT, text, err);
}

/* The classes' numbers are exact in a double. */
static bt_status set_label(const tfds_source *s, double value, example_row *row, bt_error *err) {
    static const double largest_integer = 9007199254740992.0;
    const int64_t       n_labels = s->run->n_labels;
    row->value = (float)value;
    if (s->run->config->is_float) {
        return isfinite(row->value) ? BT_OK : fail_label(s, value, err);
    }
    if (value != floor(value) || fabs(value) > largest_integer) {
        return fail_label(s, value, err);
    }
    row->label = (int64_t)value;
    if (n_labels > 0 && s->is_test && row->label == -1) {
        row->label = n_labels - 1; /* the real tool looks up label -1 in a Python list */
    }
    return n_labels > 0 && (row->label < 0 || row->label >= n_labels) ? fail_label(s, value, err)
                                                                      : BT_OK;
}

static bt_status read_texts(const tfds_source *s, example_row *row, bt_error *err) {
    const tfds_config *const config = s->run->config;
    bt_bytes                 text = {0};
    BT_TRY(tfds_reader_text(s->reader, config->text_a, &text, err));
    row->a = (const char *)text.data;
    row->n_a = text.n_bytes;
    if (config->text_b != NULL) {
        BT_TRY(tfds_reader_text(s->reader, config->text_b, &text, err));
        row->b = (const char *)text.data;
        row->n_b = text.n_bytes;
    }
    return BT_OK;
}

static bt_status read_weight(const tfds_source *s, example_row *row, bt_error *err) {
    double value = 0.0;
    bool   is_float = false;
    if (s->run->config->weight == NULL) {
        return BT_OK;
    }
    BT_TRY(tfds_reader_number(s->reader, s->run->config->weight, &value, &is_float, err));
    row->weight = (float)value;
    return isfinite(row->weight)
               ? BT_OK
               : tfds_reader_fail(s->reader, BT_E_FORMAT, "the weight is not a finite number", err);
}

static bt_status next_row(void *state, example_row *row, bool *end, bt_error *err) {
    tfds_source *const       s = state;
    const tfds_config *const config = s->run->config;
    for (;;) {
        const bt_example *example = NULL;
        double            label = (double)config->test_label;
        bool              is_float = false;
        BT_TRY(tfds_reader_next(s->reader, &example, end, err));
        if (*end) {
            return BT_OK;
        }
        if (!s->is_test || config->reads_test_labels) {
            BT_TRY(tfds_reader_number(s->reader, config->label, &label, &is_float, err));
            if (config->has_skip && label == config->skip_label) {
                continue;
            }
        }
        BT_TRY(read_texts(s, row, err));
        BT_TRY(read_weight(s, row, err));
        return set_label(s, label, row, err);
    }
}

static void close_source(void *state) {
    tfds_source *const s = state;
    if (s != NULL) {
        tfds_reader_close(s->reader);
        bt_free(s);
    }
}

static bt_status open_source(const data_job *job, const data_part *part, const void *context,
                             example_source *out, bt_error *err) {
    const tfds_run *const     run = context;
    const wanted_split *const wanted = &run->wanted[part->split];
    tfds_source              *s = bt_calloc_array(1, sizeof *s);
    (void)job;
    if (s == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the input");
    }
    s->run = run;
    s->is_test = part->split == DATA_TEST;
    const bt_status rc =
        tfds_reader_open(&s->reader, wanted->set, wanted->split, run->config->sort_key, err);
    if (rc != BT_OK) {
        close_source(s);
        return rc;
    }
    *out = (example_source){.state = s, .next = next_row, .close = close_source};
    return BT_OK;
}

static bt_status add_inputs(data_part *part, const wanted_split *wanted, bt_error *err) {
    for (size_t i = 0; i < wanted->split->n_shards; i++) {
        char *path = NULL;
        BT_TRY(tfds_shard_path(wanted->set, wanted->split, i, &path, err));
        bt_status rc = BT_OK;
        if (wanted->split->shard_rows[i] > 0) {
            rc = data_add_input(part, wanted->set->folder, bt_fs_basename(path), NULL, err);
        }
        bt_free(path);
        BT_TRY(rc);
    }
    return BT_OK;
}

static bt_status add_split(data_job *job, tfds_run *run, int split, bt_error *err) {
    const tfds_config *const config = run->config;
    wanted_split *const      wanted = &run->wanted[split];
    data_part               *part = NULL;
    const char *const        dataset =
        config->datasets[config->datasets[split] == NULL ? DATA_TRAIN : split];
    const bool is_mismatched = config->mismatched_splits[split] != NULL &&
                               bt_str_equal(bt_flags_string(job->flags, "mnli_type"), "mismatched");
    BT_TRY(tfds_open(&wanted->set, config->data_dir, dataset, err));
    BT_TRY(tfds_find_split(wanted->set,
                           is_mismatched ? config->mismatched_splits[split] : config->splits[split],
                           &wanted->split, err));
    if (!config->is_regression && config->n_labels == 0) {
        BT_TRY(tfds_count_classes(wanted->set, config->label, &run->n_labels, err));
    }
    BT_TRY(data_add_part(job, split, NULL, &part, err));
    return add_inputs(part, wanted, err);
}

bt_status run_tfds(data_job *job, const data_task *task, const tfds_config *config, meta_data *meta,
                   bt_error *err) {
    bt_status rc = BT_OK;
    tfds_run  run = {.config = config, .n_labels = config->n_labels};
    for (int split = DATA_TRAIN; split < DATA_N_SPLITS; split++) {
        if (job->paths[split] != NULL) {
            BT_CHECK(add_split(job, &run, split, err));
        }
    }
    const classification form = {.n_labels = run.n_labels,
                                 .is_regression = config->is_regression,
                                 .has_weight = config->weight != NULL,
                                 .label =
                                     config->is_float ? EXAMPLE_LABEL_FLOAT : EXAMPLE_LABEL_INT};
    rc = write_classification(job, task, &form, open_source, &run, meta, err);
done:
    for (int split = DATA_TRAIN; split < DATA_N_SPLITS; split++) {
        tfds_close(run.wanted[split].set);
    }
    return rc;
}

bool tfds_has_folder(void) {
    const char *const named = getenv("TFDS_DATA_DIR");
    bt_error          ignored = BT_ERROR_INIT;
    char             *folder = NULL;
    if (named != NULL && *named != '\0') {
        return true;
    }
    const bool exists = tfds_default_folder(&folder, &ignored) == BT_OK && bt_fs_exists(folder);
    bt_free(folder);
    return exists;
}
