/* SPDX-License-Identifier: Apache-2.0
 *
 * Adapters alone, as PEFT loads them over a model of transformers: what was trained, and what it
 * belongs to. The targets are a pattern, because names that end alike ("output.dense") would be
 * taken for each other. The scale is written as it acts, whatever it was made of. */
#include <inttypes.h>
#include <stdio.h>

#include "bt/base/alloc.h"
#include "bt/base/json_text.h"
#include "bt/base/number.h"
#include "export_internal.h"

enum { NAME_BYTES = BT_CKPT_HF_NAME_MAX + 32 };

static const char *const target_patterns[BT_N_LORA_TARGETS] = {
    [BT_LORA_QUERY] = "attention\\\\.self\\\\.query",
    [BT_LORA_KEY] = "attention\\\\.self\\\\.key",
    [BT_LORA_VALUE] = "attention\\\\.self\\\\.value",
    [BT_LORA_ATTENTION_OUTPUT] = "attention\\\\.output\\\\.dense",
    [BT_LORA_INTERMEDIATE] = "intermediate\\\\.dense",
    [BT_LORA_OUTPUT] = "output\\\\.dense",
};

/* base: the model that the run started from, as a class of transformers for the task. */
static const char load_lines[] = "from peft import PeftModel\n\n"
                                 "model = PeftModel.from_pretrained(base, \".\")\n";

static const char *task_type(const bt_export_source *source) {
    switch (source->kind) {
    case BT_EXPORT_CLASSES:
    case BT_EXPORT_LABELS:
    case BT_EXPORT_SCORE:
        return "SEQ_CLS";
    case BT_EXPORT_TAGS:
        return "TOKEN_CLS";
    case BT_EXPORT_ANSWERS:
        return "QUESTION_ANS";
    case BT_EXPORT_VECTORS:
        return "FEATURE_EXTRACTION";
    }
    return "FEATURE_EXTRACTION";
}

static bt_status check(const bt_export_source *source, bt_error *err) {
    if (source->model->encoder.lora.rank == 0) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--export_format=peft is for models that were trained with adapters "
                       "(task.model.lora): take --export_format=hf");
    }
    return export_check_hf(source, err);
}

/* Adapters, and what else was trained. */
static bool is_kept(const bt_param *param) {
    return param->has_gradient;
}

typedef struct kept {
    int64_t     *indices;
    const char **names;
    char (*text)[NAME_BYTES];
    size_t n;
} kept;

static void kept_deinit(kept *k) {
    bt_free(k->indices);
    bt_free(k->names);
    bt_free(k->text);
}

static bt_status find_kept(const bt_export_source *source, kept *k, bt_error *err) {
    const bt_param_table *const table = &source->model->table;
    export_tensors              one = {.n = 0};
    bt_status                   rc = BT_OK;
    k->indices = bt_calloc_array((size_t)table->n_params, sizeof *k->indices);
    k->names = bt_calloc_array((size_t)table->n_params, sizeof *k->names);
    k->text = bt_calloc_array((size_t)table->n_params, sizeof *k->text);
    if (k->indices == NULL || k->names == NULL || k->text == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the names of adapters");
    }
    for (int64_t i = 0; i < table->n_params; i++) {
        if (is_kept(&table->params[i])) {
            BT_CHECK(export_tensors_add(source, i, &one, err));
            (void)snprintf(k->text[k->n], NAME_BYTES, "base_model.model.%s",
                           one.items[one.n - 1].name);
            k->names[k->n] = k->text[k->n];
            k->indices[k->n++] = i;
        }
    }
done:
    export_tensors_deinit(&one);
    return rc;
}

static bt_status put_adapters(const bt_export_source *source, bt_export_folder *folder,
                              bt_error *err) {
    kept      k = {.n = 0};
    bt_status rc = find_kept(source, &k, err);
    if (rc == BT_OK) {
        rc = export_put_some(source, "adapter_model.safetensors", k.indices, k.names, k.n, folder,
                             err);
    }
    kept_deinit(&k);
    return rc;
}

static bt_status append_modules(const bt_export_source *source, bt_str *out, bt_error *err) {
    const bt_model *const model = source->model;
    const bool has_pooler = model->head_pooler.kernel >= 0 || bt_model_reads_pooler(&model->head);
    const char *const head = source->kind == BT_EXPORT_ANSWERS   ? "qa_outputs"
                             : source->kind == BT_EXPORT_VECTORS ? NULL
                                                                 : "classifier";
    if (head == NULL && !has_pooler) {
        return bt_str_append(out, "null", err);
    }
    return bt_str_appendf(out, err, "[%s%s%s%s%s]", head != NULL ? "\"" : "",
                          head != NULL ? head : "", head != NULL ? "\"" : "",
                          head != NULL && has_pooler ? ", " : "", has_pooler ? "\"pooler\"" : "");
}

static bt_status append_config(const bt_export_source *source, bt_str *out, bt_error *err) {
    const bt_lora_config *const lora = &source->model->encoder.lora;
    char                        number[BT_F64_TEXT_MAX];
    bool                        is_first = true;
    BT_TRY(bt_str_append(out, "{\n  \"base_model_name_or_path\": ", err));
    BT_TRY(source->started_from != NULL && source->started_from[0] != '\0'
               ? bt_str_append_json(out, source->started_from, err)
               : bt_str_append(out, "null", err));
    BT_TRY(bt_str_appendf(out, err,
                          ",\n  \"bias\": \"none\",\n  \"fan_in_fan_out\": false,\n"
                          "  \"inference_mode\": true,\n  \"lora_alpha\": %s,\n",
                          bt_f64_repr((double)lora->scale * (double)lora->rank, number)));
    BT_TRY(bt_str_appendf(out, err, "  \"lora_dropout\": %s,\n  \"modules_to_save\": ",
                          bt_f32_repr(lora->dropout_rate, number)));
    BT_TRY(append_modules(source, out, err));
    BT_TRY(bt_str_appendf(out, err,
                          ",\n  \"peft_type\": \"LORA\",\n  \"r\": %" PRId64
                          ",\n  \"target_modules\": \".*layer\\\\.\\\\d+\\\\.(",
                          lora->rank));
    for (int t = 0; t < BT_N_LORA_TARGETS; t++) {
        if (lora->has[t]) {
            BT_TRY(bt_str_appendf(out, err, "%s%s", is_first ? "" : "|", target_patterns[t]));
            is_first = false;
        }
    }
    return bt_str_appendf(out, err,
                          ")\",\n  \"task_type\": \"%s\",\n  \"use_dora\": false,\n"
                          "  \"use_rslora\": false\n}\n",
                          task_type(source));
}

static bt_status write(const bt_export_source *source, bt_export_folder *folder, bt_error *err) {
    bt_str    text = BT_STR_INIT;
    bt_status rc = BT_OK;
    BT_CHECK(put_adapters(source, folder, err));
    BT_CHECK(export_put_tokenizer(source, folder, err));
    BT_CHECK(export_put_card(source, "peft", load_lines, folder, err));
    BT_CHECK(append_config(source, &text, err));
    BT_CHECK(export_folder_put(folder, "adapter_config.json", &text, err));
done:
    bt_str_deinit(&text);
    return rc;
}

const bt_export_format export_peft = {
    .name = "peft",
    .summary = "adapters alone, for PEFT over the model that they were trained on",
    .keeps_adapters = true,
    .check = check,
    .write = write,
};
