/* SPDX-License-Identifier: Apache-2.0
 *
 * The cross-lingual classification tasks, PAWS-X and XNLI, in their own layout and in XTREME's
 * (docs/model_garden/data.md section 1, "TSV-reading processors"): several files a split, test
 * records a language. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "data_task.h"
#include "tsv_reader.h"

enum { MAX_CLASSES = 4, NO_COLUMN = -1, NO_LABEL_COLUMN = -1 };

const char *const xlang_pawsx_languages[] = {"de", "en", "es", "fr", "ja", "ko", "zh", NULL};
const char *const xlang_xnli_languages[] = {"ar", "bg", "de", "el", "en", "es", "fr", "hi",
                                            "ru", "sw", "th", "tr", "ur", "vi", "zh", NULL};

typedef struct xlang_layout {
    int  a; /* columns */
    int  b;
    int  label;    /* NO_LABEL_COLUMN: every row has label 0 */
    int  language; /* NO_COLUMN: all rows of the file are of one */
    bool has_header;
} xlang_layout;

/* Which languages' files a split is made of. */
typedef enum xlang_scope {
    XLANG_ENGLISH, /* one file */
    XLANG_FLAG,    /* those that the task's own flag names */
    XLANG_ALL,
} xlang_scope;

typedef struct xlang_files {
    const char  *name; /* {} is the language */
    const char  *english_name;
    xlang_layout layout;
    xlang_scope  scope; /* of train and dev; test has a part for every language */
} xlang_files;

struct xlang_config {
    const char *classes[MAX_CLASSES];
    const char *language_flag; /* --pawsx_language; NULL: none */
    bool        is_xtreme;     /* --translated_input_data_dir and --only_use_en_dev count */
    xlang_files files[DATA_N_SPLITS];
};

#define PAIR_CLASSES                                                                               \
    { "0", "1" }
#define NLI_CLASSES                                                                                \
    { "contradiction", "entailment", "neutral" }

const xlang_config xlang_pawsx = {
    .classes = PAIR_CLASSES,
    .language_flag = "pawsx_language",
    .files = {{"{}/translated_train.tsv", "en/train.tsv", {1, 2, 3, NO_COLUMN, true}, XLANG_FLAG},
              {"{}/dev_2k.tsv", "en/dev_2k.tsv", {1, 2, 3, NO_COLUMN, true}, XLANG_ALL},
              {"{}/test_2k.tsv", "en/test_2k.tsv", {1, 2, 3, NO_COLUMN, true}, XLANG_ALL}}};
const xlang_config xlang_xnli = {
    .classes = NLI_CLASSES,
    .language_flag = "xnli_language",
    .files = {{"multinli/multinli.train.{}.tsv",
               "multinli/multinli.train.en.tsv",
               {0, 1, 2, NO_COLUMN, true},
               XLANG_FLAG},
              {"xnli.dev.tsv", "xnli.dev.tsv", {6, 7, 1, 0, true}, XLANG_ENGLISH},
              {"xnli.test.tsv", "xnli.test.tsv", {6, 7, 1, 0, true}, XLANG_ALL}}};
#define XTREME_FILES                                                                               \
    {                                                                                              \
        {"train-{}.tsv", "train-en.tsv", {0, 1, 2, NO_COLUMN, false}, XLANG_ENGLISH},              \
            {"dev-{}.tsv", "dev-en.tsv", {0, 1, 2, NO_COLUMN, false}, XLANG_ENGLISH}, {            \
            "test-{}.tsv", "test-en.tsv", {0, 1, NO_LABEL_COLUMN, NO_COLUMN, false}, XLANG_ALL     \
        }                                                                                          \
    }
const xlang_config xlang_xtreme_pawsx = {
    .classes = PAIR_CLASSES, .is_xtreme = true, .files = XTREME_FILES};
const xlang_config xlang_xtreme_xnli = {
    .classes = NLI_CLASSES, .is_xtreme = true, .files = XTREME_FILES};

/* XTREME's translations, below --translated_input_data_dir. */
static const xlang_layout translated_train_layout = {2, 3, 4, NO_COLUMN, false};
static const xlang_layout translated_test_layout = {2, 3, NO_LABEL_COLUMN, NO_COLUMN, false};
static const char         translated_train_name[] = "translate-train/en-{}-translated.tsv";
static const char         translated_test_name[] = "translate-test/test-{}-en-translated.tsv";

typedef struct xlang_run {
    const xlang_config *config;
    const data_task    *task;
    const char         *translated_dir; /* NULL: not given, or not for this task */
} xlang_run;

typedef struct xlang_source {
    const xlang_run    *run;
    const xlang_layout *layout;
    const data_job     *job;
    const data_part    *part;
    size_t              next_input;
    tsv_reader         *reader;
} xlang_source;

static bool field_is(const tsv_field *field, const char *text) {
    return strlen(text) == field->n && memcmp(field->text, text, field->n) == 0;
}

