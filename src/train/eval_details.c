/* SPDX-License-Identifier: Apache-2.0
 *
 * eval_details.json: of the last evaluation what no record holds and the report shows: labels
 * against predictions, calibration, the rows with the worst mistakes and their texts, how long the
 * rows are. It is written before the record of the evaluation, so that an evaluation which is on
 * record has its details. As with records, the training's evaluation made again changes nothing. */
#include "eval_details.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "bt/fs.h"
#include "model_dir.h"
#include "report_facts.h"
#include "vocabulary.h"

enum { FILE_MAX_BYTES = 1 << 28 };

struct eval_details {
    eval_details_config config;
    bt_report_rows     *rows;
    bt_text_vocab      *vocab; /* NULL: not known, or not yet looked for */
    bool                is_looked_for;
};

static bt_report_kind kind_of(const bt_data_schema *schema) {
    switch (schema->label_kind) {
    case BT_LABEL_CLASS:
        return BT_REPORT_CLASSES;
    case BT_LABEL_FLOAT:
        return BT_REPORT_SCORES;
    case BT_LABEL_TOKENS:
        return BT_REPORT_TAGS;
    case BT_LABEL_MULTI:
        return BT_REPORT_LABEL_SETS;
    case BT_LABEL_NONE:
    case BT_LABEL_SPAN:
        break;
    }
    return BT_REPORT_LENGTHS;
}

bt_status eval_details_create(const eval_details_config *config, eval_details **out,
                              bt_error *err) {
    const bt_data_schema *const schema = &config->plan->validation_schema;
    const bt_report_rows_config rows = {.kind = kind_of(schema),
                                        .n_classes = config->plan->head.num_classes,
                                        .seq_length = schema->seq_length,
                                        .threshold = config->plan->threshold,
                                        .n_most = config->n_most};
    eval_details *const         details = bt_calloc_array(1, sizeof *details);
    if (details == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the details of evaluations");
    }
    details->config = *config;
    const bt_status rc = bt_report_rows_create(&rows, &details->rows, err);
    if (rc != BT_OK) {
        eval_details_free(details);
        return rc;
    }
    *out = details;
    return BT_OK;
}

void eval_details_free(eval_details *details) {
    if (details != NULL) {
        bt_report_rows_free(details->rows);
        bt_text_vocab_free(details->vocab);
        bt_free(details);
    }
}

void eval_details_reset(eval_details *details) {
    if (details != NULL) {
        bt_report_rows_reset(details->rows);
    }
}

void eval_details_add(eval_details *details, const bt_batch *batch, const float *logits) {
    if (details != NULL) {
        bt_report_rows_add(details->rows, batch, logits);
    }
}

/* A bt_report_texts function. */
static bt_status read_texts(void *context, int64_t place, const bt_text_span **texts, size_t *n,
                            bt_error *err) {
    bt_data_stream *const data = context;
    *n = 0;
    return place < bt_data_n_rows(data)
               ? bt_data_row_texts(data, bt_data_row_at(data, place), texts, n, err)
               : BT_OK;
}

static bt_status load(const char *path, bt_text_vocab **out, bt_error *err) {
    bt_error        why = BT_ERROR_INIT;
    const bt_status rc = bt_text_vocab_load(out, path, &why);
    return rc == BT_E_NOMEM || rc == BT_E_INTERRUPTED ? BT_FAIL(err, rc, "%s", why.msg) : BT_OK;
}

/* The section's, else the copy in model_dir; without one, numbers stand for tokens. */
static bt_status find_vocabulary(eval_details *details, bt_error *err) {
    static const model_file copies[] = {MODEL_VOCAB, MODEL_TOKENIZER};
    const char *const       path = vocabulary_file(&details->config.plan->validation_schema);
    if (details->is_looked_for) {
        return BT_OK;
    }
    details->is_looked_for = true;
    BT_TRY(path != NULL ? load(path, &details->vocab, err) : BT_OK);
    for (size_t i = 0; i < BT_ARRAY_LEN(copies) && details->vocab == NULL; i++) {
        char *copy = NULL;
        BT_TRY(model_dir_file(details->config.folder, copies[i], &copy, err));
        const bt_status rc = bt_fs_exists(copy) ? load(copy, &details->vocab, err) : BT_OK;
        bt_free(copy);
        BT_TRY(rc);
    }
    return BT_OK;
}

