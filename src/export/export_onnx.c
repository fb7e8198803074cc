/* SPDX-License-Identifier: Apache-2.0
 *
 * The format onnx: model.onnx with what it says of itself, and beside it what the hf export writes
 * for people and tokenizers, so that Optimum, or a program with nothing but onnxruntime and
 * tokenizers, serves the folder. */
#include <inttypes.h>

#include "bt/base/alloc.h"
#include "bt/base/json_text.h"
#include "bt/base/log.h"
#include "bt/base/number.h"
#include "export_internal.h"
#include "onnx_internal.h"

static const char load[] =
    "import numpy as np\n"
    "import onnxruntime\n"
    "from tokenizers import Tokenizer\n\n"
    "tokenizer = Tokenizer.from_file(\"FOLDER/tokenizer.json\")\n"
    "tokenizer.enable_padding()\n"
    "session = onnxruntime.InferenceSession(\"FOLDER/model.onnx\")\n"
    "tokens = tokenizer.encode_batch([\"a text\", \"another, longer text\"])\n"
    "feed = {\"input_ids\": np.array([t.ids for t in tokens], np.int64),\n"
    "        \"attention_mask\": np.array([t.attention_mask for t in tokens], np.int64),\n"
    "        \"token_type_ids\": np.array([t.type_ids for t in tokens], np.int64)}\n"
    "outputs = dict(zip([o.name for o in session.get_outputs()], session.run(None, feed)))";

enum { MOST_FACTS = 12 };

/* metadata_props: keys and values in turn. */
typedef struct fact_list {
    const char *pairs[2 * MOST_FACTS];
    size_t      n;
    bt_str      labels, step, length, threshold, evaluation, made_by;
} fact_list;

static void add_fact(fact_list *facts, const char *key, const char *value) {
    BT_ASSERT(facts->n < MOST_FACTS);
    facts->pairs[2 * facts->n] = key;
    facts->pairs[2 * facts->n + 1] = value;
    facts->n++;
}

static bt_status list_labels(const bt_export_source *source, bt_str *out, bt_error *err) {
    for (int64_t i = 0; i < source->model->head.num_classes; i++) {
        BT_TRY(bt_str_append(out, i == 0 ? "[" : ", ", err));
        BT_TRY(bt_str_append_json(out, source->labels[i], err));
    }
    return bt_str_append(out, "]", err);
}

/* {"float32": {"cls_accuracy": 0.9}, "int8": {"cls_accuracy": 0.89}} */
static bt_status list_costs(const bt_export_source *source, bt_str *out, bt_error *err) {
    const char *const names[] = {"float32", bt_export_precision_name(source->precision)};
    for (int side = 0; side < 2; side++) {
        BT_TRY(bt_str_appendf(out, err, "%s\"%s\": {", side == 0 ? "{" : "}, ", names[side]));
        for (size_t i = 0; i < source->n_costs; i++) {
            const bt_export_cost *const c = &source->costs[i];
            char                        number[BT_F64_TEXT_MAX];
            const float                 value = (float)(side == 0 ? c->exact : c->rounded);
            BT_TRY(bt_str_appendf(out, err, "%s\"%s\": %s", i == 0 ? "" : ", ", c->name,
                                  bt_f32_repr(value, number)));
        }
    }
    return bt_str_append(out, "}}", err);
}

