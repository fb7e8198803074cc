/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run reads of earlier ones in its model_dir: the first byte says whether the others are a
 * line of metrics.jsonl, info.json, seeds.json or a whole metrics.jsonl. What is taken from the
 * first three is written, and read to the same; after the cut the last one has no later step. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "best_info.h"
#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/str.h"
#include "fuzz_file.h"
#include "fuzz_targets.h"
#include "records.h"
#include "seeds_file.h"

static bool is_same(double a, double b) {
    return a == b || (!isfinite(a) && !isfinite(b)); /* null is neither */
}

static bool are_same(const bt_metric_value *a, const bt_metric_value *b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(a[i].name, b[i].name) != 0 || !is_same(a[i].value, b[i].value)) {
            return false;
        }
    }
    return true;
}

/* Names that JSON writes as they are: ours have no others. */
static bool are_plain(const bt_metric_value *values, size_t n) {
    for (size_t i = 0; i < n; i++) {
        for (const char *p = values[i].name; *p != '\0'; p++) {
            if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\') {
                return false;
            }
        }
    }
    return true;
}

static void write_record(const record_line *line, bt_error *err) {
    record_line           again;
    bool                  is_record = false;
    bt_str                text = BT_STR_INIT;
    const bt_train_values none = {.n = 0};
    const run_record      r = {.kind = RECORD_TRAIN,
                               .step = line->step,
                               .round = line->round,
                               .mode = line->from_training ? NULL : "eval",
                               .values = &line->values,
                               .extra = &none};
    if (record_format(&r, &text, err) != BT_OK ||
        record_parse(bt_str_text(&text), text.len - 1, &again, &is_record, err) != BT_OK ||
        !is_record || again.step != line->step || again.from_training != line->from_training ||
        again.round != (line->round < 0 ? -1 : line->round) || again.values.n != line->values.n ||
        !are_same(again.values.items, line->values.items, line->values.n)) {
        (void)fprintf(stderr, "%s", bt_str_text(&text));
        abort();
    }
    bt_str_deinit(&text);
}

static void read_record(const char *text, size_t n, bt_error *err) {
    record_line line;
    bool        is_record = false;
    if (record_parse(text, n, &line, &is_record, err) != BT_OK) {
        abort();
    }
    if (is_record && (line.values.n > BT_TRAIN_MAX_VALUES || line.kind > RECORD_OTHER)) {
        abort();
    }
    if (is_record && are_plain(line.values.items, line.values.n)) {
        write_record(&line, err);
    }
    (void)record_is_torn(text, n);
}

static void read_info(const char *text, size_t n, bt_error *err) {
    best_info info = {0};
    best_info again = {0};
    bt_str    out = BT_STR_INIT;
    if (best_info_parse(text, n, "f1", "info.json", &info, err) != BT_OK) {
        if (err->msg[0] == '\0') {
            abort();
        }
        return;
    }
    const bt_train_values values = {.n = 1, .items = {{"f1", info.value}}};
    if (best_info_format(&values, info.step, &out, err) != BT_OK ||
        best_info_parse(bt_str_text(&out), out.len, "f1", "again", &again, err) != BT_OK ||
        again.step != info.step || !is_same(again.value, (double)(float)info.value)) {
        (void)fprintf(stderr, "%s%s\n", bt_str_text(&out), err->msg);
        abort();
    }
    bt_str_deinit(&out);
}

static void read_seeds(const char *text, size_t n, bt_error *err) {
    static const bt_train_seeds_summary none = {0};
    seeds_file                          file = SEEDS_FILE_INIT;
    seeds_file                          again = SEEDS_FILE_INIT;
    const char *const                   path = fuzz_file("seeds.json", (const uint8_t *)text, n);
    if (seeds_file_read(&file, path, err) != BT_OK) {
        if (err->msg[0] == '\0') {
            abort();
        }
    } else if (seeds_file_write(&file, path, NULL, 0, &none, err) != BT_OK) {
        abort();
    } else {
        bool is_plain = true;
        for (size_t i = 0; i < file.n; i++) {
            is_plain = is_plain && are_plain(file.items[i].summary.values.items,
                                             file.items[i].summary.values.n);
        }
        if (seeds_file_read(&again, path, err) != BT_OK || (is_plain && again.n != file.n)) {
            abort();
        }
        for (size_t i = 0; is_plain && i < file.n; i++) {
            const seed_result *const a = &file.items[i];
            const seed_result *const b = seeds_file_find(&again, a->seed);
            if (b == NULL || a->params != b->params || a->summary.step != b->summary.step ||
                a->summary.values.n != b->summary.values.n ||
                !are_same(a->summary.values.items, b->summary.values.items, a->summary.values.n)) {
                abort();
            }
        }
    }
    seeds_file_deinit(&file);
    seeds_file_deinit(&again);
}

enum { LAST_STEP = 5 };

static bool visit(void *context, const record_line *line) {
    (void)context;
    if (line->step > LAST_STEP) {
        abort();
    }
    return false;
}

static void read_history(const char *text, size_t n, bt_error *err) {
    const record_cut  cut = {.last_step = LAST_STEP, .round = -1};
    const char *const path = fuzz_file("metrics.jsonl", (const uint8_t *)text, n);
    int64_t           n_cut = 0;
    int64_t           n_again = 0;
    bool              torn = false;
    if (records_cut(path, &cut, &n_cut, err) != BT_OK ||
        records_cut(path, &cut, &n_again, err) != BT_OK || n_again != 0 ||
        records_visit(path, visit, NULL, err) != BT_OK ||
        records_are_torn(path, &torn, err) != BT_OK || torn) {
        (void)fprintf(stderr, "%s\n", err->msg);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bt_error err = BT_ERROR_INIT;
    if (size == 0) {
        return 0;
    }
    char *const text = bt_strndup((const char *)data + 1, size - 1);
    if (text == NULL) {
        return 0;
    }
    bt_log_setup("fuzz", BT_LOG_TEXT, BT_LOG_ERROR);
    switch (data[0] % 4) {
    case 0:
        read_record(text, size - 1, &err);
        break;
    case 1:
        read_info(text, size - 1, &err);
        break;
    case 2:
        read_seeds(text, size - 1, &err);
        break;
    default:
        read_history(text, size - 1, &err);
        break;
    }
    bt_free(text);
    return 0;
}