static bt_status put_values(bt_str *json, const bt_train_values *values, bt_error *err) {
    BT_TRY(report_put_key(json, "values", err));
    BT_TRY(bt_str_append(json, "{", err));
    for (size_t i = 0, n = 0; i < values->n; i++) {
        char                         text[BT_F64_TEXT_MAX];
        const bt_metric_value *const v = &values->items[i];
        if (bt_str_equal(v->name, "steps_per_second")) { /* differs from run to run */
            continue;
        }
        BT_TRY(bt_str_append(json, n++ > 0 ? ", " : "", err));
        BT_TRY(report_put_text(json, v->name, err));
        BT_TRY(bt_str_appendf(json, err, ": %s",
                              isfinite(v->value) ? bt_f64_repr(v->value, text) : "null"));
    }
    return bt_str_append(json, "}", err);
}

static bt_status put_head(bt_str *json, int64_t step, const char *mode, bt_error *err) {
    BT_TRY(bt_str_appendf(json, err, "{\"step\": %" PRId64, step));
    BT_TRY(report_put_key(json, "mode", err));
    return report_put_text(json, mode, err);
}

/* All but the head. */
static bt_status put_body(bt_str *json, const eval_details *details, const bt_metrics *metrics,
                          const bt_train_values *values, bt_error *err) {
    const eval_details_config *const config = &details->config;
    const bt_report_texts            texts = {
                   .vocab = details->vocab, .read = read_texts, .context = config->data};
    BT_TRY(report_put_classes(json, &config->plan->labels, err));
    BT_TRY(put_values(json, values, err));
    BT_TRY(bt_report_metrics_append(metrics, json, err));
    BT_TRY(bt_report_rows_append(details->rows, &texts, json, err));
    if (config->output != NULL && config->output->explain != NULL) {
        BT_TRY(config->output->explain(config->output_state, config->n_most, json, err));
    }
    return bt_str_append(json, "}\n", err);
}

/* Are the details those of the training's own evaluation, which are there? */
static bt_status is_there(const char *path, int64_t step, const bt_str *body, bool *out,
                          bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    whole = BT_STR_INIT;
    char     *text = NULL;
    size_t    n = 0;
    *out = false;
    BT_CHECK(bt_fs_look(path, out, err));
    if (*out) {
        BT_CHECK(bt_fs_read_all(path, FILE_MAX_BYTES, &text, &n, err));
        BT_CHECK(put_head(&whole, step, NULL, err));
        BT_CHECK(bt_str_append_n(&whole, body->data, body->len, err));
        *out = whole.len == n && memcmp(whole.data, text, n) == 0;
    }
done:
    bt_free(text);
    bt_str_deinit(&whole);
    return rc;
}

bt_status eval_details_write(eval_details *details, int64_t step, const bt_metrics *metrics,
                             const bt_train_values *values, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    json = BT_STR_INIT;
    bt_str    body = BT_STR_INIT;
    char     *path = NULL;
    bool      is_known = false;
    if (details == NULL) {
        return BT_OK;
    }
    const char *const mode = details->config.mode;
    BT_CHECK(find_vocabulary(details, err));
    BT_CHECK(put_body(&body, details, metrics, values, err));
    BT_CHECK(model_dir_file(details->config.folder, MODEL_DETAILS, &path, err));
    BT_CHECK(mode != NULL ? is_there(path, step, &body, &is_known, err) : BT_OK);
    if (!is_known) {
        BT_CHECK(put_head(&json, step, mode, err));
        BT_CHECK(bt_str_append_n(&json, body.data, body.len, err));
        BT_CHECK(bt_fs_replace(path, json.data, json.len, err));
    }
done:
    bt_str_deinit(&body);
    bt_str_deinit(&json);
    bt_free(path);
    return rc;
}

/* *step: of the evaluation; INT64_MAX: the file is damaged, and so goes as well. */
static bt_status read_step(const char *path, int64_t *step, bt_error *err) {
    char   *text = NULL;
    size_t  n = 0;
    json_t *root = NULL;
    *step = INT64_MAX;
    BT_TRY(bt_fs_read_all(path, FILE_MAX_BYTES, &text, &n, err));
    const bt_status     rc = bt_json_load(text, n, JSON_ALLOW_NUL, &root, NULL, err);
    const json_t *const number = json_object_get(root, "step");
    *step = json_is_integer(number) ? json_integer_value(number) : INT64_MAX;
    json_decref(root);
    bt_free(text);
    return rc;
}

bt_status eval_details_rewind(const char *folder, int64_t last_step, bt_error *err) {
    bt_status rc = BT_OK;
    char     *path = NULL;
    bool      is_there = false;
    int64_t   step = 0;
    BT_CHECK(model_dir_file(folder, MODEL_DETAILS, &path, err));
    BT_CHECK(bt_fs_look(path, &is_there, err));
    BT_CHECK(is_there ? read_step(path, &step, err) : BT_OK);
    BT_CHECK(is_there && step > last_step ? bt_fs_remove(path, err) : BT_OK);
done:
    bt_free(path);
    return rc;
}
