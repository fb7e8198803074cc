/* SPDX-License-Identifier: Apache-2.0
 *
 * The columns of the table that --train names, and the classes that its labels make. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bert_train_short.h"
#include "bt/base/arena.h"
#include "bt/base/map.h"
#include "bt/comm.h"

/* "a,b" */
static bt_status split_columns(const char *flag, const char *text, column_list *out,
                               bt_error *err) {
    out->n = 0;
    if (text == NULL) {
        return BT_OK;
    }
    if (strlen(text) >= sizeof out->text) {
        return BT_FAIL(err, BT_E_CONFIG, "--%s: longer than a column name can be", flag);
    }
    (void)snprintf(out->text, sizeof out->text, "%s", text);
    for (char *at = out->text; at != NULL;) {
        char *const comma = strchr(at, ',');
        if (comma != NULL) {
            *comma = '\0';
        }
        at += strspn(at, " ");
        for (size_t n = strlen(at); n > 0 && at[n - 1] == ' '; n--) {
            at[n - 1] = '\0';
        }
        if (at[0] == '\0' || out->n == MAX_FIELDS) {
            return BT_FAIL(err, BT_E_CONFIG,
                           "--%s=%s: expected one to %d names of columns with commas between", flag,
                           text, MAX_FIELDS);
        }
        for (size_t i = 0; i < out->n; i++) {
            if (bt_str_equal(out->items[i], at)) {
                return BT_FAIL(err, BT_E_CONFIG, "--%s=%s: '%s' appears twice", flag, text, at);
            }
        }
        out->items[out->n++] = at;
        at = comma != NULL ? comma + 1 : NULL;
    }
    return BT_OK;
}

bt_status short_read_columns(const short_run *run, column_list *texts, column_list *labels,
                             bt_error *err) {
    const char *const label = short_flag(run, "label");
    BT_TRY(split_columns("text", short_flag(run, "text"), texts, err));
    BT_TRY(split_columns("label", label, labels, err));
    return labels->n <= 1
               ? BT_OK
               : BT_FAIL(err, BT_E_CONFIG, "--label=%s: expected the name of one column", label);
}

/* Names that are taken for what they say; pairs first. README.md and --help have them too. */
const char *const short_known_texts[SHORT_N_KNOWN_TEXTS][2] = {
    {"sentence1", "sentence2"},
    {"question1", "question2"},
    {"premise", "hypothesis"},
    {"question", "sentence"},
    {"text_a", "text_b"},
    {"sentence", NULL},
    {"text", NULL},
    {"review", NULL},
};
static const char table_advice[] =
    "call a table .tsv, .csv or .jsonl, or say so in task.train_data.file_type";

/* Of pairs of bert/dual_encoder, before those above. */
static const char *const known_sides[][2] = {
    {"anchor", "positive"},
    {"query", "answer"},
    {"left", "right"},
    {"source", "target"},
};
static const char *const known_labels[] = {"label", "labels", "class", "category", "target"};

static bt_status refuse_columns(const char *flag, const char *input, const bt_data_survey *survey,
                                bt_error *err) {
    char   columns[BT_LIST_MAX] = "";
    size_t first = 0;
    size_t second = 0;
    if (survey->n_columns == 0) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: no rows", input);
    }
    BT_TRY(bt_find_twice((const char *const *)survey->columns, survey->n_columns, &first, &second,
                         err));
    if (second < survey->n_columns) {
        return BT_FAIL(
            err, BT_E_FORMAT,
            "%s: columns %zu and %zu are both called '%s': name the one that is meant by "
            "its number (--text=NUMBER, --label=NUMBER)",
            input, first + 1, second + 1, survey->columns[first]);
    }
    bt_list_all(columns, sizeof columns, (const char *const *)survey->columns, survey->n_columns);
    if (bt_str_equal(flag, "sides")) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s: which of its columns hold the two sides of a pair? They are called %s: "
                       "name them with --text=LEFT,RIGHT",
                       input, columns);
    }
    return BT_FAIL(err, BT_E_CONFIG,
                   "%s: which of its columns %s? They are called %s: name it with --%s=COLUMN "
                   "(where the first row has no names, by their numbers: --text=1 --label=2)",
                   input, bt_str_equal(flag, "text") ? "hold the text" : "holds the label", columns,
                   flag);
}

/* Without --text: the columns of a documented name. sentence and text, say, both there: not known.
 */
