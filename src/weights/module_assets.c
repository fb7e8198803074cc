/* SPDX-License-Identifier: Apache-2.0
 *
 * What a TF Hub module knows of text: its vocabulary, and whether that is of lower case. A data
 * section that reads text and names no vocabulary takes both from the module; one that names a
 * vocabulary is obeyed in both, as in Model Garden, and a difference is told. What is taken here
 * is in the schemas only: params.yaml keeps what the user wrote, and a run that continues or
 * evaluates takes the same again. */
#include "weights_internal.h"

#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/fs.h"

enum { VOCAB_MAX_BYTES = 1 << 28 };

/* Of pairs only the files say whether they are text. */
bt_status text_section_find(const bt_data_config *config, bt_data_schema *schema, text_section *out,
                            bt_error *err) {
    bt_data_table table = BT_TABLE_NONE;
    *out = (text_section){.name = NULL};
    if (schema->squad.vocab_file != NULL) {
        *out = (text_section){.name = config->section,
                              .case_key = "do_lower_case",
                              .vocab_file = &schema->squad.vocab_file,
                              .lower_case = &schema->squad.do_lower_case};
        return BT_OK;
    }
    if (schema->text.n_fields == 0 && !schema->words.is_used) {
        return BT_OK;
    }
    if (schema->text.tables_only) {
        BT_TRY(bt_data_find_table(config, &table, err));
        if (table == BT_TABLE_NONE) {
            return BT_OK;
        }
        schema->text.tables_only = false;
    }
    *out = (text_section){.name = config->section,
                          .case_key = "lower_case",
                          .vocab_file = &schema->text.vocab_file,
                          .lower_case = &schema->text.lower_case};
    return BT_OK;
}

/* Those of the mode; an absent one has no name. */
static bt_status find_texts(const bt_weights_use *use, text_section out[2], bt_error *err) {
    bt_task_plan *const plan = use->plan;
    const bt_conf_mode  mode = use->mode;
    out[0] = out[1] = (text_section){.name = NULL};
    if (bt_conf_mode_trains(mode)) {
        BT_TRY(text_section_find(use->train_data, &plan->train_schema, &out[0], err));
    }
    if (mode == BT_CONF_MODE_PREDICT) {
        return text_section_find(use->validation_data, &plan->prediction_schema, &out[1], err);
    }
    return bt_conf_mode_evaluates(mode)
               ? text_section_find(use->validation_data, &plan->validation_schema, &out[1], err)
               : BT_OK;
}

static const char *bool_text(bool value) {
    return value ? "true" : "false";
}

/* false is what the user wrote. true may be just the default, written out (params.yaml has all
 * keys), so it gives way: it says nothing of the vocabulary that the user did not name. */
static void take_case(const bt_weights *w, const bt_conf *conf, const text_section *text) {
    const char *const url = w->hub_module_url;
    const int32_t     theirs = w->module.do_lower_case;
    char              path[128];
    char              origin[BT_CONF_ORIGIN_MAX];
    (void)snprintf(path, sizeof path, "%s.%s", text->name, text->case_key);
    (void)bt_conf_origin(conf, path, origin);
    if (theirs < 0 || (theirs == 1) == *text->lower_case) {
        return;
    }
    if (theirs == 1) {
        bt_log(BT_LOG_WARNING,
               "%s (%s) is false, but the vocabulary is that of module %s, which was made with "
               "do_lower_case true: false is used",
               path, origin, url);
        return;
    }
    if (!bt_str_equal(origin, "default")) {
        bt_log(BT_LOG_WARNING,
               "%s (%s) is true, which is also the default, but the vocabulary is that of module "
               "%s, which was made with do_lower_case false: false is used (name a vocab_file to "
               "have your own way)",
               path, origin, url);
    }
    *text->lower_case = false;
}

static bt_status take_assets(bt_weights *w, const bt_weights_use *use, const text_section *text,
                             bt_error *err) {
    BT_TRY(module_find(w, &use->plan->encoder, err));
    if (w->module.vocab_file == NULL) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s.vocab_file is empty, raw text needs the vocabulary that the model was "
                       "trained with, and there is none in the assets of task.hub_module_url "
                       "%.300s",
                       text->name, w->hub_module_url);
    }
    *text->vocab_file = w->module.vocab_file;
    take_case(w, use->conf, text);
    bt_log(BT_LOG_INFO, "%s: vocab_file %s and %s %s, from the module", text->name,
           *text->vocab_file, text->case_key, bool_text(*text->lower_case));
    return BT_OK;
}

bt_status bt_weights_give_assets(bt_weights *w, const bt_weights_use *use, bt_error *err) {
    text_section texts[2];
    if (w->hub_module_url[0] == '\0') {
        return BT_OK;
    }
    BT_TRY(find_texts(use, texts, err));
    for (size_t i = 0; i < BT_ARRAY_LEN(texts); i++) {
        if (texts[i].name != NULL && (*texts[i].vocab_file)[0] == '\0') {
            BT_TRY(take_assets(w, use, &texts[i], err));
        }
    }
    return texts[0].name != NULL && texts[1].name != NULL
               ? bt_task_check_same_case(use->conf, use->plan, err)
               : BT_OK;
}

/* A vocabulary of the user's own. */

static bt_status same_bytes(const char *a, const char *b, bool *out, bt_error *err) {
    bt_status rc = BT_OK;
    char     *a_bytes = NULL;
    char     *b_bytes = NULL;
    size_t    n_a = 0;
    size_t    n_b = 0;
    BT_CHECK(bt_fs_read_all(a, VOCAB_MAX_BYTES, &a_bytes, &n_a, err));
    BT_CHECK(bt_fs_read_all(b, VOCAB_MAX_BYTES, &b_bytes, &n_b, err));
    *out = n_a == n_b && memcmp(a_bytes, b_bytes, n_a) == 0;
done:
    bt_free(a_bytes);
    bt_free(b_bytes);
    return rc;
}

static bt_status compare_own(const bt_weights *w, const text_section *text, bt_error *err) {
    const char *const url = w->hub_module_url;
    const int32_t     theirs = w->module.do_lower_case;
    bool              is_same = true;
    if (w->module.vocab_file != NULL) {
        BT_TRY(same_bytes(*text->vocab_file, w->module.vocab_file, &is_same, err));
    }
    if (!is_same) {
        bt_log(BT_LOG_WARNING,
               "%s.vocab_file %s is not the vocabulary of module %s (%s): %s.vocab_file is used",
               text->name, *text->vocab_file, url, w->module.vocab_file, text->name);
    }
    if (theirs >= 0 && (theirs == 1) != *text->lower_case) {
        bt_log(BT_LOG_WARNING,
               "%s.%s is %s, but module %s was made with do_lower_case %s: %s.%s is used",
               text->name, text->case_key, bool_text(*text->lower_case), url, bool_text(theirs),
               text->name, text->case_key);
    }
    return BT_OK;
}

bt_status module_compare_assets(const bt_weights *w, const bt_weights_use *use, bt_error *err) {
    text_section texts[2];
    BT_TRY(find_texts(use, texts, err));
    for (size_t i = 0; i < BT_ARRAY_LEN(texts); i++) {
        if (texts[i].name != NULL && *texts[i].vocab_file != w->module.vocab_file) {
            BT_TRY(compare_own(w, &texts[i], err));
        }
    }
    return BT_OK;
}
