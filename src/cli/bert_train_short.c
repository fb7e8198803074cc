/* SPDX-License-Identifier: Apache-2.0
 *
 * The short flags of bert-train: --init, --train, --eval, --predict, --text and --label as keys of
 * the configuration, and what follows from them: columns and number of classes from the table,
 * steps from epochs, the usual rates. What is set so stands in params.yaml like all else. A key
 * that the user wrote wins over what follows from a flag; where it contradicts the flag itself,
 * both are named. */
#include <stdio.h>
#include <string.h>

#include "bert_train.h"
#include "bt/conf.h"
#include "bt/data.h"
#include "bt/fs.h"

#define TRAIN "task.train_data"
#define VALIDATION "task.validation_data"
#define RATE "trainer.optimizer_config.learning_rate"

enum { MAX_FIELDS = 16, PATH_MAX_BYTES = 128 };

typedef struct short_run {
    const bt_flags *flags;
    const char     *params; /* the recalled run's: what stands there is nothing that was typed */
    bt_conf        *conf;
    bt_conf_errors *errors;
    bt_str          told; /* "epochs 3, ...": what was decided */
} short_run;

/* ---- keys --------------------------------------------------------------------------------------
 */

static const char *flag_text(const short_run *run, const char *name) {
    const char *const text = bt_flags_string(run->flags, name);
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static bool is_written(const short_run *run, const char *path) {
    char              origin[BT_CONF_ORIGIN_MAX];
    const char *const from = bt_conf_origin(run->conf, path, origin);
    return !bt_str_equal(from, "default") &&
           !(run->params != NULL && bt_str_starts_with(from, run->params));
}

/* path: value, a text of YAML. */
static bt_status set_key(const short_run *run, const char *path, const char *value,
                         const char *origin, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    yaml = BT_STR_INIT;
    size_t    depth = 1;
    BT_CHECK(bt_str_append(&yaml, "{", err));
    for (const char *at = path;;) {
        const size_t n = strcspn(at, ".");
        BT_CHECK(bt_str_append_n(&yaml, at, n, err));
        BT_CHECK(bt_str_append(&yaml, at[n] != '\0' ? ": {" : ": ", err));
        if (at[n] == '\0') {
            break;
        }
        depth++;
        at += n + 1;
    }
    BT_CHECK(bt_str_append(&yaml, value, err));
    for (size_t i = 0; i < depth; i++) {
        BT_CHECK(bt_str_append(&yaml, "}", err));
    }
    rc = bt_conf_set(run->conf, bt_str_text(&yaml), origin, run->errors, err);
done:
    bt_str_deinit(&yaml);
    return rc;
}

/* Unless the user wrote the key. */
static bt_status decide(short_run *run, const char *path, const char *value, const char *origin,
                        bt_error *err) {
    if (!bt_conf_has(run->conf, path) || is_written(run, path)) {
        return BT_OK;
    }
    BT_TRY(set_key(run, path, value, origin, err));
    return bt_str_appendf(&run->told, err, "%s%s=%s", run->told.len > 0 ? ", " : "", path, value);
}

static bool has_items(const bt_conf *conf, const char *path, const char *const *items, size_t n) {
    bt_conf_str_list list = {0};
    bool             same = bt_conf_get_str_list(conf, path, &list, NULL) == BT_OK;
    if (!same) { /* a key of one text */
        const char *text = NULL;
        same = bt_conf_get_str(conf, path, &text, NULL) == BT_OK;
        return same && n == 1 && bt_str_equal(text, items[0]);
    }
    same = list.n == n;
    for (size_t i = 0; same && i < n; i++) {
        same = bt_str_equal(list.items[i], items[i]);
    }
    return same;
}

/* What the flag says into the key; what the user wrote there must be the same. */
static bt_status put(const short_run *run, const char *flag, const char *path,
                     const char *const *items, size_t n, bool is_list, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    value = BT_STR_INIT;
    char      origin[BT_CONF_ORIGIN_MAX];
    if (!bt_conf_has(run->conf, path)) {
        rc = BT_FAIL(err, BT_E_CONFIG, "--%s: experiment %s has no key %s", flag,
                     bt_conf_experiment_name(run->conf), path);
        goto done;
    }
    if (is_written(run, path) && !has_items(run->conf, path, items, n)) {
        rc = BT_FAIL(err, BT_E_CONFIG, "--%s=%s contradicts %s (%s): leave one of them out", flag,
                     bt_flags_string(run->flags, flag), path,
                     bt_conf_origin(run->conf, path, origin));
        goto done;
    }
    BT_CHECK(bt_str_append(&value, is_list ? "[" : "", err));
    for (size_t i = 0; i < n; i++) {
        BT_CHECK(bt_str_append(&value, i > 0 ? ", " : "", err));
        BT_CHECK(bt_str_append_json(&value, items[i], err));
    }
    BT_CHECK(bt_str_append(&value, is_list ? "]" : "", err));
    (void)snprintf(origin, sizeof origin, "--%s", flag_text(run, flag) != NULL ? flag : "train");
    rc = set_key(run, path, bt_str_text(&value), origin, err);
done:
    bt_str_deinit(&value);
    return rc;
}

static bt_status put_path(const short_run *run, const char *flag, const char *path, bt_error *err) {
    const char *const text = flag_text(run, flag);
    return text != NULL ? put(run, flag, path, &text, 1, false, err) : BT_OK;
}

/* ---- --init ------------------------------------------------------------------------------------
 */

/* A TF Hub module has weights that only task.hub_module_url reads. */
static bt_status is_module(const char *init, bool *out, bt_error *err) {
    char *path = NULL;
    *out = bt_str_starts_with(init, "https://tfhub.dev/");
    if (*out || bt_fs_is_remote(init)) {
        return BT_OK;
    }
    BT_TRY(bt_fs_join(init, "saved_model.pb", &path, err));
    *out = bt_fs_exists(path);
    bt_free(path);
    return BT_OK;
}

/* vocab.txt in the folder, or beside the file. */
static bt_status decide_vocabulary(short_run *run, const char *init, bt_error *err) {
    bt_status rc = BT_OK;
    char     *path = NULL;
    char     *folder = NULL;
    bt_str    value = BT_STR_INIT;
    BT_CHECK(bt_fs_join(init, "vocab.txt", &path, err));
    if (!bt_fs_exists(path) && !bt_fs_is_remote(init)) {
        bt_free(path);
        path = NULL;
        BT_CHECK(bt_fs_parent(init, &folder, err));
        BT_CHECK(bt_fs_join(folder, "vocab.txt", &path, err));
    }
    if (bt_fs_exists(path)) {
        BT_CHECK(bt_str_append_json(&value, path, err));
        BT_CHECK(decide(run, TRAIN ".vocab_file", bt_str_text(&value), "--init", err));
        BT_CHECK(decide(run, VALIDATION ".vocab_file", bt_str_text(&value), "--init", err));
    }
done:
    bt_str_deinit(&value);
    bt_free(path);
    bt_free(folder);
    return rc;
}

static bt_status apply_init(short_run *run, bt_error *err) {
    const char *const init = flag_text(run, "init");
    bool              modular = false;
    if (init == NULL) {
        return BT_OK;
    }
    BT_TRY(is_module(init, &modular, err));
    if (modular) {
        return put_path(run, "init", "task.hub_module_url", err);
    }
    BT_TRY(put_path(run, "init", "task.init_checkpoint", err));
    return decide_vocabulary(run, init, err);
}

/* ---- columns -----------------------------------------------------------------------------------
 */

typedef struct column_list {
    char        text[1024];
    const char *items[MAX_FIELDS];
    size_t      n;
} column_list;

/* "a,b" */
static bt_status split_columns(const char *flag, const char *text, column_list *out,
                               bt_error *err) {
    out->n = 0;
    if (text == NULL) {
        return BT_OK;
    }
    if (strlen(text) >= sizeof out->text) {
        return BT_FAIL(err, BT_E_CONFIG, "--%s: longer than names of columns are", flag);
    }
    (void)snprintf(out->text, sizeof out->text, "%s", text);
    for (char *at = out->text; at != NULL;) {
        char *const comma = strchr(at, ',');
        if (comma != NULL) {
            *comma = '\0';
        }
        if (at[0] == '\0' || out->n == MAX_FIELDS) {
            return BT_FAIL(err, BT_E_CONFIG,
                           "--%s=%s: expected one to %d names of columns with commas between", flag,
                           text, MAX_FIELDS);
        }
        out->items[out->n++] = at;
        at = comma != NULL ? comma + 1 : NULL;
    }
    return BT_OK;
}

/* Names that are taken for what they say; pairs first. README.md and --help have them too. */
static const char *const known_texts[][2] = {
    {"sentence1", "sentence2"},
    {"question1", "question2"},
    {"premise", "hypothesis"},
    {"question", "sentence"},
    {"text_a", "text_b"},
    {"sentence", NULL},
    {"text", NULL},
    {"review", NULL},
};
static const char *const known_labels[] = {"label", "labels", "class", "category", "target"};

static bool has_column(const bt_data_survey *survey, const char *name) {
    for (size_t i = 0; i < survey->n_columns; i++) {
        if (bt_str_equal(survey->columns[i], name)) {
            return true;
        }
    }
    return false;
}

static bt_status refuse_columns(const char *flag, const char *input, const bt_data_survey *survey,
                                bt_error *err) {
    char columns[BT_LIST_MAX] = "";
    bt_list_all(columns, sizeof columns, (const char *const *)survey->columns, survey->n_columns);
    return BT_FAIL(err, BT_E_CONFIG,
                   "%s: which of its columns %s? They are called %s: name it with --%s=COLUMN",
                   input, bt_str_equal(flag, "text") ? "hold the text" : "holds the label", columns,
                   flag);
}

/* Without --text: the columns of a documented name. sentence and text, say, both there: not known.
 */
static bt_status recognise_texts(const char *input, const bt_data_survey *survey, column_list *out,
                                 bt_error *err) {
    size_t n_single = 0;
    for (size_t i = 0; i < BT_ARRAY_LEN(known_texts) && out->n == 0; i++) {
        const char *const *const names = known_texts[i];
        if (names[1] != NULL && has_column(survey, names[0]) && has_column(survey, names[1])) {
            out->items[out->n++] = names[0];
            out->items[out->n++] = names[1];
            return BT_OK;
        }
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(known_texts); i++) {
        if (known_texts[i][1] == NULL && has_column(survey, known_texts[i][0])) {
            out->items[0] = known_texts[i][0];
            n_single++;
        }
    }
    out->n = n_single == 1 ? 1 : 0;
    return n_single == 1 ? BT_OK : refuse_columns("text", input, survey, err);
}

/* Both sections have the same columns. */
static bt_status put_columns(const short_run *run, const char *flag, const char *key,
                             const column_list *columns, bool is_list, bt_error *err) {
    static const char *const sections[] = {TRAIN, VALIDATION};
    for (size_t i = 0; i < BT_ARRAY_LEN(sections) && columns->n > 0; i++) {
        char path[PATH_MAX_BYTES];
        (void)snprintf(path, sizeof path, "%s.%s", sections[i], key);
        if (flag_text(run, flag) == NULL && is_written(run, path)) {
            continue;
        }
        BT_TRY(put(run, flag, path, columns->items, columns->n, is_list, err));
    }
    return BT_OK;
}

/* What the user wrote in the place of a flag. */
static void read_written(const short_run *run, const char *path, bool is_list, column_list *out) {
    const bt_conf *const conf = run->conf;
    bt_conf_str_list     list = {0};
    const char          *text = NULL;
    if (out->n > 0 || !is_written(run, path)) {
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

/* ---- what the data decide ----------------------------------------------------------------------
 */

/* More classes than anybody means: an identifier, a score, a text. */
static bool is_too_many(const bt_data_survey *survey) {
    return survey->n_labels > 1000 ||
           (survey->n_labels > 20 && 2 * (int64_t)survey->n_labels > survey->n_rows);
}

static bt_status decide_classes(short_run *run, const char *input, const bt_data_survey *survey,
                                bt_error *err) {
    static const char key[] = "task.model.num_classes";
    char              number[32];
    if (is_written(run, key) ||
        (bt_conf_has(run->conf, "task.problem_type") && is_written(run, "task.problem_type"))) {
        return BT_OK;
    }
    if (survey->are_scores) {
        BT_TRY(decide(run, key, "1", "--train", err));
        BT_TRY(decide(run, TRAIN ".label_type", "float", "--train", err));
        return decide(run, VALIDATION ".label_type", "float", "--train", err);
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
    return decide(run, key, number, "--train", err);
}

/* --train alone: a tenth of its rows is the evaluation's. */
static bt_status decide_held_out(short_run *run, const char *input, bt_error *err) {
    const char *const mode = flag_text(run, "mode");
    bt_status         rc = BT_OK;
    bt_str            value = BT_STR_INIT;
    if (bt_str_equal(mode, "train") || flag_text(run, "eval") != NULL || mode == NULL ||
        is_written(run, VALIDATION ".input_path")) {
        return BT_OK;
    }
    BT_CHECK(bt_str_append_json(&value, input, err));
    BT_CHECK(decide(run, VALIDATION ".input_path", bt_str_text(&value), "--train", err));
    BT_CHECK(decide(run, TRAIN ".held_out", "without", "--train", err));
    BT_CHECK(decide(run, VALIDATION ".held_out", "only", "--train", err));
    BT_CHECK(decide(run, TRAIN ".held_out_share", "0.1", "--train", err));
    rc = decide(run, VALIDATION ".held_out_share", "0.1", "--train", err);
done:
    bt_str_deinit(&value);
    return rc;
}

/* Once an epoch it is evaluated and saved. */
static bt_status decide_intervals(short_run *run, int64_t n_rows, bt_error *err) {
    int64_t batch = 0;
    char    epoch[32];
    char    report[32];
    double  held_out = 0;
    BT_TRY(bt_conf_get_i64(run->conf, TRAIN ".global_batch_size", &batch, err));
    if (bt_conf_has(run->conf, TRAIN ".held_out_share")) {
        BT_TRY(bt_conf_get_f64(run->conf, TRAIN ".held_out_share", &held_out, err));
    }
    n_rows -= (int64_t)((double)n_rows * held_out);
    if (n_rows < 1 || batch < 1) {
        return BT_OK;
    }
    const int64_t steps = (n_rows + batch - 1) / batch;
    (void)snprintf(epoch, sizeof epoch, "%" PRId64, steps);
    (void)snprintf(report, sizeof report, "%" PRId64, steps < 100 ? steps : 100);
    BT_TRY(decide(run, "trainer.validation_interval", epoch, "--train", err));
    BT_TRY(decide(run, "trainer.checkpoint_interval", epoch, "--train", err));
    if (is_written(run, "trainer.steps_per_loop") ||
        is_written(run, "trainer.summary_interval")) { /* a multiple of the other */
        return BT_OK;
    }
    BT_TRY(decide(run, "trainer.steps_per_loop", report, "--train", err));
    return decide(run, "trainer.summary_interval", report, "--train", err);
}

/* Three epochs, 2e-5 after a warm-up of a tenth, down to 0 in a straight line. */
static bt_status decide_steps(short_run *run, bt_error *err) {
    const char *const type = bt_conf_type_of_oneof(run->conf, RATE);
    if (!is_written(run, "trainer.train_steps")) {
        BT_TRY(decide(run, TRAIN ".epochs", "3", "--train", err));
    }
    return type != NULL && bt_str_equal(type, "polynomial") && !is_written(run, RATE ".type")
               ? decide(run, RATE ".polynomial.initial_learning_rate", "2.0e-05", "--train", err)
               : BT_OK;
}

static bt_status survey_input(const short_run *run, const column_list *texts,
                              const column_list *labels, bt_data_survey *out, bt_error *err) {
    bt_arena       arena = {0};
    bt_data_config config;
    BT_TRY(bt_arena_init(&arena, 4096, err));
    bt_status rc = bt_data_config_read(run->conf, TRAIN, 0, &arena, &config, err);
    if (rc == BT_OK) {
        const bool is_given = labels->n > 0;
        rc = bt_data_survey_read(&config, texts->items, texts->n,
                                 is_given ? labels->items : known_labels,
                                 is_given ? labels->n : BT_ARRAY_LEN(known_labels), out, err);
    }
    bt_arena_deinit(&arena);
    return rc;
}

/* The table that --train names: its columns and classes. */
static bt_status use_table(short_run *run, const char *input, column_list *texts,
                           column_list *labels, bt_error *err) {
    bt_status      rc = BT_OK;
    bt_data_survey survey = {0};
    read_written(run, TRAIN ".text_fields", true, texts);
    read_written(run, TRAIN ".label_field", false, labels);
    BT_CHECK(survey_input(run, texts, labels, &survey, err));
    if (survey.table == BT_TABLE_NONE) {
        BT_CHECK(put_columns(run, "text", "text_fields", texts, true, err));
        rc = put_columns(run, "label", "label_field", labels, false, err);
        goto done;
    }
    if (survey.label == NULL) {
        rc = refuse_columns("label", input, &survey, err);
        goto done;
    }
    labels->items[0] = survey.label;
    labels->n = 1;
    if (texts->n == 0) {
        BT_CHECK(recognise_texts(input, &survey, texts, err));
    }
    BT_CHECK(put_columns(run, "text", "text_fields", texts, true, err));
    BT_CHECK(put_columns(run, "label", "label_field", labels, false, err));
    BT_CHECK(decide_classes(run, input, &survey, err));
    BT_CHECK(decide_held_out(run, input, err));
    rc = decide_intervals(run, survey.n_rows, err);
done:
    bt_data_survey_deinit(&survey);
    return rc;
}

/* ---- all of them -------------------------------------------------------------------------------
 */

static bt_status apply_train(short_run *run, bt_error *err) {
    const char *const input = flag_text(run, "train");
    column_list       texts = {.n = 0};
    column_list       labels = {.n = 0};
    BT_TRY(put_path(run, "train", TRAIN ".input_path", err));
    BT_TRY(split_columns("text", flag_text(run, "text"), &texts, err));
    BT_TRY(split_columns("label", flag_text(run, "label"), &labels, err));
    if (labels.n > 1) {
        return BT_FAIL(err, BT_E_CONFIG, "--label=%s: expected the name of one column",
                       flag_text(run, "label"));
    }
    /* sentences have both keys; tables of other tasks have none to recognise */
    if (input != NULL && bt_conf_has(run->conf, TRAIN ".label_type")) {
        BT_TRY(use_table(run, input, &texts, &labels, err));
    } else {
        BT_TRY(put_columns(run, "text", "text_fields", &texts, true, err));
        BT_TRY(put_columns(run, "label", "label_field", &labels, false, err));
    }
    return input != NULL ? decide_steps(run, err) : BT_OK;
}

/* The words that the run was trained on are kept in model_dir; the file that they came from may be
 * another one now, or gone. */
static bt_status use_kept_vocabulary(const short_run *run, const char *path, bt_error *err) {
    static const char key[] = VALIDATION ".vocab_file";
    bt_status         rc = BT_OK;
    bt_str            value = BT_STR_INIT;
    if (path == NULL || !bt_conf_has(run->conf, key) || is_written(run, key)) {
        return BT_OK;
    }
    BT_CHECK(bt_str_append_json(&value, path, err));
    rc = set_key(run, key, bt_str_text(&value), "--model_dir", err);
done:
    bt_str_deinit(&value);
    return rc;
}

bt_status apply_short_flags(const bt_flags *flags, const recalled_run *recalled, bt_conf *conf,
                            bt_conf_errors *errors, bt_error *err) {
    bt_status rc = BT_OK;
    short_run run = {.flags = flags,
                     .params = recalled->params,
                     .conf = conf,
                     .errors = errors,
                     .told = BT_STR_INIT};
    BT_CHECK(use_kept_vocabulary(&run, recalled->vocabulary, err));
    BT_CHECK(apply_init(&run, err));
    BT_CHECK(put_path(&run, "eval", VALIDATION ".input_path", err));
    BT_CHECK(put_path(&run, "predict", VALIDATION ".input_path", err));
    if (run.params != NULL &&
        (flag_text(&run, "eval") != NULL || flag_text(&run, "predict") != NULL) &&
        bt_conf_has(conf, VALIDATION ".held_out")) { /* other rows than the training's */
        BT_CHECK(set_key(&run, VALIDATION ".held_out", "''", "--eval", err));
    }
    BT_CHECK(apply_train(&run, err));
    if (run.told.len > 0) {
        bt_log(BT_LOG_INFO, "decided, as nobody wrote it: %s", bt_str_text(&run.told));
    }
done:
    bt_str_deinit(&run.told);
    return rc;
}