static bt_status recognise_texts(const char *input, const bt_data_survey *survey, column_list *out,
                                 bt_error *err) {
    size_t n_single = 0;
    for (size_t i = 0; i < SHORT_N_KNOWN_TEXTS && out->n == 0; i++) {
        const char *const *const names = short_known_texts[i];
        if (names[1] != NULL && short_has_column(survey, names[0]) &&
            short_has_column(survey, names[1])) {
            out->items[out->n++] = names[0];
            out->items[out->n++] = names[1];
            return BT_OK;
        }
    }
    for (size_t i = 0; i < SHORT_N_KNOWN_TEXTS; i++) {
        if (short_known_texts[i][1] == NULL && short_has_column(survey, short_known_texts[i][0])) {
            out->items[0] = short_known_texts[i][0];
            n_single++;
        }
    }
    out->n = n_single == 1 ? 1 : 0;
    return n_single == 1 ? BT_OK : refuse_columns("text", input, survey, err);
}

/* Both sections have the same columns; in a run that was trained before (params) those of the
 * training are known, and compared with these. */
bt_status short_put_columns(const short_run *run, const char *flag, const char *key,
                            const column_list *columns, bool is_list, bt_error *err) {
    static const char *const sections[] = {TRAIN, VALIDATION};
    for (size_t i = run->params != NULL ? 1 : 0; i < BT_ARRAY_LEN(sections) && columns->n > 0;
         i++) {
        char path[PATH_MAX_BYTES];
        (void)snprintf(path, sizeof path, "%s.%s", sections[i], key);
        if (short_flag(run, flag) == NULL && short_is_written(run, path)) {
            continue;
        }
        BT_TRY(short_put(run, flag, path, columns->items, columns->n, is_list, err));
    }
    return BT_OK;
}

/* What the user wrote in place of a flag. */
static void read_written(const short_run *run, const char *path, bool is_list, column_list *out) {
    const bt_conf *const conf = run->conf;
    bt_conf_str_list     list = {0};
    const char          *text = NULL;
    if (out->n > 0 || !short_is_written(run, path)) {
        return;
    }
    if (!is_list && bt_conf_get_str(conf, path, &text, NULL) == BT_OK && text[0] != '\0') {
        out->items[out->n++] = text;
    }
    if (is_list && bt_conf_get_str_list(conf, path, &list, NULL) == BT_OK && list.n <= MAX_FIELDS) {
        for (size_t i = 0; i < list.n; i++) {
            out->items[out->n++] = list.items[i];
        }
    }
}

/* More classes than anybody means: an identifier, a score, a text. */
static bool is_too_many(const bt_data_survey *survey) {
    return survey->n_labels > 1000 ||
           (survey->n_labels > 20 && 2 * (int64_t)survey->n_labels > survey->n_rows);
}

static const char classes_key[] = "task.model.num_classes";
static const char problem_key[] = "task.problem_type";
static const char multi_label[] = "multi_label_classification";

/* Several labels a row: n of them are known. */
static bt_status decide_multi_label(short_run *run, size_t n, bt_error *err) {
    char number[32];
    (void)snprintf(number, sizeof number, "%zu", n);
    BT_TRY(short_decide(run, problem_key, multi_label, "--train", err));
    return short_decide(run, classes_key, number, "--train", err);
}

/* Nobody wrote that it is another one. */
static bool may_be_multi_label(const short_run *run) {
    const char *problem = "";
    return bt_conf_has(run->conf, problem_key) &&
           (!short_is_written(run, problem_key) ||
            (bt_conf_get_str(run->conf, problem_key, &problem, NULL) == BT_OK &&
             bt_str_equal(problem, multi_label)));
}

