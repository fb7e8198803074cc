/* SPDX-License-Identifier: Apache-2.0
 *
 * The labels of words, by id: given, or those that occur in files, "O" first and the others by
 * their bytes, so that they do not depend on the order of the sentences. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "bt/base/stop.h"
#include "bt/fs.h"
#include "bt/text.h"

enum { MAX_LABELS = 10000, SHOWN_LABELS = 20, SHOWN_BYTES = 64 };
static const size_t label_file_max_bytes = (size_t)16 << 20;

bt_status bt_text_labels_init(bt_text_labels *labels, bt_error *err) {
    *labels = (bt_text_labels){0};
    return bt_map_create(&labels->ids, 64, err);
}

void bt_text_labels_deinit(bt_text_labels *labels) {
    for (size_t i = 0; i < labels->n; i++) {
        bt_free(labels->names[i]);
    }
    bt_free(labels->names);
    bt_map_free(labels->ids);
    *labels = (bt_text_labels){0};
}

/* A label that is there already stays as it is. */
static bt_status add_label(bt_text_labels *labels, const char *text, size_t n, bt_error *err) {
    int64_t ignored = 0;
    if (bt_map_get(labels->ids, text, n, &ignored)) {
        return BT_OK;
    }
    if (labels->n == MAX_LABELS) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "more than %d different labels (%s): is the label in another column?",
                       MAX_LABELS, labels->from);
    }
    BT_TRY(bt_grow(&labels->names, &labels->cap, labels->n + 1, sizeof *labels->names,
                   2 * (size_t)MAX_LABELS, err));
    BT_TRY(bt_map_put(labels->ids, text, n, (int64_t)labels->n, err));
    char *const name = bt_strndup(text, n);
    if (name == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for labels");
    }
    labels->names[labels->n++] = name;
    return BT_OK;
}

bt_status bt_text_labels_add(bt_text_labels *labels, const char *const *names, size_t n,
                             const char *from, bt_error *err) {
    labels->from = from;
    for (size_t i = 0; i < n; i++) {
        BT_TRY(add_label(labels, names[i], strlen(names[i]), err));
    }
    return BT_OK;
}

static int compare_labels(const void *a, const void *b) {
    const char *const p = *(char *const *)a;
    const char *const q = *(char *const *)b;
    const bool        p_first = bt_str_equal(p, "O");
    const bool        q_first = bt_str_equal(q, "O");
    return p_first != q_first ? (p_first ? -1 : 1) : strcmp(p, q);
}

static bt_status sort_labels(bt_text_labels *labels, bt_error *err) {
    qsort(labels->names, labels->n, sizeof *labels->names, compare_labels);
    for (size_t i = 0; i < labels->n; i++) {
        BT_TRY(
            bt_map_put(labels->ids, labels->names[i], strlen(labels->names[i]), (int64_t)i, err));
    }
    return BT_OK;
}

static bt_status fail_no_label(const bt_text_word_file *file, bt_error *err) {
    return BT_FAIL(err, BT_E_FORMAT,
                   "%s:%" PRId64 ": the word has no label; expected one in the label's column (%s "
                   "says which that is)",
                   bt_text_word_file_path(file), bt_text_word_file_line(file),
                   bt_text_word_file_form(file)->columns_advice);
}

static bt_status collect_word(bt_text_labels *labels, const bt_text_word_file *file,
                              const bt_text_word_line *word, bt_error *err) {
    if (word->n_label == 0) {
        return fail_no_label(file, err);
    }
    return word->label_is_id
               ? BT_FAIL(err, BT_E_FORMAT,
                         "%s:%" PRId64
                         ": the labels are numbers: name them in the order of their numbers (%s)",
                         bt_text_word_file_path(file), bt_text_word_file_line(file),
                         bt_text_word_file_form(file)->labels_advice)
               : add_label(labels, word->label, word->n_label, err);
}

