/* SPDX-License-Identifier: Apache-2.0
 *
 * The head of a Hugging Face folder as the task's, where nobody wrote another: a classifier of
 * texts, a tagger, a finder of answers. config.json says which of them it is (architectures): the
 * names of the tensors do not. Names of classes come along, before anything plans with them. */
#include "folder_facts.h"

#include "bt/base/json_text.h"
#include "bt/base/log.h"
#include "bt/ckpt.h"

/* Names that the user gave the classes are not the file's: his are other classes. */
static bool are_others(const bt_conf_str_list *names, const bt_ckpt_head *head) {
    bool differ = false;
    for (size_t i = 0; head->names != NULL && i < names->n && i < head->n; i++) {
        differ = differ || !bt_str_equal_nocase(names->items[i], head->names[i]);
    }
    return differ;
}

static bt_status read_written(const bt_conf *conf, const char *key, bt_conf_str_list *names,
                              bt_error *err) {
    *names = (bt_conf_str_list){0};
    return bt_conf_has(conf, key) && bt_conf_is_written(conf, key) && !bt_conf_is_null(conf, key)
               ? bt_conf_get_str_list(conf, key, names, err)
               : BT_OK;
}

/* The classifier, as far as the keys that were written allow it. */
static bt_status adopt_classifier(fact_list *f, const bt_ckpt_head *head, int64_t n_classes,
                                  bt_error *err) {
    int64_t          n = 0;
    bool             initializes_pooler = false;
    bt_conf_str_list names;
    BT_TRY(facts_adopt_i64(f, "task.model.num_classes", n_classes, err));
    BT_TRY(bt_conf_get_i64(f->conf, "task.model.num_classes", &n, err));
    if (n != n_classes) {
        return BT_OK;
    }
    if (n == 1) {
        BT_TRY(facts_adopt_str(f, "task.train_data.label_type", "float", err));
        BT_TRY(facts_adopt_str(f, "task.validation_data.label_type", "float", err));
    }
    BT_TRY(bt_conf_get_bool(f->conf, "task.init_cls_pooler", &initializes_pooler, err));
    BT_TRY(read_written(f->conf, "task.label_names", &names, err));
    if (initializes_pooler || are_others(&names, head)) { /* a head of one's own is wanted */
        return BT_OK;
    }
    BT_TRY(facts_adopt_bool(f, "task.init_head", true, err));
    return facts_adopt_bool(f, "task.model.use_encoder_pooler", true, err);
}

/* Tags that the short command found in the words: all of them are the head's. */
static bool are_found_tags(const bt_conf *conf, const bt_conf_str_list *names,
                           const bt_ckpt_head *head) {
    char   origin[BT_CONF_ORIGIN_MAX];
    size_t n_known = 0;
    for (size_t i = 0; i < names->n; i++) {
        for (size_t j = 0; j < head->n; j++) {
            n_known += bt_str_equal(names->items[i], head->names[j]) ? 1 : 0;
        }
    }
    return names->n > 0 && n_known == names->n && !bt_conf_is_written(conf, "task.init_head") &&
           bt_str_starts_with(bt_conf_origin(conf, "task.class_names", origin), "--train");
}

/* They have no order of their own: that of the head, and its others too. */
static bt_status take_tags(bt_conf *conf, const bt_ckpt_head *head, bt_error *err) {
    bt_status      rc = BT_OK;
    char           told[BT_LIST_MAX];
    bt_str         list = BT_STR_INIT;
    bt_conf_errors errors = BT_CONF_ERRORS_INIT;
    BT_CHECK(bt_str_append(&list, "task.class_names=[", err));
    for (size_t i = 0; i < head->n; i++) {
        BT_CHECK(bt_str_append(&list, i > 0 ? ", " : "", err));
        BT_CHECK(bt_str_append_json(&list, head->names[i], err));
    }
    BT_CHECK(bt_str_append_char(&list, ']', err));
    BT_CHECK(
        bt_conf_set(conf, bt_str_text(&list), "id2label of task.init_checkpoint", &errors, err));
    bt_list_all(told, sizeof told, (const char *const *)head->names, head->n);
    bt_log(BT_LOG_INFO, "task.class_names are those of the head: %s (id2label of %s)", told,
           head->path);
done:
    bt_conf_errors_deinit(&errors);
    bt_str_deinit(&list);
    return rc;
}

/* The tagger, unless its tags are not known, or the user has others: in task.class_names, or in the
 * meta data of his records. */
static bt_status adopt_tagger(fact_list *f, const bt_ckpt_head *head, int64_t n_classes,
                              bt_error *err) {
    const char      *meta = "";
    size_t           twice[2] = {0, 0};
    bool             have_names = false;
    bt_conf_str_list names;
    BT_TRY(read_written(f->conf, "task.class_names", &names, err));
    BT_TRY(bt_conf_get_str(f->conf, "task.meta_data_path", &meta, err));
    BT_TRY(head_facts_have_names(head, &have_names, twice, err));
    if (have_names && (int64_t)head->n == n_classes && are_found_tags(f->conf, &names, head)) {
        BT_TRY(take_tags(f->conf, head, err));
        return facts_adopt_bool(f, "task.init_head", true, err);
    }
    const bool is_ours = names.n > 0
                             ? (int64_t)names.n == n_classes && !are_others(&names, head)
                             : have_names && (int64_t)head->n == n_classes && meta[0] == '\0';
    return is_ours ? facts_adopt_bool(f, "task.init_head", true, err) : BT_OK;
}

static bt_status adopt_as_what_it_is(fact_list *f, const bt_ckpt_head *head, const char *what,
                                     const bt_ckpt_sizes *sizes, bt_error *err) {
    const bool is_tagging = bt_conf_has(f->conf, "task.class_names");
    if (bt_str_equal(what, "DistilBertForSequenceClassification") &&
        bt_conf_has(f->conf, "task.model.use_encoder_pooler")) {
        bt_log(BT_LOG_WARNING,
               "%s: the classifier of a DistilBERT has a layer with ReLU before it, which is not "
               "computed here: a new head is trained from its encoder",
               f->origin);
        return BT_OK;
    }
    if (bt_str_ends_with(what, "ForSequenceClassification") && sizes->head_classes > 0 &&
        bt_conf_has(f->conf, "task.model.use_encoder_pooler")) {
        return adopt_classifier(f, head, sizes->head_classes, err);
    }
    if (bt_str_ends_with(what, "ForTokenClassification") && sizes->token_classes > 0 &&
        is_tagging) {
        return adopt_tagger(f, head, sizes->token_classes, err);
    }
    return bt_str_ends_with(what, "ForQuestionAnswering") && sizes->token_classes == 2 &&
                   bt_conf_has(f->conf, "task.n_best_size")
               ? facts_adopt_bool(f, "task.init_head", true, err)
               : BT_OK;
}

bt_status facts_adopt_head(fact_list *f, const bt_ckpt *ckpt, const bt_ckpt_facts *facts,
                           const bt_ckpt_sizes *sizes, bt_error *err) {
    bt_ckpt_head head = {0};
    if (!bt_conf_has(f->conf, "task.init_head")) {
        return BT_OK;
    }
    BT_TRY(bt_ckpt_read_head(ckpt, &head, err));
    bt_status rc = adopt_as_what_it_is(f, &head, facts->architecture, sizes, err);
    facts_tell(f); /* before the names, which come from a part of the same file */
    if (rc == BT_OK) {
        rc = head_facts_take_names(f->conf, &head, err);
    }
    bt_ckpt_head_deinit(&head);
    return rc;
}