static bt_status decide_classes(short_run *run, const char *input, const bt_data_survey *survey,
                                bt_error *err) {
    char number[32];
    if (short_is_written(run, classes_key)) {
        return BT_OK;
    }
    if (survey->n_lists > 0 && may_be_multi_label(run)) {
        return decide_multi_label(run, survey->n_labels, err);
    }
    if (bt_conf_has(run->conf, problem_key) && short_is_written(run, problem_key)) {
        return BT_OK;
    }
    if (survey->are_scores) {
        BT_TRY(short_decide(run, classes_key, "1", "--train", err));
        BT_TRY(short_decide(run, TRAIN ".label_type", "float", "--train", err));
        return short_decide(run, VALIDATION ".label_type", "float", "--train", err);
    }
    if (survey->n_rows == 0) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: no rows except the column names", input);
    }
    if (survey->n_labels < 2) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: %s in column '%s', so there is nothing to tell apart: is it the column "
                       "of the labels (--label=COLUMN)?",
                       input, survey->n_labels == 0 ? "no label" : "every row has the same label",
                       survey->label);
    }
    if (is_too_many(survey)) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: %zu different labels in %" PRId64
                       " rows of column '%s' (one is '%s'): is it the column of the labels "
                       "(--label=COLUMN)? If it is, set task.model.num_classes",
                       input, survey->n_labels, survey->n_rows, survey->label, survey->first_label);
    }
    (void)snprintf(number, sizeof number, "%zu", survey->n_labels);
    return short_decide(run, classes_key, number, "--train", err);
}

static bt_status read_config(const short_run *run, bt_arena *arena, bt_data_config *out,
                             bt_error *err) {
    BT_TRY(bt_arena_init(arena, 4096, err));
    bt_comm_job job = {0};
    BT_TRY(bt_data_config_read(run->conf, TRAIN, 0, arena, out, err));
    BT_TRY(bt_comm_job_read(&job, err));
    /* a command without that flag only looks, and of several processes the first one writes */
    out->index_is_fixed = !bt_flags_has(run->flags, "dry_run") ||
                          bt_flags_bool(run->flags, "dry_run") || job.rank > 0;
    bt_comm_job_deinit(&job);
    return BT_OK;
}

static bt_status survey_input(const short_run *run, const column_list *texts,
                              const column_list *labels, bt_data_survey *out, bt_error *err) {
    bt_arena                 arena = {0};
    bt_data_config           config;
    const bool               is_given = labels->n > 0;
    const char *const *const names = is_given ? labels->items : known_labels;
    bt_status                rc = read_config(run, &arena, &config, err);
    if (rc == BT_OK) {
        rc = bt_data_survey_read(&config, texts->items, texts->n, names,
                                 is_given ? labels->n : BT_ARRAY_LEN(known_labels), out, err);
    }
    bt_arena_deinit(&arena);
    return rc;
}

/* Columns that hold a number for each class, in place of one that holds the label. */
static size_t count_label_fields(const short_run *run) {
    static const char path[] = TRAIN ".label_fields";
    bt_conf_str_list  list = {0};
    return bt_conf_has(run->conf, path) && short_is_written(run, path) &&
                   bt_conf_get_str_list(run->conf, path, &list, NULL) == BT_OK
               ? list.n
               : 0;
}

static bt_status refuse_both(const char *input, const char *label, const column_list *texts,
                             bt_error *err) {
    for (size_t i = 0; i < texts->n; i++) {
        if (bt_str_equal(texts->items[i], label)) {
            return BT_FAIL(err, BT_E_CONFIG,
                           "%s: column '%s' would be text and label at once: name the label's with "
                           "--label=COLUMN, the text's with --text=COLUMN",
                           input, label);
        }
    }
    return BT_OK;
}

bt_status short_use_table(short_run *run, const char *input, column_list *texts,
                          column_list *labels, bt_error *err) {
    bt_status      rc = BT_OK;
    bt_data_survey survey = {0};
    const size_t   n_fields = count_label_fields(run);
    read_written(run, TRAIN ".text_fields", true, texts);
    read_written(run, TRAIN ".label_field", false, labels);
    BT_CHECK(survey_input(run, texts, labels, &survey, err));
    if (survey.table == BT_TABLE_NONE) {
        BT_CHECK(short_put_columns(run, "text", "text_fields", texts, true, err));
        BT_CHECK(short_put_columns(run, "label", "label_field", labels, false, err));
        rc = short_use_records(run, input, table_advice, err);
        goto done;
    }
    if (survey.label == NULL && n_fields == 0) {
        rc = refuse_columns("label", input, &survey, err);
        goto done;
    }
    if (texts->n == 0) {
        BT_CHECK(recognise_texts(input, &survey, texts, err));
    }
    BT_CHECK(short_put_columns(run, "text", "text_fields", texts, true, err));
    if (n_fields > 0) {
        BT_CHECK(may_be_multi_label(run) ? decide_multi_label(run, n_fields, err) : BT_OK);
    } else {
        labels->items[0] = survey.label;
        labels->n = 1;
        BT_CHECK(short_put_columns(run, "label", "label_field", labels, false, err));
        BT_CHECK(decide_classes(run, input, &survey, err));
        BT_CHECK(refuse_both(input, survey.label, texts, err));
    }
    rc = short_use_text(run, input, err);
done:
    bt_data_survey_deinit(&survey);
    return rc;
}