bt_status bt_text_labels_collect(bt_text_labels *labels, const char *const *paths, size_t n,
                                 const bt_text_word_form *form, const char *from, bt_error *err) {
    bt_text_word_file *file = NULL;
    bt_status          rc = BT_OK;
    labels->from = from;
    for (size_t i = 0; i < n; i++) {
        bool end = false;
        bool is_first = true; /* of its sentence */
        BT_CHECK(bt_text_word_file_open(&file, paths[i], form, err));
        while (!end) {
            bt_text_word_line word = {0};
            bool              is_break = false;
            BT_CHECK(bt_stop_check(err));
            BT_CHECK(bt_text_word_file_next(file, &word, &is_break, &end, err));
            if (!end && !is_break) {
                BT_CHECK(collect_word(labels, file, &word, err));
                labels->n_sentences += is_first ? 1 : 0;
                labels->n_words++;
            }
            is_first = is_break;
        }
        bt_text_word_file_close(file);
        file = NULL;
    }
    rc = labels->n > 0 ? sort_labels(labels, err)
                       : BT_FAIL(err, BT_E_FORMAT, "%s: there are no rows of data", paths[0]);
done:
    bt_text_word_file_close(file);
    return rc;
}

/* Labels between separators, spaces around them cut off, in the given order. */
static bt_status split_labels(bt_text_labels *labels, const char *text, const char *separators,
                              bt_error *err) {
    static const char spaces[] = " \t\r";
    while (*text != '\0') {
        const size_t n = strcspn(text, separators);
        size_t       first = strspn(text, spaces);
        size_t       last = n;
        first = first < n ? first : n;
        while (last > first && strchr(spaces, text[last - 1]) != NULL) {
            last--;
        }
        if (last > first) {
            BT_TRY(add_label(labels, text + first, last - first, err));
        }
        text += n + (text[n] == '\0' ? 0 : 1);
    }
    return BT_OK;
}

bt_status bt_text_labels_parse(bt_text_labels *labels, const char *text, const char *from,
                               bt_error *err) {
    char      *lines = NULL;
    size_t     n = 0;
    const bool is_file = *text == '@';
    labels->from = from;
    if (is_file) {
        BT_TRY(bt_fs_read_all(text + 1, label_file_max_bytes, &lines, &n, err));
    }
    bt_status rc = split_labels(labels, is_file ? lines : text, is_file ? "\n" : ",", err);
    bt_free(lines);
    if (rc == BT_OK && labels->n == 0) {
        rc = BT_FAIL(err, BT_E_CONFIG, "%s=%s: there are no labels", from, text);
    }
    return rc;
}

static bt_status fail_label(const bt_text_labels *labels, const bt_text_word_file *file,
                            const bt_text_word_line *word, bt_error *err) {
    bt_str    list = BT_STR_INIT;
    bt_status rc = BT_OK;
    for (size_t i = 0; i < labels->n && i < SHOWN_LABELS; i++) {
        BT_CHECK(bt_str_appendf(&list, err, "%s%s", i == 0 ? "" : ", ", labels->names[i]));
    }
    rc = BT_FAIL(err, BT_E_FORMAT, "%s:%" PRId64 ": unknown label '%.*s'; expected %s%s (%s)",
                 bt_text_word_file_path(file), bt_text_word_file_line(file),
                 (int)(word->n_label < SHOWN_BYTES ? word->n_label : SHOWN_BYTES), word->label,
                 bt_str_text(&list), labels->n > SHOWN_LABELS ? ", ..." : "", labels->from);
done:
    bt_str_deinit(&list);
    return rc;
}

bt_status bt_text_labels_find(const bt_text_labels *labels, const bt_text_word_file *file,
                              const bt_text_word_line *word, int64_t *id, bt_error *err) {
    if (word->label == NULL) {
        return fail_no_label(file, err);
    }
    if (word->label_is_id) {
        char text[32] = "";
        memcpy(text, word->label, word->n_label < sizeof text ? word->n_label : 0);
        return bt_parse_i64(text, id) && *id >= 0 && *id < (int64_t)labels->n
                   ? BT_OK
                   : fail_label(labels, file, word, err);
    }
    return bt_map_get(labels->ids, word->label, word->n_label, id)
               ? BT_OK
               : fail_label(labels, file, word, err);
}