static bt_status read_label(const xlang_source *s, const tsv_field *field, int64_t *label,
                            bt_error *err) {
    const xlang_config *const config = s->run->config;
    bt_str                    list = BT_STR_INIT;
    bt_status                 rc = BT_OK;
    int64_t                   n = 0;
    for (; n < MAX_CLASSES && config->classes[n] != NULL; n++) {
        if (field_is(field, config->classes[n])) {
            *label = n;
            return BT_OK;
        }
    }
    if (n == 3 && field_is(field, "contradictory")) { /* so spelt in translated MultiNLI */
        *label = 0;
        return BT_OK;
    }
    for (int64_t i = 0; i < n; i++) {
        BT_CHECK(bt_str_appendf(&list, err, "%s%s", i == 0 ? "" : ", ", config->classes[i]));
    }
    rc = BT_FAIL(err, BT_E_FORMAT, "%s:%" PRId64 ": unknown label '%.*s'; expected %s",
                 tsv_path(s->reader), tsv_line(s->reader), (int)(field->n < 64 ? field->n : 64),
                 field->text, bt_str_text(&list));
done:
    bt_str_deinit(&list);
    return rc;
}

/* Is the row of the part's language, in a file that holds several? Dev takes all of them. */
static bt_status is_wanted(const xlang_source *s, const tsv_field *fields, bool *wanted,
                           bt_error *err) {
    *wanted = true;
    if (s->layout->language == NO_COLUMN) {
        return BT_OK;
    }
    const tsv_field *const   field = &fields[s->layout->language];
    const char *const *const languages = s->run->task->languages;
    for (size_t i = 0; languages[i] != NULL; i++) {
        if (field_is(field, languages[i])) {
            *wanted = s->part->language == NULL ? data_uses_language(s->job, languages[i])
                                                : bt_str_equal(s->part->language, languages[i]);
            return BT_OK;
        }
    }
    return BT_FAIL(err, BT_E_FORMAT, "%s:%" PRId64 ": unknown language '%.*s' in column %d",
                   tsv_path(s->reader), tsv_line(s->reader), (int)(field->n < 64 ? field->n : 64),
                   field->text, s->layout->language + 1);
}

static size_t count_needed(const xlang_layout *layout) {
    const int columns[] = {layout->a, layout->b, layout->label, layout->language};
    int       largest = 0;
    for (size_t i = 0; i < BT_ARRAY_LEN(columns); i++) {
        largest = columns[i] > largest ? columns[i] : largest;
    }
    return (size_t)largest + 1;
}

static bt_status open_next_input(xlang_source *s, bt_error *err) {
    const tsv_field *ignored = NULL;
    size_t           n_ignored = 0;
    bool             end = false;
    tsv_close(s->reader);
    s->reader = NULL;
    BT_TRY(tsv_open(&s->reader, s->part->inputs[s->next_input], TSV_DROPS_CR, err));
    s->next_input++;
    return s->layout->has_header ? tsv_next(s->reader, &ignored, &n_ignored, &end, err) : BT_OK;
}

static bt_status next_row(void *state, example_row *row, bool *end, bt_error *err) {
    xlang_source *const       s = state;
    const xlang_layout *const layout = s->layout;
    const size_t              n_needed = count_needed(layout);
    for (;;) {
        const tsv_field *fields = NULL;
        size_t           n_fields = 0;
        bool             wanted = false;
        BT_TRY(tsv_next(s->reader, &fields, &n_fields, end, err));
        if (*end && s->next_input == s->part->n_inputs) {
            return BT_OK;
        }
        if (*end) {
            BT_TRY(open_next_input(s, err));
            continue;
        }
        if (n_fields < n_needed) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "%s:%" PRId64 ": expected at least %zu tab separated columns, got %zu",
                           tsv_path(s->reader), tsv_line(s->reader), n_needed, n_fields);
        }
        BT_TRY(is_wanted(s, fields, &wanted, err));
        if (!wanted) {
            continue;
        }
        row->a = fields[layout->a].text;
        row->n_a = fields[layout->a].n;
        row->b = fields[layout->b].text;
        row->n_b = fields[layout->b].n;
        return layout->label == NO_LABEL_COLUMN
                   ? BT_OK
                   : read_label(s, &fields[layout->label], &row->label, err);
    }
}

static void close_source(void *state) {
    xlang_source *const s = state;
    tsv_close(s->reader);
    bt_free(s);
}

static const xlang_layout *find_layout(const xlang_run *run, const data_part *part) {
    if (part->split == DATA_TRAIN && run->translated_dir != NULL) {
        return &translated_train_layout;
    }
    if (part->split == DATA_TEST && bt_str_ends_with(part->language, "-en")) {
        return &translated_test_layout;
    }
    return &run->config->files[part->split].layout;
}

static bt_status open_source(const data_job *job, const data_part *part, const void *context,
                             example_source *out, bt_error *err) {
    xlang_source *const s = bt_calloc_array(1, sizeof *s);
    if (s == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the input");
    }
    s->run = context;
    s->layout = find_layout(s->run, part);
    s->job = job;
    s->part = part;
    const bt_status rc = open_next_input(s, err);
    if (rc != BT_OK) {
        close_source(s);
        return rc;
    }
    *out = (example_source){.state = s, .next = next_row, .close = close_source};
    return BT_OK;
}