/* The first names of the pairs of columns that are known. */
static size_t list_first_sides(const char *out[BT_ARRAY_LEN(known_sides) + SHORT_N_KNOWN_TEXTS]) {
    size_t n = 0;
    for (size_t i = 0; i < BT_ARRAY_LEN(known_sides); i++) {
        out[n++] = known_sides[i][0];
    }
    for (size_t i = 0; i < SHORT_N_KNOWN_TEXTS; i++) {
        if (short_known_texts[i][1] != NULL) {
            out[n++] = short_known_texts[i][0];
        }
    }
    return n;
}

static bool find_sides(const bt_data_survey *survey, const char *const (*names)[2], size_t n,
                       column_list *out) {
    for (size_t i = 0; i < n; i++) {
        if (names[i][1] != NULL && short_has_column(survey, names[i][0]) &&
            short_has_column(survey, names[i][1])) {
            out->items[0] = names[i][0];
            out->items[1] = names[i][1];
            out->n = 2;
            return true;
        }
    }
    return false;
}

/* is_open: nobody named the columns. *is_text: neither are they records. */
static bt_status recognise_sides(const short_run *run, const char *input, bool is_open,
                                 column_list *sides, bool *is_text, bt_error *err) {
    const char    *names[BT_ARRAY_LEN(known_sides) + SHORT_N_KNOWN_TEXTS];
    const size_t   n_names = list_first_sides(names);
    bt_arena       arena = {0};
    bt_data_config config;
    bt_data_survey survey = {0};
    bt_status      rc = read_config(run, &arena, &config, err);
    if (rc == BT_OK) {
        rc = bt_data_survey_columns(&config, is_open ? names : sides->items,
                                    is_open ? n_names : sides->n, &survey, err);
    }
    *is_text = rc == BT_OK && survey.table != BT_TABLE_NONE;
    if (*is_text && survey.table != BT_TABLE_LINES && is_open && config.n_right_paths == 0 &&
        !find_sides(&survey, known_sides, BT_ARRAY_LEN(known_sides), sides) &&
        !find_sides(&survey, short_known_texts, SHORT_N_KNOWN_TEXTS, sides)) {
        rc = refuse_columns("sides", input, &survey, err);
    }
    bt_data_survey_deinit(&survey);
    bt_arena_deinit(&arena);
    return rc;
}

/* The two columns into the keys of the two sides. */
static bt_status put_sides(const short_run *run, const column_list *sides, bt_error *err) {
    static const char *const keys[] = {"left_text_fields", "right_text_fields"};
    for (size_t i = 0; i < sides->n; i++) {
        const column_list one = {.items = {sides->items[i]}, .n = 1};
        BT_TRY(short_put_columns(run, "text", keys[i], &one, true, err));
    }
    return BT_OK;
}

bt_status short_use_pairs(short_run *run, const char *input, column_list *texts, bt_error *err) {
    const bool is_open = texts->n == 0 && !short_is_written(run, TRAIN ".left_text_fields");
    bool       is_text = false;
    if (texts->n == 1 && bt_str_equal(short_flag(run, "mode"), "predict")) { /* vectors alone */
        BT_TRY(put_sides(run, texts, err));
        return short_set(run, VALIDATION ".right_text_fields", "[]", "--text", err);
    }
    if (texts->n == 1 || texts->n > 2) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--text=%s: pairs have two sides, so two columns with a comma between: "
                       "--text=LEFT,RIGHT",
                       short_flag(run, "text"));
    }
    if (input != NULL) {
        BT_TRY(recognise_sides(run, input, is_open, texts, &is_text, err));
    }
    BT_TRY(put_sides(run, texts, err));
    if (input == NULL) {
        return BT_OK;
    }
    /* dot products of any length, or cosines as they are, give a softmax that teaches little */
    BT_TRY(short_decide(run, "task.model.normalize", "true", "--train", err));
    BT_TRY(short_decide(run, "task.model.logit_scale", "20.0", "--train", err));
    return is_text ? short_use_text(run, input, err)
                   : short_use_records(run, input, table_advice, err);
}
