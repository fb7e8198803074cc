/* SPDX-License-Identifier: Apache-2.0
 *
 * README.md: the model card, with the header that Hugging Face's Hub reads: what the model does,
 * how it is used, its classes, what it was trained on, with which result, settings and program. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bt/base/json_text.h"
#include "bt/base/number.h"
#include "export_internal.h"

typedef struct card_row {
    const char *pipeline;
    const char *what;
    const char *load; /* by transformers */
} card_row;

#define LOAD(class)                                                                                \
    "from transformers import AutoTokenizer, " class "\n\n"                                        \
                                                     "tokenizer = "                                \
                                                     "AutoTokenizer.from_pretrained(\"FOLDER\")\n" \
                                                     "model = " class ".from_pretrained("          \
                                                                      "\"FOLDER\")\n"
#define CLASSIFY                                                                                   \
    LOAD("AutoModelForSequenceClassification")                                                     \
    "logits = model(**tokenizer(\"a text\", truncation=True, return_tensors=\"pt\")).logits\n"

static const card_row rows[] = {
    [BT_EXPORT_CLASSES] = {"text-classification", "It gives each text one of its classes.",
                           CLASSIFY "label = model.config.id2label[logits.argmax(-1).item()]"},
    [BT_EXPORT_LABELS] = {"text-classification",
                          "It says of each of its classes how likely it applies to a text; several "
                          "may.",
                          CLASSIFY "probabilities = logits.sigmoid()"},
    [BT_EXPORT_SCORE] = {"text-classification", "It gives each text a score.",
                         CLASSIFY "score = logits.item()"},
    [BT_EXPORT_TAGS] =
        {"token-classification",
         "It gives each word of a sentence a tag: that of the word's first token.",
         LOAD("AutoModelForTokenClassification") "words = [\"some\", \"words\"]\n"
                                                 "tokens = tokenizer(words, "
                                                 "is_split_into_words=True, truncation=True, "
                                                 "return_tensors=\"pt\")\n"
                                                 "tags = model(**tokens).logits.argmax(-1)  # "
                                                 "tokens.word_ids() says whose"},
    [BT_EXPORT_ANSWERS] =
        {"question-answering", "It finds the answer to a question in a text.",
         LOAD(
             "AutoModelForQuestionAnswering") "tokens = tokenizer(\"a "
                                              "question\", \"a text\", truncation=\"only_second\", "
                                              "return_tensors=\"pt\")\n"
                                              "output = model(**tokens)  # start_logits, "
                                              "end_logits"},
    [BT_EXPORT_VECTORS] =
        {"feature-extraction", "It turns a text into a vector.",
         LOAD("AutoModel") "states = model(**tokenizer(\"a text\", "
                           "truncation=True, return_tensors=\"pt\")).last_hidden_state"},
};

const char *export_pipeline(const bt_export_source *source) {
    return rows[source->kind].pipeline;
}

static bool is_usable(const bt_export_result *result) {
    return isfinite(result->value);
}

static size_t count_usable(const bt_export_source *source) {
    size_t n = 0;
    for (size_t i = 0; i < source->n_results; i++) {
        n += is_usable(&source->results[i]);
    }
    return n;
}

static const char *or_unknown(const char *text) {
    return text != NULL && text[0] != '\0' ? text : "not recorded";
}

/* The repository that the weights came from, where it is one of the Hub. */
static bt_status put_base(const char *from, bt_str *out, bt_error *err) {
    static const char scheme[] = "hf://";
    if (from == NULL || !bt_str_starts_with(from, scheme)) {
        return BT_OK;
    }
    const char *const name = from + strlen(scheme);
    const char *const slash = strchr(name, '/');
    const size_t      n = slash != NULL ? (size_t)(slash - name) + 1 + strcspn(slash + 1, "/@") : 0;
    return n == 0 ? BT_OK : bt_str_appendf(out, err, "base_model: %.*s\n", (int)n, name);
}

static bt_status put_results_header(const bt_export_source *source, const char *pipeline,
                                    bt_str *out, bt_error *err) {
    char number[BT_F64_TEXT_MAX];
    if (count_usable(source) == 0) {
        return BT_OK;
    }
    BT_TRY(bt_str_append(out, "model-index:\n- name: ", err));
    BT_TRY(bt_str_append_json(out, source->name, err));
    BT_TRY(bt_str_appendf(out, err,
                          "\n  results:\n  - task:\n      type: %s\n    dataset:\n"
                          "      name: validation data of the training\n      type: custom\n"
                          "    metrics:\n",
                          pipeline));
    for (size_t i = 0; i < source->n_results; i++) {
        const bt_export_result *const r = &source->results[i];
        if (is_usable(r)) {
            BT_TRY(bt_str_append(out, "    - type: ", err));
            BT_TRY(bt_str_append_json(out, r->name, err));
            BT_TRY(bt_str_appendf(out, err, "\n      value: %s\n",
                                  bt_f32_repr((float)r->value, number)));
        }
    }
    return BT_OK;
}

static bt_status put_header(const bt_export_source *source, const char *library, bt_str *out,
                            bt_error *err) {
    const bool        is_sentences = bt_str_equal(library, "sentence-transformers");
    const char *const pipeline = is_sentences ? "sentence-similarity" : rows[source->kind].pipeline;
    BT_TRY(bt_str_appendf(out, err, "---\nlibrary_name: %s\npipeline_tag: %s\ntags:\n- %s\n",
                          library, pipeline,
                          export_encoder(source) == BT_CKPT_ALBERT ? "albert" : "bert"));
    BT_TRY(bt_str_append(out, is_sentences ? "- sentence-transformers\n" : "", err));
    BT_TRY(bt_str_append(out, "- bert-train\n", err));
    BT_TRY(put_base(source->started_from, out, err));
    BT_TRY(put_results_header(source, pipeline, out, err));
    return bt_str_append(out, "---\n\n", err);
}

