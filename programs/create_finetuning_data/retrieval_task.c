/* SPDX-License-Identifier: Apache-2.0
 *
 * Sentence retrieval: BUCC and Tatoeba (docs/model_garden/data.md section 1, "Retrieval"). Of every
 * language pair each side is a file of records without label; example_id tells which sentence it
 * is. The output paths are folders. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/number.h"
#include "data_task.h"
#include "tsv_reader.h"

const char *const retrieval_bucc_languages[] = {"de", "fr", "ru", "zh", NULL};
const char *const retrieval_tatoeba_languages[] = {
    "af", "ar", "bg", "bn", "de", "el", "es", "et", "eu", "fa", "fi", "fr", "he",
    "hi", "hu", "id", "it", "ja", "jv", "ka", "kk", "ko", "ml", "mr", "nl", "pt",
    "ru", "sw", "ta", "te", "th", "tl", "tr", "ur", "vi", "zh", NULL};

struct retrieval_config {
    const char *stage[DATA_N_SPLITS]; /* ".dev" in the inputs' names; NULL: no such split */
    bool        has_ids;              /* column 1 is "de-000012", the text column 2 */
};
const retrieval_config retrieval_bucc = {.stage = {NULL, ".dev", ".test"}, .has_ids = true};
const retrieval_config retrieval_tatoeba = {.stage = {NULL, NULL, ""}};

typedef struct retrieval_source {
    const retrieval_config *config;
    tsv_reader             *reader;
} retrieval_source;

/* The number between the first and the second '-'. */
static bt_status read_id(const retrieval_source *s, const tsv_field *field, int64_t *id,
                         bt_error *err) {
    enum { ID_MAX_BYTES = 32 };
    char              text[ID_MAX_BYTES];
    const char *const dash = memchr(field->text, '-', field->n);
    if (dash != NULL) {
        const char *const start = dash + 1;
        const size_t      left = field->n - (size_t)(start - field->text);
        const char *const second = memchr(start, '-', left);
        const size_t      n = second == NULL ? left : (size_t)(second - start);
        if (n < sizeof text) {
            memcpy(text, start, n);
            text[n] = '\0';
            if (bt_parse_i64(text, id)) {
                return BT_OK;
            }
        }
    }
    return BT_FAIL(err, BT_E_FORMAT,
                   "%s:%" PRId64
                   ": '%.*s' is not an id of a sentence; expected LANGUAGE-NUMBER, e.g. "
                   "de-000012",
                   tsv_path(s->reader), tsv_line(s->reader), (int)(field->n < 64 ? field->n : 64),
                   field->text);
}

static bt_status next_row(void *state, example_row *row, bool *end, bt_error *err) {
    retrieval_source *const s = state;
    const size_t            text_column = s->config->has_ids ? 1 : 0;
    const tsv_field        *fields = NULL;
    size_t                  n_fields = 0;
    BT_TRY(tsv_next(s->reader, &fields, &n_fields, end, err));
    if (*end) {
        return BT_OK;
    }
    if (n_fields <= text_column) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s:%" PRId64 ": expected %zu tab separated column%s, got %zu",
                       tsv_path(s->reader), tsv_line(s->reader), text_column + 1,
                       text_column == 0 ? "" : "s (id, text)", n_fields);
    }
    row->a = fields[text_column].text;
    row->n_a = fields[text_column].n;
    return s->config->has_ids ? read_id(s, &fields[0], &row->id, err) : BT_OK;
}

static void close_source(void *state) {
    retrieval_source *const s = state;
    tsv_close(s->reader);
    bt_free(s);
}

static bt_status open_source(const data_job *job, const data_part *part, const void *context,
                             example_source *out, bt_error *err) {
    retrieval_source *const s = bt_calloc_array(1, sizeof *s);
    (void)job;
    if (s == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the input");
    }
    s->config = context;
    const bt_status rc = tsv_open(&s->reader, part->inputs[0], TSV_DROPS_CR, err);
    if (rc != BT_OK) {
        close_source(s);
        return rc;
    }
    *out = (example_source){.state = s, .next = next_row, .close = close_source};
    return BT_OK;
}

