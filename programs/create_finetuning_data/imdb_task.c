/* SPDX-License-Identifier: Apache-2.0
 *
 * IMDB as it is unpacked: one review a file, train/{neg,pos} and test/{neg,pos}, which is read as
 * the evaluation set. Files in the order in which the file system lists them, as the real tool has
 * them, neg before pos. */
#include <string.h>

#include "bt/base/alloc.h"
#include "data_task.h"

static const char *const classes[] = {"neg", "pos"};
static const char *const folders[DATA_N_SPLITS] = {"train", "test", NULL};
static const char        line_break[] = "<br />";
static const size_t      review_max_bytes = (size_t)1 << 28;

typedef struct imdb_source {
    const char *folder; /* of the split; borrowed */
    int64_t     label;  /* whose files names holds */
    bt_fs_names names;
    size_t      next;
    char       *text; /* of the current row */
} imdb_source;

static bt_status list_class(imdb_source *s, bt_error *err) {
    char *folder = NULL;
    bt_fs_names_deinit(&s->names);
    s->names = (bt_fs_names)BT_FS_NAMES_INIT;
    s->next = 0;
    BT_TRY(bt_fs_join(s->folder, classes[s->label], &folder, err));
    const bt_status rc = bt_fs_list_unsorted(folder, &s->names, err);
    bt_free(folder);
    return rc;
}

/* Replaces every line break by a space, in place; returns the new length. */
static size_t replace_breaks(char *text, size_t n) {
    const size_t n_break = sizeof line_break - 1;
    size_t       to = 0;
    for (size_t i = 0; i < n;) {
        const bool is_break = n - i >= n_break && memcmp(text + i, line_break, n_break) == 0;
        text[to++] = is_break ? ' ' : text[i];
        i += is_break ? n_break : 1;
    }
    return to;
}

static bt_status read_review(imdb_source *s, const char *name, example_row *row, bt_error *err) {
    bt_status rc = BT_OK;
    char     *folder = NULL;
    char     *path = NULL;
    size_t    n = 0;
    bt_free(s->text);
    s->text = NULL;
    BT_CHECK(bt_fs_join(s->folder, classes[s->label], &folder, err));
    BT_CHECK(bt_fs_join(folder, name, &path, err));
    BT_CHECK(bt_fs_read_all(path, review_max_bytes, &s->text, &n, err));
    const size_t n_valid = bt_text_utf8_valid_prefix(s->text, n);
    if (n_valid < n) {
        rc = BT_FAIL(err, BT_E_FORMAT, "%s: byte %zu (0x%02x) is not valid UTF-8", path,
                     n_valid + 1, (unsigned)(unsigned char)s->text[n_valid]);
        goto done;
    }
    row->a = s->text;
    row->n_a = replace_breaks(s->text, n);
    row->label = s->label;
done:
    bt_free(folder);
    bt_free(path);
    return rc;
}

static bt_status next_row(void *state, example_row *row, bool *end, bt_error *err) {
    imdb_source *const s = state;
    *end = false;
    for (;;) {
        if (s->next == s->names.n) {
            s->label++;
            *end = s->label == (int64_t)BT_ARRAY_LEN(classes);
            if (*end) {
                s->label--; /* asked again, the end comes again */
                return BT_OK;
            }
            BT_TRY(list_class(s, err));
            continue;
        }
        const char *const name = s->names.items[s->next++];
        if (bt_str_ends_with(name, "txt")) {
            return read_review(s, name, row, err);
        }
    }
}

static void close_source(void *state) {
    imdb_source *const s = state;
    bt_fs_names_deinit(&s->names);
    bt_free(s->text);
    bt_free(s);
}

static bt_status open_source(const data_job *job, const data_part *part, const void *context,
                             example_source *out, bt_error *err) {
    imdb_source *const s = bt_calloc_array(1, sizeof *s);
    (void)job;
    (void)context;
    if (s == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the input");
    }
    s->folder = part->inputs[0];
    const bt_status rc = list_class(s, err);
    if (rc != BT_OK) {
        close_source(s);
        return rc;
    }
    *out = (example_source){.state = s, .next = next_row, .close = close_source};
    return BT_OK;
}

/* The split's folder with its two folders in it. */
static bt_status add_split(data_job *job, int split, bt_error *err) {
    data_part *part = NULL;
    BT_TRY(data_add_part(job, split, NULL, &part, err));
    BT_TRY(data_add_input_folder(part, job->input_dir, folders[split], err));
    for (size_t i = 0; i < BT_ARRAY_LEN(classes); i++) {
        char *folder = NULL;
        BT_TRY(bt_fs_join(part->inputs[0], classes[i], &folder, err));
        const bt_status rc = bt_fs_require_folder(folder, err);
        bt_free(folder);
        BT_TRY(rc);
    }
    return BT_OK;
}

bt_status run_imdb(data_job *job, const data_task *task, meta_data *meta, bt_error *err) {
    const classification form = {.n_labels = (int64_t)BT_ARRAY_LEN(classes),
                                 .label = EXAMPLE_LABEL_INT};
    BT_TRY(data_require_output(job, 1U << DATA_TRAIN | 1U << DATA_EVAL, err));
    BT_TRY(data_require_input_dir(job, task, "train/neg, train/pos, test/neg, test/pos", err));
    if (job->paths[DATA_TEST] != NULL) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "IMDB has no test set beside the one that is the evaluation set: leave out "
                       "--test_data_output_path");
    }
    for (int split = DATA_TRAIN; split <= DATA_EVAL; split++) {
        if (job->paths[split] != NULL) {
            BT_TRY(add_split(job, split, err));
        }
    }
    return write_classification(job, task, &form, open_source, NULL, meta, err);
}