static const char *file_name(const xlang_files *files, const char *language) {
    return bt_str_equal(language, "en") ? files->english_name : files->name;
}

/* Does a train or dev split take this language's file? */
static bool takes_language(const data_job *job, const xlang_run *run, int split,
                           const char *language) {
    const xlang_files *const files = &run->config->files[split];
    if (files->scope == XLANG_FLAG) {
        const char *const named = bt_flags_string(job->flags, run->config->language_flag);
        return bt_str_equal(named, "all") ? data_uses_language(job, language)
                                          : bt_str_equal(named, language);
    }
    const bool takes_all =
        files->scope == XLANG_ALL || (run->config->is_xtreme && split == DATA_EVAL &&
                                      !bt_flags_bool(job->flags, "only_use_en_dev"));
    return takes_all ? data_uses_language(job, language) : bt_str_equal(language, "en");
}

static bt_status add_train_or_dev(data_job *job, const xlang_run *run, int split, bt_error *err) {
    const bool  is_translated = split == DATA_TRAIN && run->translated_dir != NULL;
    data_part  *part = NULL;
    const char *language = NULL;
    BT_TRY(data_add_part(job, split, NULL, &part, err));
    for (size_t i = 0; (language = run->task->languages[i]) != NULL; i++) {
        if (is_translated && data_uses_language(job, language)) {
            BT_TRY(data_add_input(part, run->translated_dir, translated_train_name, language, err));
        } else if (!is_translated && takes_language(job, run, split, language)) {
            BT_TRY(data_add_input(part, job->input_dir,
                                  file_name(&run->config->files[split], language), language, err));
        }
    }
    return BT_OK;
}

static bt_status add_translated_test(data_job *job, const xlang_run *run, const char *language,
                                     bt_error *err) {
    bt_str     key = BT_STR_INIT;
    bt_status  rc = BT_OK;
    data_part *part = NULL;
    BT_CHECK(bt_str_appendf(&key, err, "%s-en", language));
    BT_CHECK(data_add_part(job, DATA_TEST, bt_str_text(&key), &part, err));
    rc = data_add_input(part, run->translated_dir, translated_test_name, language, err);
done:
    bt_str_deinit(&key);
    return rc;
}

static bt_status add_tests(data_job *job, const xlang_run *run, bt_error *err) {
    const xlang_files *const files = &run->config->files[DATA_TEST];
    const char              *language = NULL;
    for (size_t i = 0; (language = run->task->languages[i]) != NULL; i++) {
        data_part *part = NULL;
        if (data_uses_language(job, language)) {
            BT_TRY(data_add_part(job, DATA_TEST, language, &part, err));
            BT_TRY(data_add_input(part, job->input_dir, file_name(files, language), language, err));
        }
    }
    for (size_t i = 0; (language = run->task->languages[i]) != NULL; i++) {
        if (run->translated_dir != NULL && !bt_str_equal(language, "en") &&
            data_uses_language(job, language)) {
            BT_TRY(add_translated_test(job, run, language, err));
        }
    }
    return BT_OK;
}

static bt_status check_language_flag(const data_job *job, const xlang_run *run, bt_error *err) {
    bt_str            list = BT_STR_INIT;
    bt_status         rc = BT_OK;
    const char *const flag = run->config->language_flag;
    const char *const named = flag == NULL ? NULL : bt_flags_string(job->flags, flag);
    if (flag == NULL || bt_str_equal(named, "all")) {
        return BT_OK;
    }
    for (size_t i = 0; run->task->languages[i] != NULL; i++) {
        if (bt_str_equal(run->task->languages[i], named)) {
            goto done;
        }
        BT_CHECK(bt_str_appendf(&list, err, "%s ", run->task->languages[i]));
    }
    rc = BT_FAIL(err, BT_E_CONFIG, "--%s=%s is not a language of %s: %sor all", flag, named,
                 run->task->name, bt_str_text(&list));
done:
    bt_str_deinit(&list);
    return rc;
}

bt_status run_xlang(data_job *job, const data_task *task, meta_data *meta, bt_error *err) {
    xlang_run run = {.config = task->config, .task = task};
    if (run.config->is_xtreme) {
        run.translated_dir = data_path_flag(job->flags, "translated_input_data_dir");
    }
    BT_TRY(data_require_output(job, 1U << DATA_TRAIN | 1U << DATA_EVAL, err));
    BT_TRY(data_require_input_dir(job, task, "the data set's .tsv files", err));
    BT_TRY(check_language_flag(job, &run, err));
    for (int split = DATA_TRAIN; split <= DATA_EVAL; split++) {
        if (job->paths[split] != NULL) {
            BT_TRY(add_train_or_dev(job, &run, split, err));
        }
    }
    if (job->paths[DATA_TEST] != NULL) {
        BT_TRY(add_tests(job, &run, err));
    }
    int64_t n_labels = 0;
    while (n_labels < MAX_CLASSES && run.config->classes[n_labels] != NULL) {
        n_labels++;
    }
    const classification form = {.n_labels = n_labels, .label = EXAMPLE_LABEL_INT};
    return write_classification(job, task, &form, open_source, &run, meta, err);
}