static bt_status make_facts(const bt_export_source *source, fact_list *facts, bt_error *err) {
    add_fact(facts, "task", export_pipeline(source));
    if (source->labels != NULL && source->kind != BT_EXPORT_SCORE) {
        BT_TRY(list_labels(source, &facts->labels, err));
        add_fact(facts, "labels", bt_str_text(&facts->labels));
    }
    if (source->kind == BT_EXPORT_LABELS) {
        BT_TRY(bt_str_appendf(&facts->threshold, err, "%g", source->threshold));
        add_fact(facts, "threshold", bt_str_text(&facts->threshold));
    }
    BT_TRY(bt_str_appendf(&facts->length, err, "%" PRId64, source->text.max_length));
    add_fact(facts, "max_length", bt_str_text(&facts->length));
    add_fact(facts, "precision", bt_export_precision_name(source->precision));
    if (source->n_costs > 0) {
        BT_TRY(list_costs(source, &facts->evaluation, err));
        add_fact(facts, "evaluation", bt_str_text(&facts->evaluation));
    }
    BT_TRY(bt_str_appendf(&facts->made_by, err, "bert-train %s", source->version));
    BT_TRY(bt_str_appendf(&facts->step, err, "%" PRId64, source->step));
    add_fact(facts, "made_by", bt_str_text(&facts->made_by));
    add_fact(facts, "experiment", source->experiment);
    add_fact(facts, "checkpoint", bt_fs_basename(source->checkpoint));
    add_fact(facts, "step", bt_str_text(&facts->step));
    add_fact(facts, "weights", source->are_averages ? "moving averages" : "as trained");
    return BT_OK;
}

static void facts_deinit(fact_list *facts) {
    bt_str_deinit(&facts->labels);
    bt_str_deinit(&facts->step);
    bt_str_deinit(&facts->length);
    bt_str_deinit(&facts->threshold);
    bt_str_deinit(&facts->evaluation);
    bt_str_deinit(&facts->made_by);
}

onnx_source export_onnx_source(const bt_export_source *source) {
    return (onnx_source){.model = source->model,
                         .values = source->params,
                         .precision = source->precision,
                         .version = source->version};
}

static bt_status put_model(const bt_export_source *source, bt_export_folder *folder,
                           bt_error *err) {
    bt_status   rc = BT_OK;
    char       *path = NULL;
    char       *data_path = NULL;
    onnx_source from = export_onnx_source(source);
    onnx_files  files = {NULL, NULL};
    fact_list   facts = {.labels = BT_STR_INIT,
                         .step = BT_STR_INIT,
                         .length = BT_STR_INIT,
                         .threshold = BT_STR_INIT,
                         .evaluation = BT_STR_INIT,
                         .made_by = BT_STR_INIT};
    BT_CHECK(make_facts(source, &facts, err));
    from.facts = facts.pairs;
    from.n_facts = facts.n;
    BT_CHECK(export_folder_place(folder, "model.onnx", &path, err));
    BT_CHECK(export_folder_place(folder, "model.onnx_data", &data_path, err));
    BT_CHECK(onnx_write(&from, path, data_path, &files, err));
    if (files.data != NULL) {
        export_folder_take(folder, &files.data);
    }
    export_folder_take(folder, &files.graph);
done:
    bt_free(path);
    bt_free(data_path);
    facts_deinit(&facts);
    return rc;
}

bt_status export_put_config_if_any(const bt_export_source *source, bt_export_folder *folder,
                                   bt_error *err) {
    bt_error why = BT_ERROR_INIT;
    if (export_check_hf(source, &why) == BT_OK) {
        return export_put_config(source, folder, err);
    }
    bt_log(BT_LOG_INFO, "config.json is left out: %s", why.msg);
    return BT_OK;
}

/* Every model that can be trained can be written down; not every number in every precision. */
static bt_status check(const bt_export_source *source, bt_error *err) {
    const onnx_source from = export_onnx_source(source);
    onnx_sizes        ignored;
    return source->params != NULL ? onnx_measure(&from, &ignored, err) : BT_OK;
}

static bt_status write(const bt_export_source *source, bt_export_folder *folder, bt_error *err) {
    BT_TRY(put_model(source, folder, err));
    BT_TRY(export_put_tokenizer(source, folder, err));
    BT_TRY(export_put_card(source, "onnx", load, folder, err));
    return export_put_config_if_any(source, folder, err);
}

const bt_export_format export_onnx = {
    .name = "onnx",
    .summary = "model.onnx for ONNX Runtime, with tokenizer, config.json and model card",
    .has_precisions = true,
    .check = check,
    .write = write,
};
