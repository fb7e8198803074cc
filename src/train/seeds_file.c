/* SPDX-License-Identifier: Apache-2.0
 *
 * seeds.json: "seeds" and "metrics" are the answer (means and deviations over those seeds), "runs"
 * is what each seed ever finished here ended with. Numbers that are not finite are null. */
#include "model_dir.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/number.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "seeds_file.h"

enum { MAX_BYTES = 1 << 24 };

static const size_t max_seeds = (size_t)1 << 20;

void seeds_file_deinit(seeds_file *file) {
    bt_free(file->items);
    *file = (seeds_file)SEEDS_FILE_INIT;
}

const seed_result *seeds_file_find(const seeds_file *file, int64_t seed) {
    for (size_t i = 0; i < file->n; i++) {
        if (file->items[i].seed == seed) {
            return &file->items[i];
        }
    }
    return NULL;
}

bt_status seeds_file_put(seeds_file *file, const seed_result *result, bt_error *err) {
    for (size_t i = 0; i < file->n; i++) {
        if (file->items[i].seed == result->seed) {
            file->items[i] = *result;
            return BT_OK;
        }
    }
    BT_TRY(bt_grow(&file->items, &file->cap, file->n + 1, sizeof *file->items, max_seeds, err));
    file->items[file->n++] = *result;
    return BT_OK;
}

static bool read_values(json_t *values, bt_train_values *out) {
    const char *name = NULL;
    json_t     *value = NULL;
    if (!json_is_object(values) || json_object_size(values) > BT_TRAIN_MAX_VALUES) {
        return false;
    }
    json_object_foreach(values, name, value) {
        bt_metric_value *const slot = &out->items[out->n];
        if (strlen(name) >= sizeof slot->name || !(json_is_number(value) || json_is_null(value))) {
            return false;
        }
        (void)snprintf(slot->name, sizeof slot->name, "%s", name);
        slot->value = json_is_null(value) ? (double)NAN : json_number_value(value);
        out->n++;
    }
    return true;
}

static bool read_run(json_t *run, seed_result *out) {
    json_t *const seed = json_object_get(run, "seed");
    json_t *const params = json_object_get(run, "params");
    json_t *const step = json_object_get(run, "step");
    json_t *const seconds = json_object_get(run, "seconds");
    *out = (seed_result){.seed = json_integer_value(seed),
                         .params = (uint32_t)json_integer_value(params),
                         .summary.step = json_integer_value(step),
                         .summary.seconds = json_number_value(seconds)};
    return json_is_integer(seed) && json_is_integer(params) && json_is_integer(step) &&
           read_values(json_object_get(run, "values"), &out->summary.values);
}

static bt_status parse(seeds_file *file, const char *text, size_t n_bytes, bool *is_ours,
                       bt_error *err) {
    bt_status rc = BT_OK;
    json_t   *root = NULL;
    BT_TRY(bt_json_load(text, n_bytes, 0, &root, NULL, err));
    json_t *const runs = json_object_get(root, "runs");
    *is_ours = json_is_array(runs);
    for (size_t i = 0; i < json_array_size(runs); i++) {
        seed_result result;
        if (!read_run(json_array_get(runs, i), &result)) {
            *is_ours = false;
            break;
        }
        BT_CHECK(seeds_file_put(file, &result, err));
    }
done:
    json_decref(root);
    return rc;
}

bt_status seeds_file_read(seeds_file *file, const char *path, bt_error *err) {
    char  *text = NULL;
    size_t n_bytes = 0;
    bool   is_ours = true;
    bool   is_there = false;
    BT_TRY(bt_fs_look(path, &is_there, err));
    if (!is_there) {
        return BT_OK;
    }
    BT_TRY(bt_fs_read_all(path, MAX_BYTES, &text, &n_bytes, err));
    const bt_status rc = parse(file, text, n_bytes, &is_ours, err);
    if (rc == BT_OK && !is_ours) {
        bt_log(BT_LOG_WARNING, "%s: not the results of seeds; it is written again", path);
        seeds_file_deinit(file);
    }
    bt_free(text);
    return rc;
}

static const char *number_text(double value, char buffer[BT_F64_TEXT_MAX]) {
    return isfinite(value) ? bt_f64_repr(value, buffer) : "null";
}

static bt_status put_seeds(bt_str *out, const int64_t *seeds, size_t n, bt_error *err) {
    BT_TRY(bt_str_append(out, "  \"seeds\": [", err));
    for (size_t i = 0; i < n; i++) {
        BT_TRY(bt_str_appendf(out, err, "%s%" PRId64, i > 0 ? ", " : "", seeds[i]));
    }
    return bt_str_append(out, "],\n", err);
}

static bt_status put_metrics(bt_str *out, const bt_train_seeds_summary *summary, bt_error *err) {
    char mean[BT_F64_TEXT_MAX];
    char stddev[BT_F64_TEXT_MAX];
    BT_TRY(bt_str_append(out, "  \"metrics\": {", err));
    for (size_t i = 0; i < summary->n_values; i++) {
        const bt_train_spread *const s = &summary->values[i];
        BT_TRY(bt_str_appendf(out, err, "%s\n    \"%s\": {\"mean\": %s, \"stddev\": %s}",
                              i > 0 ? "," : "", s->name, number_text(s->mean, mean),
                              number_text(s->stddev, stddev)));
    }
    return bt_str_append(out, "\n  },\n", err);
}

static bt_status put_run(bt_str *out, const seed_result *run, bt_error *err) {
    char name[MODEL_NAME_MAX];
    char number[BT_F64_TEXT_MAX];
    BT_TRY(bt_str_appendf(out, err,
                          "    {\"seed\": %" PRId64 ", \"model_dir\": \"%s\", \"params\": %" PRIu32
                          ", \"step\": %" PRId64 ", \"seconds\": %s, \"values\": {",
                          run->seed, model_series_name(SERIES_SEED, run->seed, name), run->params,
                          run->summary.step, number_text(run->summary.seconds, number)));
    for (size_t i = 0; i < run->summary.values.n; i++) {
        const bt_metric_value *const v = &run->summary.values.items[i];
        BT_TRY(bt_str_appendf(out, err, "%s\"%s\": %s", i > 0 ? ", " : "", v->name,
                              number_text(v->value, number)));
    }
    return bt_str_append(out, "}}", err);
}

bt_status seeds_file_write(const seeds_file *file, const char *path, const int64_t *seeds,
                           size_t n_seeds, const bt_train_seeds_summary *summary, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    out = BT_STR_INIT;
    BT_CHECK(bt_str_append(&out, "{\n", err));
    BT_CHECK(put_seeds(&out, seeds, n_seeds, err));
    BT_CHECK(summary->has_best
                 ? bt_str_appendf(&out, err, "  \"best_seed\": %" PRId64 ",\n", summary->best_seed)
                 : bt_str_append(&out, "  \"best_seed\": null,\n", err));
    BT_CHECK(put_metrics(&out, summary, err));
    BT_CHECK(bt_str_append(&out, "  \"runs\": [\n", err));
    for (size_t i = 0; i < file->n; i++) {
        BT_CHECK(put_run(&out, &file->items[i], err));
        BT_CHECK(bt_str_append(&out, i + 1 < file->n ? ",\n" : "\n", err));
    }
    BT_CHECK(bt_str_append(&out, "  ]\n}\n", err));
    BT_CHECK(bt_fs_replace(path, out.data, out.len, err));
done:
    bt_str_deinit(&out);
    return rc;
}
