/* SPDX-License-Identifier: Apache-2.0
 *
 * The readers of create-finetuning-data. The first byte says which: a tab separated file ('h' with
 * header, 't' without, 'r' that drops CRs), tagged words ('p' plain, 'c' CoNLL), 'j' JSON lines,
 * 'i' dataset_info.json and 'f' features.json of a TFDS set, 's' a shard of one, 'm' a shard whose
 * checksums are mended. */
#define _XOPEN_SOURCE 700
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"
#include "bt/text.h"

#include "fuzz_file.h"
#include "fuzz_mend.h"
#include "fuzz_targets.h"
#include "jsonl_reader.h"
#include "tfds_set.h"
#include "tsv_reader.h"

static const char set_info[] =
    "{\"name\":\"t\",\"splits\":[{\"name\":\"train\",\"shardLengths\":[\"1\","
    "\"2\"],\"filepathTemplate\":\"s\"}]}";
static char set_folders[2][4096];

static void read_tsv(const char *path, tsv_form form) {
    tsv_reader      *reader = NULL;
    const tsv_field *fields = NULL;
    size_t           n = 0;
    size_t           sum = 0;
    bool             end = tsv_open(&reader, path, form, NULL) != BT_OK;
    while (!end && tsv_next(reader, &fields, &n, &end, NULL) == BT_OK) {
        for (size_t i = 0; !end && i < n; i++) {
            sum += fields[i].n > 0 ? (unsigned char)fields[i].text[fields[i].n - 1] : 0U;
        }
    }
    if (sum == SIZE_MAX) {
        abort(); /* the bytes were read */
    }
    tsv_close(reader);
}

static void read_words(const char *path, bool is_conll) {
    const bt_text_word_form form = {.is_conll = is_conll,
                                    .word_column = 0,
                                    .label_column = BT_TEXT_LAST_COLUMN,
                                    .conll_advice = "",
                                    .columns_advice = ""};
    bt_text_word_file      *reader = NULL;
    bool                    end = bt_text_word_file_open(&reader, path, &form, NULL) != BT_OK;
    while (!end) {
        bt_text_word_line word = {0};
        bool              is_break = false;
        if (bt_text_word_file_next(reader, &word, &is_break, &end, NULL) != BT_OK) {
            break;
        }
        if (!end && !is_break && word.label != NULL && memchr(word.label, '\n', word.n_label)) {
            abort(); /* a line is one line */
        }
    }
    bt_text_word_file_close(reader);
}

static void read_jsonl(const char *path) {
    jsonl_reader *reader = NULL;
    const json_t *row = NULL;
    const char   *text = NULL;
    size_t        n = 0;
    bool          end = jsonl_open(&reader, path, NULL) != BT_OK;
    while (!end && jsonl_next(reader, &row, &end, NULL) == BT_OK) {
        if (!end && jsonl_text(reader, "a", &text, &n, NULL) == BT_OK && text == NULL) {
            abort(); /* a text is there or not */
        }
    }
    jsonl_close(reader);
}

static void read_rows(const tfds_set *set, const char *sort_key) {
    const tfds_split *split = NULL;
    tfds_reader      *reader = NULL;
    bool              end = tfds_find_split(set, "train", &split, NULL) != BT_OK ||
               tfds_reader_open(&reader, set, split, sort_key, NULL) != BT_OK;
    while (!end) {
        const bt_example *example = NULL;
        bt_bytes          text = {0};
        if (tfds_reader_next(reader, &example, &end, NULL) != BT_OK) {
            break;
        }
        if (!end && tfds_reader_text(reader, "s", &text, NULL) == BT_OK && text.data == NULL) {
            abort(); /* a text is there or not */
        }
    }
    tfds_reader_close(reader);
}

static const char *const set_files[] = {"dataset_info.json", "features.json", "s"};

static void remove_set(void) {
    char path[sizeof set_folders[1] + 32];
    for (size_t i = 0; i < BT_ARRAY_LEN(set_files); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", set_folders[1], set_files[i]);
        (void)unlink(path);
    }
    (void)rmdir(set_folders[1]);
    (void)rmdir(set_folders[0]);
}

/* Folders for the set "t" beside the fuzz files; they are gone before those are cleaned up. */
static void make_set(const char *root) {
    if (set_folders[0][0] != '\0') {
        return;
    }
    (void)snprintf(set_folders[0], sizeof set_folders[0], "%s/t", root);
    (void)snprintf(set_folders[1], sizeof set_folders[1], "%s/t/1.0.0", root);
    if (mkdir(set_folders[0], 0700) != 0 || mkdir(set_folders[1], 0700) != 0 ||
        atexit(remove_set) != 0) {
        abort();
    }
}

static void read_set(char kind, const uint8_t *data, size_t size) {
    const char *const beside = fuzz_file("input", data, size);
    char             *root = NULL;
    tfds_set         *set = NULL;
    int64_t           n = 0;
    if (bt_fs_parent(beside, &root, NULL) != BT_OK) {
        return;
    }
    make_set(root);
    (void)fuzz_file("t/1.0.0/dataset_info.json", kind == 'i' ? data : (const uint8_t *)set_info,
                    kind == 'i' ? size : sizeof set_info - 1);
    (void)fuzz_file(kind == 'f' ? "t/1.0.0/features.json" : "t/1.0.0/s", data, size);
    if (tfds_open(&set, root, "t", NULL) == BT_OK) {
        if (tfds_count_classes(set, "label", &n, NULL) == BT_OK && n < 1) {
            abort(); /* a class label has classes */
        }
        read_rows(set, NULL);
        read_rows(set, "i");
    }
    tfds_close(set);
    bt_free(root);
}

static void read_mended(const uint8_t *data, size_t size) {
    uint8_t *const copy = bt_alloc(size + 1);
    if (copy != NULL) {
        memcpy(copy, data, size);
        fuzz_mend_records(copy, size);
        read_set('s', copy, size);
    }
    bt_free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    const char kind = (char)data[0];
    data++;
    size--;
    if (strchr("ifs", kind) != NULL && kind != '\0') {
        read_set(kind, data, size);
        return 0;
    }
    if (kind == 'm') {
        read_mended(data, size);
        return 0;
    }
    const char *const path = fuzz_file("input", data, size);
    switch (kind) {
    case 'h':
        read_tsv(path, TSV_HEADER);
        break;
    case 't':
        read_tsv(path, TSV_NO_HEADER);
        break;
    case 'r':
        read_tsv(path, TSV_DROPS_CR);
        break;
    case 'p':
        read_words(path, false);
        break;
    case 'c':
        read_words(path, true);
        break;
    case 'j':
        read_jsonl(path);
        break;
    default:
        break;
    }
    return 0;
}
