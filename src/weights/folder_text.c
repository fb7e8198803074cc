/* SPDX-License-Identifier: Apache-2.0
 *
 * The vocabulary of the weights' folder and how its tokenizer treats text, into the data sections
 * that read text: the vocabulary where nobody named one, the rest where nobody wrote it. A
 * vocabulary that was named is asked first, by what lies beside it. (Those of TF Hub modules:
 * module_assets.c.) */
#include "folder_facts.h"

#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/text.h"

enum { VOCAB_MAX_BYTES = 1 << 25 };

/* Google's folders say nothing of case, but the vocabulary of a model that lowers it has no capital
 * letters; *lower_case -1: it cannot be told. */
static bt_status guess_case(const char *vocab_file, int8_t *lower_case, bt_error *err) {
    char  *lines = NULL;
    size_t n_bytes = 0;
    size_t n_lower = 0;
    size_t n_upper = 0;
    BT_TRY(bt_text_vocab_read_lines(vocab_file, &lines, &n_bytes, err));
    for (size_t i = 0; i < n_bytes; i++) {
        const bool begins = i == 0 || lines[i - 1] == '\n'; /* neither ##... nor [...] */
        n_lower += begins && lines[i] >= 'a' && lines[i] <= 'z';
        n_upper += begins && lines[i] >= 'A' && lines[i] <= 'Z';
    }
    bt_free(lines);
    if (n_lower + n_upper >= 1000) { /* a handful of words shows nothing */
        *lower_case = n_upper * 100 < n_lower;
    }
    return BT_OK;
}

/* Of the folder where the named vocabulary is, or of the weights' (NULL: neither) where that says
 * nothing. */
static bt_status read_facts(const char *named, const char *folder, bt_text_facts *out,
                            bt_error *err) {
    bt_status rc = BT_OK;
    char     *beside = NULL;
    *out = (bt_text_facts){.lower_case = -1, .strip_accents = -1, .chinese_chars = -1};
    if (named[0] != '\0') {
        BT_CHECK(bt_fs_parent(named, &beside, err));
        BT_CHECK(bt_text_read_facts(beside, out, err));
    }
    if (out->said_by == NULL && folder != NULL) {
        bt_text_facts_deinit(out);
        BT_CHECK(bt_text_read_facts(folder, out, err));
    }
    if (out->lower_case < 0 && named[0] == '\0' && out->vocab_file != NULL) {
        BT_CHECK(guess_case(out->vocab_file, &out->lower_case, err));
    }
done:
    bt_free(beside);
    return rc;
}

static bt_status adopt_flag(fact_list *f, const char *path, bool value, bt_error *err) {
    char origin[BT_CONF_ORIGIN_MAX];
    bool ours = value;
    if (bt_conf_is_written(f->conf, path) &&
        bt_conf_get_bool(f->conf, path, &ours, NULL) == BT_OK && ours != value) {
        bt_log(BT_LOG_WARNING, "%s (%s) is %s, but %s says %s: %s is used", path,
               bt_conf_origin(f->conf, path, origin), ours ? "true" : "false", f->origin,
               value ? "true" : "false", ours ? "true" : "false");
    }
    return bt_conf_has(f->conf, path) ? facts_adopt_bool(f, path, value, err) : BT_OK;
}

static bt_status adopt_facts(fact_list *f, const text_section *text, const bt_text_facts *facts,
                             bt_error *err) {
    char path[BT_CONF_PATH_MAX];
    f->origin = facts->said_by != NULL ? facts->said_by : facts->vocab_file;
    if (facts->vocab_file != NULL) {
        BT_TRY(facts_adopt_str(f, bt_conf_join(text->name, "vocab_file", path), facts->vocab_file,
                               err));
    }
    if (facts->lower_case >= 0) {
        BT_TRY(adopt_flag(f, bt_conf_join(text->name, text->case_key, path), facts->lower_case > 0,
                          err));
    }
    if (facts->strip_accents >= 0) {
        BT_TRY(adopt_flag(f, bt_conf_join(text->name, "strip_accents", path),
                          facts->strip_accents > 0, err));
    }
    if (facts->said_by != NULL &&
        bt_conf_has(f->conf, bt_conf_join(text->name, "text_rules", path))) {
        BT_TRY(facts_adopt_str(f, path, "bert", err));
    }
    return facts->chinese_chars >= 0
               ? adopt_flag(f, bt_conf_join(text->name, "tokenize_chinese_chars", path),
                            facts->chinese_chars > 0, err)
               : BT_OK;
}