static bt_status put_classes(const bt_export_source *source, bt_str *out, bt_error *err) {
    if (source->labels == NULL || source->kind == BT_EXPORT_SCORE) {
        return BT_OK;
    }
    BT_TRY(bt_str_append(out, "\n## Classes\n\n", err));
    for (int64_t i = 0; i < source->model->head.num_classes; i++) {
        BT_TRY(bt_str_appendf(out, err, "%" PRId64 ". ", i));
        BT_TRY(bt_str_append_json(out, source->labels[i], err));
        BT_TRY(bt_str_append(out, "\n", err));
    }
    return BT_OK;
}

/* What an export does not do: it holds weights. */
static bt_status put_decision(const bt_export_source *source, bt_str *out, bt_error *err) {
    const bool is_class = source->kind == BT_EXPORT_CLASSES && source->model->head.num_classes == 2;
    if (source->kind == BT_EXPORT_LABELS) {
        BT_TRY(bt_str_appendf(out, err,
                              "\nThe training took a class to apply from a probability of %g on.\n",
                              source->threshold));
    }
    if (is_class && source->threshold > 0) {
        BT_TRY(bt_str_appendf(out, err,
                              "\nThe results below take class 1 from a probability of %g on. What "
                              "reads this model takes the larger one until it is told to do the "
                              "same.\n",
                              source->threshold));
    }
    if (source->temperature > 0 && fabs(source->temperature - 1) > 0) {
        BT_TRY(
            bt_str_appendf(out, err,
                           "\nThe training calibrated its probabilities: divide the logits by %g "
                           "before the softmax.\n",
                           source->temperature));
    }
    return BT_OK;
}

static bt_status put_results(const bt_export_source *source, bt_str *out, bt_error *err) {
    char number[BT_F64_TEXT_MAX];
    BT_TRY(bt_str_append(out, "\n## Results\n\n", err));
    if (source->n_results == 0) {
        return bt_str_append(out, "No evaluation of this checkpoint is recorded.\n", err);
    }
    BT_TRY(
        bt_str_append(out, "| on the validation data of the training | |\n| --- | --- |\n", err));
    for (size_t i = 0; i < source->n_results; i++) {
        BT_TRY(bt_str_appendf(out, err, "| %s | %s |\n", source->results[i].name,
                              bt_f32_repr((float)source->results[i].value, number)));
    }
    return BT_OK;
}

/* What the precision of the export costs. */
static bt_status put_costs(const bt_export_source *source, bt_str *out, bt_error *err) {
    if (source->n_costs == 0) {
        return BT_OK;
    }
    BT_TRY(bt_str_appendf(out, err,
                          "\nWith the weights in %s, and what they are multiplied with rounded "
                          "alike:\n\n| | float32 | %s |\n| --- | --- | --- |\n",
                          bt_export_precision_name(source->precision),
                          bt_export_precision_name(source->precision)));
    for (size_t i = 0; i < source->n_costs; i++) {
        char exact[BT_F64_TEXT_MAX];
        char rounded[BT_F64_TEXT_MAX];
        BT_TRY(bt_str_appendf(out, err, "| %s | %s | %s |\n", source->costs[i].name,
                              bt_f32_repr((float)source->costs[i].exact, exact),
                              bt_f32_repr((float)source->costs[i].rounded, rounded)));
    }
    return BT_OK;
}

static bt_status put_made(const bt_export_source *source, bt_str *out, bt_error *err) {
    BT_TRY(bt_str_appendf(
        out, err,
        "\n## How it was made\n\n"
        "Fine-tuned by bert-train %s as TensorFlow Model Garden does, experiment `%s`; exported "
        "from step %" PRId64 " (`%s`)%s.\n\n* Started from: %s\n* Trained on: %s\n",
        source->version, source->experiment, source->step, bt_fs_basename(source->checkpoint),
        source->are_averages ? ", the moving averages of the weights, which its evaluations use too"
                             : "",
        or_unknown(source->started_from), or_unknown(source->data)));
    return source->settings == NULL
               ? BT_OK
               : bt_str_appendf(out, err, "\nAll settings:\n\n```yaml\n%s```\n", source->settings);
}

static bt_status make_card(const bt_export_source *source, const char *library, const char *load,
                           bt_str *out, bt_error *err) {
    BT_TRY(put_header(source, library, out, err));
    BT_TRY(bt_str_appendf(out, err,
                          "# %s\n\n%s\n\n## Use\n\n```python\n%s\n```\n\n"
                          "Texts are cut at %" PRId64 " tokens, as in the training.\n",
                          source->name, rows[source->kind].what,
                          load != NULL ? load : rows[source->kind].load, source->text.max_length));
    BT_TRY(put_classes(source, out, err));
    BT_TRY(put_decision(source, out, err));
    BT_TRY(put_results(source, out, err));
    BT_TRY(put_costs(source, out, err));
    return put_made(source, out, err);
}

bt_status export_put_card(const bt_export_source *source, const char *library, const char *load,
                          bt_export_folder *folder, bt_error *err) {
    bt_str    text = BT_STR_INIT;
    bt_status rc = make_card(source, library, load, &text, err);
    if (rc == BT_OK) {
        rc = export_folder_put(folder, "README.md", &text, err);
    }
    bt_str_deinit(&text);
    return rc;
}
