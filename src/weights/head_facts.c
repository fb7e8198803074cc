/* SPDX-License-Identifier: Apache-2.0
 *
 * A head that is taken from task.init_checkpoint (task.init_head) comes with facts: what its
 * outputs are called (id2label of config.json). Where the user says nothing they become keys of the
 * configuration, so that params.yaml holds them and every later run knows; where he says something
 * else, the run is refused with both. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/log.h"
#include "bt/base/map.h"
#include "weights_internal.h"

#define FROM_FILE BT_TASK_LABELS_OF_FILE

/* The key that names the classes of this experiment; NULL: it has no classes. */
static const char *names_key(const bt_conf *conf) {
    static const char *const keys[] = {"task.class_names", "task.label_names"};
    for (size_t i = 0; i < BT_ARRAY_LEN(keys); i++) {
        if (bt_conf_has(conf, keys[i])) {
            return keys[i];
        }
    }
    return NULL;
}

static bool takes_head(const bt_conf *conf, const char **path) {
    bool takes = false;
    *path = "";
    return bt_conf_has(conf, "task.init_head") &&
           bt_conf_get_bool(conf, "task.init_head", &takes, NULL) == BT_OK && takes &&
           !bt_conf_is_null(conf, "task.init_checkpoint") &&
           bt_conf_get_str(conf, "task.init_checkpoint", path, NULL) == BT_OK && (*path)[0] != '\0';
}

static bt_status compare_names(const bt_ckpt_head *head, const char *key,
                               const bt_conf_str_list *names, bt_error *err) {
    char ours[BT_LIST_MAX];
    char theirs[BT_LIST_MAX];
    bool are_same = names->n == head->n;
    for (size_t i = 0; are_same && i < names->n; i++) {
        are_same = bt_str_equal_nocase(names->items[i], head->names[i]);
    }
    if (are_same) {
        return BT_OK;
    }
    bt_list_all(ours, sizeof ours, names->items, names->n);
    bt_list_all(theirs, sizeof theirs, (const char *const *)head->names, head->n);
    return BT_FAIL(err, BT_E_CONFIG,
                   "%s is %s, but the head that task.init_head takes has the classes %s (id2label "
                   "of %s): leave %s out, or train a fresh head with task.init_head=false",
                   key, ours, theirs, head->path, key);
}

static bt_status set_names(bt_conf *conf, const bt_ckpt_head *head, const char *key,
                           bt_error *err) {
    const bt_conf_fact fact = {.kind = BT_CONF_FACT_STR_LIST,
                               .u.list = {(const char *const *)head->names, head->n}};
    bool               adopted = false;
    char               list[BT_LIST_MAX];
    BT_TRY(bt_conf_adopt(conf, key, &fact, FROM_FILE, &adopted, err));
    bt_list_all(list, sizeof list, (const char *const *)head->names, head->n);
    bt_log(BT_LOG_INFO, "classes of the head: %s (id2label of %s)", list, head->path);
    if (head->odd < head->n) {
        bt_log(BT_LOG_WARNING,
               "%s: class %zu is '%s' in id2label, but label2id says that '%s' is class %g: the "
               "first is taken, as transformers does",
               head->path, head->odd, head->names[head->odd], head->names[head->odd],
               head->odd_number);
    }
    return BT_OK;
}

bt_status head_facts_have_names(const bt_ckpt_head *head, bool *have, size_t twice[2],
                                bt_error *err) {
    *have = head->names != NULL && head->n >= 2;
    if (*have) {
        BT_TRY(bt_find_twice((const char *const *)head->names, head->n, &twice[0], &twice[1], err));
        *have = twice[1] == head->n;
    }
    return BT_OK;
}

/* Twice the same name names nothing. */
static bt_status find_use(const bt_ckpt_head *head, bool *is_useful, bt_error *err) {
    size_t twice[2] = {0, 0};
    BT_TRY(head_facts_have_names(head, is_useful, twice, err));
    if (!*is_useful && head->names != NULL && head->n >= 2) {
        bt_log(BT_LOG_WARNING,
               "classes %zu and %zu are both called '%s' in id2label of %s: its names are not used",
               twice[0], twice[1], head->names[twice[0]], head->path);
    }
    return BT_OK;
}

static bt_status take_names(bt_conf *conf, const bt_ckpt_head *head, bt_error *err) {
    const char *const key = names_key(conf);
    bt_conf_str_list  names = {0};
    int64_t           n_classes = 0;
    bool              is_useful = false;
    BT_TRY(find_use(head, &is_useful, err));
    if (!is_useful) {
        return BT_OK;
    }
    BT_TRY(bt_conf_get_str_list(conf, key, &names, err));
    if (names.n > 0) {
        return compare_names(head, key, &names, err);
    }
    if (bt_conf_has(conf, "task.model.num_classes")) {
        BT_TRY(bt_conf_get_i64(conf, "task.model.num_classes", &n_classes, err));
    }
    if (n_classes > 0 && n_classes != (int64_t)head->n) {
        char list[BT_LIST_MAX];
        bt_list_all(list, sizeof list, (const char *const *)head->names, head->n);
        return BT_FAIL(err, BT_E_CONFIG,
                       "task.model.num_classes is %" PRId64
                       ", but the head that task.init_head takes has %zu classes, %s (id2label of "
                       "%s)",
                       n_classes, head->n, list, head->path);
    }
    return set_names(conf, head, key, err);
}