/* language and side: "de-en" and "de" or "en". */
static bt_status add_side(data_job *job, const retrieval_config *config, int split,
                          const char *language, const char *side, bt_error *err) {
    bt_status  rc = BT_OK;
    data_part *part = NULL;
    bt_str     input = BT_STR_INIT;
    bt_str     output = BT_STR_INIT;
    bt_str     name = BT_STR_INIT; /* as in the meta data */
    char      *path = NULL;
    BT_CHECK(bt_str_appendf(&input, err, "%s-en%s.%s", language, config->stage[split], side));
    BT_CHECK(bt_str_appendf(&output, err, "%s-en-%s.%s.tfrecords", language, side,
                            split == DATA_EVAL ? "dev" : "test"));
    BT_CHECK(bt_str_appendf(&name, err, "%s-en.%s", language, side));
    BT_CHECK(bt_fs_join(job->paths[split], bt_str_text(&output), &path, err));
    BT_CHECK(data_add_part_at(job, split, bt_str_text(&name), path, &part, err));
    rc = data_add_input(part, job->input_dir, bt_str_text(&input), NULL, err);
done:
    bt_free(path);
    bt_str_deinit(&input);
    bt_str_deinit(&output);
    bt_str_deinit(&name);
    return rc;
}

static bt_status add_language(data_job *job, const retrieval_config *config, const char *language,
                              bt_error *err) {
    const char *const sides[] = {language, "en"};
    for (size_t i = 0; i < BT_ARRAY_LEN(sides); i++) {
        for (int split = DATA_EVAL; split <= DATA_TEST; split++) {
            if (job->paths[split] != NULL) {
                BT_TRY(add_side(job, config, split, language, sides[i], err));
            }
        }
    }
    return BT_OK;
}

static bt_status put_sizes(const data_job *job, int split, const char *key, meta_data *meta,
                           bt_error *err) {
    BT_TRY(meta_open_map(meta, key, err));
    for (size_t i = 0; i < job->n_parts; i++) {
        if (job->parts[i].split == split) {
            BT_TRY(meta_put_int(meta, job->parts[i].language, job->parts[i].n_records, err));
        }
    }
    return meta_close(meta, err);
}

static bt_status put_meta(const data_job *job, const data_task *task, meta_data *meta,
                          bt_error *err) {
    BT_TRY(meta_open_map(meta, NULL, err));
    BT_TRY(meta_put_text(meta, "processor_type", task->processor, err));
    BT_TRY(meta_put_int(meta, "max_seq_length", job->max_seq_length, err));
    BT_TRY(put_sizes(job, DATA_EVAL, "number_eval_data", meta, err));
    BT_TRY(put_sizes(job, DATA_TEST, "number_test_data", meta, err));
    return meta_close(meta, err);
}

bt_status run_retrieval(data_job *job, const data_task *task, meta_data *meta, bt_error *err) {
    const retrieval_config *const config = task->config;
    const example_settings        settings = {.convert = convert_text, .label = EXAMPLE_LABEL_NONE};
    BT_TRY(data_require_output(job, 1U << DATA_EVAL | 1U << DATA_TEST, err));
    BT_TRY(data_require_input_dir(job, task, "de-en.de, de-en.en and the like", err));
    if (job->paths[DATA_TRAIN] != NULL) {
        bt_log(BT_LOG_WARNING, "%s has no training data: nothing is written to %s", task->name,
               job->paths[DATA_TRAIN]);
    }
    if (job->paths[DATA_EVAL] != NULL && config->stage[DATA_EVAL] == NULL) {
        return BT_FAIL(err, BT_E_CONFIG, "%s has test data only: leave out --eval_data_output_path",
                       task->name);
    }
    for (size_t i = 0; task->languages[i] != NULL; i++) {
        if (data_uses_language(job, task->languages[i])) {
            BT_TRY(add_language(job, config, task->languages[i], err));
        }
    }
    BT_TRY(data_write_parts(job, &settings, open_source, config, err));
    return put_meta(job, task, meta, err);
}