/* A default that is too long for the model. */
bt_status facts_adopt_length(fact_list *f, const char *path, int64_t longest, bt_error *err) {
    int64_t now = 0;
    return longest > 0 && bt_conf_has(f->conf, path) &&
                   bt_conf_get_i64(f->conf, path, &now, NULL) == BT_OK && now > longest
               ? facts_adopt_i64(f, path, longest, err)
               : BT_OK;
}

static bt_status adopt_section(fact_list *f, const text_section *text, const char *folder,
                               bt_error *err) {
    char          path[BT_CONF_PATH_MAX];
    const char   *named = "";
    bt_text_facts facts;
    bt_conf_join(text->name, "vocab_file", path);
    if (bt_conf_is_written(f->conf, path)) {
        BT_TRY(bt_conf_get_str(f->conf, path, &named, err));
    }
    BT_TRY(read_facts(named, folder, &facts, err));
    bt_status rc = facts.said_by != NULL || facts.vocab_file != NULL
                       ? adopt_facts(f, text, &facts, err)
                       : BT_OK;
    /* the two lengths of a dual encoder are one fact, which sentence_facts.c knows */
    if (rc == BT_OK && !bt_conf_has(f->conf, "task.model.max_sequence_length")) {
        rc = facts_adopt_length(f, bt_conf_join(text->name, "seq_length", path), facts.max_length,
                                err);
    }
    facts_tell(f); /* before the name of the file goes */
    bt_text_facts_deinit(&facts);
    return rc;
}

static bt_status adopt_if_text(fact_list *f, const char *section, bt_data_schema *schema,
                               const char *folder, bt_arena *arena, bt_error *err) {
    bt_data_config config = {0};
    bt_error       unread = BT_ERROR_INIT; /* what is wrong is found again, and said, by the run */
    text_section   text;
    if (bt_data_config_read(f->conf, section, 0, arena, &config, &unread) != BT_OK ||
        text_section_find(&config, schema, &text, &unread) != BT_OK || text.name == NULL) {
        return BT_OK;
    }
    return adopt_section(f, &text, folder, err);
}

/* Both sections, whichever the mode reads: they must not differ. */
static bt_status adopt_planned(fact_list *f, bt_conf_mode mode, bt_task_plan *plan,
                               const char *folder, bt_arena *arena, bt_error *err) {
    const bool predicts = mode == BT_CONF_MODE_PREDICT;
    BT_TRY(adopt_if_text(f, "task.train_data", &plan->train_schema, folder, arena, err));
    return adopt_if_text(f, "task.validation_data",
                         predicts ? &plan->prediction_schema : &plan->validation_schema, folder,
                         arena, err);
}

bt_status facts_adopt_text(fact_list *f, bt_conf_mode mode, const char *folder, bt_error *err) {
    const bt_task *task = NULL;
    bt_task_plan   plan = {0};
    bt_error       unread = BT_ERROR_INIT;
    bt_arena       arena;
    if (bt_task_find(bt_conf_experiment_name(f->conf), &task, &unread) != BT_OK) {
        return BT_OK;
    }
    BT_TRY(bt_arena_init(&arena, 4096, err));
    bt_status rc = task->plan(f->conf, &plan, &unread) == BT_OK
                       ? adopt_planned(f, mode, &plan, folder, &arena, err)
                       : BT_OK;
    bt_task_plan_deinit(&plan);
    bt_arena_deinit(&arena);
    return rc;
}