#define PROBLEM "task.problem_type"

static bt_status take_problem(bt_conf *conf, const bt_ckpt_head *head, bt_conf_errors *errors,
                              bt_error *err) {
    const char *type = "";
    char        text[96];
    if (head->problem_type[0] == '\0' || !bt_conf_has(conf, PROBLEM)) {
        return BT_OK;
    }
    if (bt_str_equal(head->problem_type, "regression") && head->n > 1) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "the head that task.init_head takes predicts %zu scores (problem_type of "
                       "%s): one score, or classes, are supported",
                       head->n, head->path);
    }
    if (!bt_conf_is_null(conf, PROBLEM)) {
        BT_TRY(bt_conf_get_str(conf, PROBLEM, &type, err));
    }
    if (type[0] != '\0' && !bt_str_equal(type, head->problem_type)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       PROBLEM " is '%s', but the head that task.init_head takes was trained for "
                               "'%s' (problem_type of %s)",
                       type, head->problem_type, head->path);
    }
    if (type[0] != '\0') {
        return BT_OK;
    }
    (void)snprintf(text, sizeof text, PROBLEM "=%s", head->problem_type);
    bt_log(BT_LOG_INFO, "the head's problem: %s (problem_type of %s)", head->problem_type,
           head->path);
    return bt_conf_set(conf, text, "problem_type of task.init_checkpoint", errors, err);
}

/* A dual encoder has no head, but a way to make a vector of its tokens. */
static bool is_dual_encoder(const bt_conf *conf, const char **path) {
    return bt_conf_has(conf, "task.model.pooling") &&
           !bt_conf_is_null(conf, "task.init_checkpoint") &&
           bt_conf_get_str(conf, "task.init_checkpoint", path, NULL) == BT_OK && (*path)[0] != '\0';
}

/* Heads of different kinds have the same names of tensors, and perhaps the same shapes. */
static bt_status check_kind(const bt_conf *conf, const bt_ckpt *ckpt, bt_error *err) {
    static const struct {
        const char *key; /* that experiments of this kind have */
        const char *kind;
        const char *what;
    } rows[] = {{"task.class_names", "ForTokenClassification", "a class of each word"},
                {"task.n_best_size", "ForQuestionAnswering", "where an answer begins and ends"},
                {"task.model.use_encoder_pooler", "ForSequenceClassification",
                 "a class (or score) of each text"}};
    const char   *wanted = "";
    const char   *what = "";
    bool          is_other = false;
    bt_ckpt_facts facts = {0};
    BT_TRY(bt_ckpt_read_facts(ckpt, &facts, err));
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        const bool is_ours = bt_conf_has(conf, rows[i].key);
        if (is_ours) {
            wanted = rows[i].kind;
        }
        if (bt_str_ends_with(facts.architecture, rows[i].kind)) {
            what = rows[i].what;
            is_other = !is_ours;
        }
    }
    return is_other ? BT_FAIL(err, BT_E_CONFIG,
                              "task.init_head: the head beside %s is that of a %s, which says %s, "
                              "but %s needs the head of a ...%s: set task.init_head=false, and a "
                              "new head is trained",
                              facts.path, facts.architecture, what, bt_conf_experiment_name(conf),
                              wanted)
                    : BT_OK;
}

static bt_status read_classes(bt_conf *conf, const bt_ckpt *ckpt, bt_conf_errors *errors,
                              bt_error *err) {
    bt_ckpt_head head = {0};
    BT_TRY(check_kind(conf, ckpt, err));
    if (names_key(conf) == NULL) {
        return BT_OK;
    }
    bt_status rc = bt_ckpt_read_head(ckpt, &head, err);
    if (rc == BT_OK) {
        rc = take_names(conf, &head, err);
    }
    if (rc == BT_OK) {
        rc = take_problem(conf, &head, errors, err);
    }
    bt_ckpt_head_deinit(&head);
    return rc;
}

bt_status head_facts_take_names(bt_conf *conf, const bt_ckpt_head *head, bt_error *err) {
    const char *const key = names_key(conf);
    const char       *path = NULL;
    size_t            twice[2] = {0, 0};
    bool              are_useful = false;
    BT_TRY(head_facts_have_names(head, &are_useful, twice, err));
    return are_useful && key != NULL && takes_head(conf, &path) && bt_conf_n_items(conf, key) == 0
               ? take_names(conf, head, err)
               : BT_OK;
}

bt_status bt_weights_read_head(bt_conf *conf, bt_conf_errors *errors, bt_error *err) {
    const char *path = NULL;
    bt_ckpt    *ckpt = NULL;
    bt_error    ignored = BT_ERROR_INIT;
    const bool  has_vectors = is_dual_encoder(conf, &path);
    /* a checkpoint that is not there is told where it is needed: a run that goes on does not */
    if ((!has_vectors && !takes_head(conf, &path)) ||
        bt_ckpt_open(path, &ckpt, &ignored) != BT_OK) {
        return ignored.code == BT_E_NOMEM || ignored.code == BT_E_INTERRUPTED
                   ? BT_FAIL(err, ignored.code, "%s", ignored.msg)
                   : BT_OK;
    }
    const bt_status rc = has_vectors ? sentence_facts_adopt(conf, ckpt, errors, err)
                                     : read_classes(conf, ckpt, errors, err);
    bt_ckpt_close(ckpt);
    return rc;
}
