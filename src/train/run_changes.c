/* SPDX-License-Identifier: Apache-2.0
 *
 * A run that goes on says what differs from how it began: params.yaml of model_dir against the
 * configuration of now, key by key, and the words of the vocabulary against those that the
 * checkpoint knows. What cannot be meant is refused, unless --allow_changed names it. The table of
 * what that is is in docs/reliability.md as well. */
#include "run_checks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/ckpt.h"
#include "bt/fs.h"
#include "model_dir.h"
#include "run_state.h"
#include "vocabulary.h"

enum { MAX_TOLD = 20, KEY_MAX = 256 };

static const char vocabulary_key[] = "task.train_data.vocab_file";
static const char evaluated_key[] = "task.validation_data.vocab_file";
static const char data_key[] = "task.train_data.input_path";
static const char optimizer_key[] = "trainer.optimizer_config.optimizer.";

/* When a change of a key that fits is refused. */
typedef enum change_when {
    ALWAYS,
    OF_SLOTS,      /* the optimizer keeps other slots */
    OF_MODEL,      /* more than dropout, initial values or the scale of a loss */
    OF_TEXT,       /* the rows are text */
    OF_WINDOWS,    /* the rows are windows over documents */
    OF_VOCABULARY, /* the words are others, whatever the file is called */
    OF_PLACE,      /* what the files say is other, and the checkpoint's place is none in them */
    OF_SHARE,      /* what the files say is other, and a share of it is held out */
} change_when;

typedef struct change_rule {
    const char *key; /* "a.b", or "a.b." for all below it */
    change_when when;
    const char *why;
} change_rule;

static const change_rule rules[] = {
    {"trainer.optimizer_config.optimizer.type", ALWAYS,
     "the checkpoint's slots belong to the other"},
    {optimizer_key, OF_SLOTS, "it keeps other slots than the checkpoint holds"},
    {"trainer.optimizer_config.ema", ALWAYS, "averages would begin or end in the middle of a run"},
    {"task.model.freeze", ALWAYS, "the checkpoint has slots of what was trained then"},
    {"task.model.", OF_MODEL, "the checkpoint's weights belong to the other model"},
    {"task.model", ALWAYS, "the checkpoint's weights belong to the other model"},
    {"task.problem_type", ALWAYS, "the head was trained for the other problem"},
    {"task.class_names", ALWAYS, "the head was trained for the other classes"},
    {vocabulary_key, OF_VOCABULARY, "the weights were trained for other words"},
    {data_key, OF_SHARE, "rows that were trained on would be evaluated"},
    {data_key, OF_PLACE, "the place in the data that the checkpoint knows is lost"},
    {"task.train_data.held_out", ALWAYS, "rows that were trained on would be evaluated"},
    {"task.train_data.held_out_fold", ALWAYS, "rows that were trained on would be evaluated"},
    {"task.train_data.held_out_seed", ALWAYS, "rows that were trained on would be evaluated"},
    {"task.train_data.held_out_share", ALWAYS, "rows that were trained on would be evaluated"},
    {"task.train_data.lower_case", OF_TEXT, "the same text would have other words"},
    {"task.train_data.do_lower_case", OF_TEXT, "the same text would have other words"},
    {"task.train_data.tokenization", OF_TEXT, "the same text would have other words"},
    {"task.train_data.seq_length", OF_WINDOWS,
     "the windows are the rows, so the rows would differ"},
    {"task.train_data.doc_stride", OF_WINDOWS,
     "the windows are the rows, so the rows would differ"},
    {"task.train_data.query_length", OF_WINDOWS,
     "the windows are the rows, so the rows would differ"},
};

/* Keys of the model that a run may well change on its way. */
static const char *const model_words[] = {"dropout",     "initializer",  "stddev",
                                          "logit_scale", "logit_margin", "lora.init"};

typedef struct changes {
    const changes_now *now;
    const bt_conf     *conf;   /* of now */
    const char        *prefix; /* the checkpoint */
    bt_conf           *then;   /* NULL: params.yaml is missing or cannot be compared */
    run_state          state;  /* of the checkpoint; zeros: it has none */
    bt_conf_changes    list;
    bool               slots_differ;
    bool               words_differ;
    bool               rows_differ; /* what the training files say, whatever they are called */
} changes;

/* The i-th key of the flag's value, or false after the last. */
static bool nth_key(const char *text, size_t index, char key[KEY_MAX]) {
    for (size_t i = 0; text != NULL && *text != '\0'; i++) {
        const size_t n = strcspn(text, ",");
        if (i == index) {
            const size_t fits = n < KEY_MAX - 1 ? n : KEY_MAX - 1;
            memcpy(key, text, fits);
            key[fits] = '\0';
            return true;
        }
        text += text[n] == ',' ? n + 1 : n;
    }
    return false;
}

/* key is path, or a section above it. */
static bool is_above(const char *key, const char *path) {
    const size_t n = strlen(key);
    return n > 0 && strncmp(key, path, n) == 0 && (path[n] == '\0' || path[n] == '.');
}

static bool is_allowed(const changes *c, const char *path) {
    char key[KEY_MAX];
    for (size_t i = 0; nth_key(c->now->args->allow_changed, i, key); i++) {
        if (is_above(key, path)) {
            return true;
        }
    }
    return false;
}

/* A key that is nowhere would allow nothing, in silence. */
static bt_status check_allowed(const changes *c, bt_error *err) {
    char key[KEY_MAX];
    for (size_t i = 0; nth_key(c->now->args->allow_changed, i, key); i++) {
        if (key[0] != '\0' &&
            (bt_conf_has(c->conf, key) || (c->then != NULL && bt_conf_has(c->then, key)))) {
            continue;
        }
        return BT_FAIL(err, BT_E_CONFIG,
                       "--allow_changed: '%s' is not a key of %s (a key as in params.yaml, e.g. "
                       "trainer.optimizer_config.optimizer.type, or a section)",
                       key, bt_conf_experiment_name(c->conf));
    }
    return BT_OK;
}

/* What cannot be read cannot be compared; that is said, and no reason to stop. */
static bt_status load_then(changes *c, bt_error *err) {
    bt_status      rc = BT_OK;
    char          *path = NULL;
    bt_conf_errors errors = BT_CONF_ERRORS_INIT;
    bt_error       problem = BT_ERROR_INIT;
    bt_fs_info     info = {0};
    BT_CHECK(model_dir_file(c->now->args->model_dir, MODEL_PARAMS, &path, err));
    BT_CHECK(bt_fs_stat(path, &info, err));
    if (info.kind == BT_FS_MISSING) {
        bt_log(BT_LOG_WARNING, "%s is missing: what has changed since the run began is not known",
               path);
        goto done;
    }
    const char *const  files[] = {path};
    const bt_conf_args args = {
        .experiment = bt_conf_experiment_name(c->conf), .config_files = files, .n_config_files = 1};
    rc = bt_conf_build(&args, &c->then, &errors, &problem);
    if (rc == BT_E_NOMEM) {
        *err = problem;
        goto done;
    }
    if (rc != BT_OK) {
        bt_log(BT_LOG_WARNING, "what has changed since the run began cannot be determined: %s",
               errors.n > 0 ? errors.items[0].text : problem.msg);
        rc = BT_OK;
    }
done:
    bt_conf_errors_deinit(&errors);
    bt_free(path);
    return rc;
}

/* params.yaml may have been written by hand since. */
static bool has_optimizer(const bt_conf *then) {
    bt_error            ignored = BT_ERROR_INIT;
    bt_conf_errors      errors = BT_CONF_ERRORS_INIT;
    const bt_conf_check check = {
        .conf = then, .mode = BT_CONF_MODE_TRAIN, .errors = &errors, .err = &ignored};
    const bool is_whole = bt_optim_check(&check) == BT_OK && errors.n == 0;
    bt_conf_errors_deinit(&errors);
    return is_whole;
}

/* The slots of the optimizer of then: another list of names is another optimizer. */
static bool other_slots(const changes *c) {
    bt_optim              *then = NULL;
    bt_error               ignored = BT_ERROR_INIT;
    const bt_optim *const  now = c->now->optim;
    const bt_optim_derived derived = {.train_steps = 1, .makes_no_step = true};
    if (now == NULL || !has_optimizer(c->then) ||
        bt_optim_create(c->then, &derived, c->now->table, &then, &ignored) != BT_OK) {
        return false; /* it cannot be built any more: its type says so */
    }
    bool differ = bt_optim_n_slots(then) != bt_optim_n_slots(now);
    for (int32_t i = 0; !differ && i < bt_optim_n_slots(now); i++) {
        differ = !bt_str_equal(bt_optim_slot_name(then, i), bt_optim_slot_name(now, i));
    }
    bt_optim_free(then);
    return differ;
}

/* What the checkpoint says of the run then; zeros: nothing. */
static run_state state_of(const char *prefix) {
    bt_ckpt  *ckpt = NULL;
    bt_str    bytes = BT_STR_INIT;
    bool      found = false;
    bt_error  ignored = BT_ERROR_INIT; /* whoever restores it tells */
    run_state state = {0};
    if (bt_ckpt_open(prefix, &ckpt, &ignored) == BT_OK &&
        bt_ckpt_read_state(ckpt, &bytes, &found, &ignored) == BT_OK && found) {
        bt_reader reader = bt_reader_make(bytes.data, bytes.len);
        if (!run_state_read(&reader, &state)) {
            state = (run_state){0};
        }
    }
    bt_str_deinit(&bytes);
    bt_ckpt_close(ckpt);
    return state;
}

/* Where the checkpoint does not say, the file of then may still be there. */
static bool other_words(const changes *c) {
    uint64_t    then = c->state.vocabulary != 0 ? c->state.vocabulary : c->now->recorded_vocabulary;
    const char *path = "";
    bt_error    ignored = BT_ERROR_INIT;
    if (then == 0 && c->then != NULL && bt_conf_has(c->then, vocabulary_key) &&
        bt_conf_get_str(c->then, vocabulary_key, &path, &ignored) == BT_OK &&
        vocabulary_read(path, &then, &ignored) != BT_OK) {
        then = 0;
    }
    return then != 0 && c->now->vocabulary != 0 && then != c->now->vocabulary;
}

/* A checkpoint of an earlier version does not say; a number of rows alone says little. */
static bool other_rows(const changes *c) {
    const bt_data_stream *const data = c->now->train_data;
    const uint64_t              now = bt_data_content(data);
    return (c->state.content != 0 && now != 0 && c->state.content != now) ||
           (c->state.n_rows > 0 && c->state.n_rows != bt_data_n_rows(data));
}

static const bt_conf_change *find_change(const changes *c, const char *path) {
    for (size_t i = 0; i < c->list.n; i++) {
        if (bt_str_equal(c->list.items[i].path, path)) {
            return &c->list.items[i];
        }
    }
    return NULL;
}

static bt_status compare(changes *c, bt_error *err) {
    if (c->then != NULL) {
        BT_TRY(bt_conf_diff(c->then, c->conf, &c->list, err));
        c->slots_differ = other_slots(c);
    }
    c->state = state_of(c->prefix);
    c->words_differ = other_words(c);
    c->rows_differ = other_rows(c);
    return BT_OK;
}

/* "203 rows (crc32c 1a2b3c4d)" */
static const char *describe_rows(int64_t n_rows, uint64_t content, char text[64]) {
    (void)snprintf(text, 64, content != 0 ? "%" PRId64 " rows (crc32c %08x)" : "%" PRId64 " rows",
                   n_rows, (unsigned)content);
    return text;
}

static bool is_about_model(const char *path) {
    for (size_t i = 0; i < BT_ARRAY_LEN(model_words); i++) {
        if (strstr(path, model_words[i]) != NULL) {
            return false;
        }
    }
    return true;
}

/* Windows and sequences of words are other ones with another vocabulary or other texts. */
static bool has_windows(const changes *c) {
    return c->now->plan->train_schema.squad.vocab_file != NULL ||
           c->now->plan->train_schema.words.is_used;
}

/* Windows over other documents are other rows; a table that has lost rows may end before the place.
 */
static bool is_place_lost(const changes *c) {
    return c->rows_differ &&
           (has_windows(c) || c->state.cursor.index > (uint64_t)bt_data_n_rows(c->now->train_data));
}

static bool applies(const changes *c, const change_rule *rule, const char *path) {
    const size_t n = strlen(rule->key);
    const bool   fits =
        rule->key[n - 1] == '.' ? strncmp(rule->key, path, n) == 0 : bt_str_equal(rule->key, path);
    if (!fits) {
        return false;
    }
    switch (rule->when) {
    case ALWAYS:
        return true;
    case OF_SLOTS:
        return c->slots_differ;
    case OF_MODEL:
        return is_about_model(path);
    case OF_TEXT:
        return c->now->vocabulary != 0;
    case OF_WINDOWS:
        return c->now->vocabulary != 0 && has_windows(c);
    case OF_VOCABULARY:
        return c->words_differ;
    case OF_PLACE:
        return is_place_lost(c);
    case OF_SHARE:
        return c->rows_differ && c->now->config->train_data.held_out != BT_HELD_OUT_ALL;
    }
    return false;
}

/* Why a change of the key is refused; NULL: it is not. */
static const char *find_objection(const changes *c, const char *path) {
    for (size_t i = 0; i < BT_ARRAY_LEN(rules); i++) {
        if (applies(c, &rules[i], path)) {
            return is_allowed(c, path) ? NULL : rules[i].why;
        }
    }
    return NULL;
}

/* "key: then -> now (why); ..." of all that is refused, and the keys for the flag. */
typedef struct objections {
    size_t n;
    bt_str what;
    bt_str keys;
} objections;

static bt_status object(objections *all, const char *path, const char *then, const char *now,
                        const char *why, bt_error *err) {
    enum { MAX_SAID = 3 };
    const char *const comma = all->n > 0 ? "," : "";
    if (++all->n <= MAX_SAID) {
        BT_TRY(bt_str_appendf(&all->what, err, "%s%s: %.60s -> %.60s (%s)", all->n > 1 ? "; " : "",
                              path, then, now, why));
    }
    return bt_str_appendf(&all->keys, err, "%s%s", comma, path);
}

static bt_status object_to_rows(const changes *c, objections *all, bt_error *err) {
    const bt_data_stream *const data = c->now->train_data;
    const char *const           why = find_objection(c, data_key);
    char                        then[64];
    char                        now[64];
    return why == NULL
               ? BT_OK
               : object(all, data_key, describe_rows(c->state.n_rows, c->state.content, then),
                        describe_rows(bt_data_n_rows(data), bt_data_content(data), now), why, err);
}

static bt_status collect(const changes *c, objections *all, bt_error *err) {
    for (size_t i = 0; i < c->list.n; i++) {
        const bt_conf_change *const change = &c->list.items[i];
        const char *const           why = find_objection(c, change->path);
        if (why != NULL) {
            BT_TRY(object(all, change->path, change->then, change->now, why, err));
        }
    }
    if (c->words_differ && find_change(c, vocabulary_key) == NULL) {
        const char *const why = find_objection(c, vocabulary_key);
        if (why != NULL) {
            BT_TRY(object(all, vocabulary_key, "the words of then", "the words of now", why, err));
        }
    }
    return c->rows_differ && find_change(c, data_key) == NULL ? object_to_rows(c, all, err) : BT_OK;
}

static bt_status refuse(const changes *c, bt_error *err) {
    bt_status  rc = BT_OK;
    objections all = {.what = BT_STR_INIT, .keys = BT_STR_INIT};
    BT_CHECK(collect(c, &all, err));
    if (all.n > 0) {
        rc = BT_FAIL(err, BT_E_CONFIG,
                     "%s was trained with other parameters, which cannot be changed during a run: "
                     "%s%s; take the old values (params.yaml beside it) or another --model_dir, or "
                     "say --allow_changed=%.300s",
                     c->prefix, bt_str_text(&all.what), all.n > 3 ? "; and more" : "",
                     bt_str_text(&all.keys));
    }
done:
    bt_str_deinit(&all.what);
    bt_str_deinit(&all.keys);
    return rc;
}

static void tell(const changes *c) {
    size_t n_more = 0;
    for (size_t i = 0; i < c->list.n; i++) {
        const bt_conf_change *const change = &c->list.items[i];
        if (i < MAX_TOLD) {
            bt_log(BT_LOG_INFO, "changed since the run began: %s: %s -> %s", change->path,
                   change->then, change->now);
        } else {
            n_more++;
        }
    }
    if (n_more > 0) {
        bt_log(BT_LOG_INFO, "changed since the run began: %zu more keys", n_more);
    }
    if (c->words_differ) {
        bt_log(BT_LOG_WARNING, "changed since the run began: the words of the vocabulary");
    }
    if (c->rows_differ) {
        const bt_data_stream *const data = c->now->train_data;
        char                        then[64];
        char                        now[64];
        bt_log(BT_LOG_WARNING, "changed since the run began: the training data: %s -> %s%s",
               describe_rows(c->state.n_rows, c->state.content, then),
               describe_rows(bt_data_n_rows(data), bt_data_content(data), now),
               c->state.n_rows != bt_data_n_rows(data)
                   ? "; the order of the rows goes on differently"
                   : "");
    }
}

/* Nothing but other words is refused there, so nothing else can be allowed. */
static bt_status check_allowed_words(const changes *c, bt_error *err) {
    char key[KEY_MAX];
    for (size_t i = 0; nth_key(c->now->args->allow_changed, i, key); i++) {
        if (!is_above(key, evaluated_key)) {
            return BT_FAIL(err, BT_E_CONFIG,
                           "--allow_changed: '%s': with --mode=%s only %s can be allowed", key,
                           bt_conf_mode_name(c->now->args->mode), evaluated_key);
        }
    }
    return BT_OK;
}

/* Text cut into other words than those that the weights know gives numbers that mean nothing. */
static bt_status check_words(changes *c, bt_error *err) {
    const char *const path = vocabulary_file(&c->now->plan->validation_schema);
    const char       *then_path = "";
    uint64_t          now = 0;
    BT_TRY(check_allowed_words(c, err));
    if (c->prefix == NULL || path == NULL) {
        return BT_OK;
    }
    uint64_t then = state_of(c->prefix).vocabulary;
    if (then == 0) { /* a checkpoint that another program wrote */
        then = c->now->recorded_vocabulary;
    }
    if (then != 0) {
        BT_TRY(vocabulary_read(path, &now, err));
    }
    if (then == 0 || now == 0 || then == now) {
        return BT_OK;
    }
    if (is_allowed(c, evaluated_key)) {
        bt_log(BT_LOG_WARNING, "%s was trained with other words than %s has", c->prefix, path);
        return BT_OK;
    }
    BT_TRY(load_then(c, err));
    if (c->then != NULL && bt_conf_has(c->then, vocabulary_key)) {
        BT_TRY(bt_conf_get_str(c->then, vocabulary_key, &then_path, err));
    }
    return BT_FAIL(err, BT_E_CONFIG,
                   "%s was trained with another vocabulary (%s%s%" PRIu64
                   " bytes, crc32c %08x) than %s %s (%" PRIu64
                   " bytes, crc32c %08x): the same text would be other words; name that of then, "
                   "or say --allow_changed=%s",
                   c->prefix, then_path, then_path[0] != '\0' ? ": " : "", then >> 32,
                   (unsigned)then, evaluated_key, path, now >> 32, (unsigned)now, evaluated_key);
}

static bt_status check_pooling(const changes *c, bt_error *err) {
    static const char key[] = "task.model.pooling";
    const char       *then = NULL;
    const char       *now = NULL;
    BT_TRY(bt_conf_get_str(c->then, key, &then, err));
    BT_TRY(bt_conf_get_str(c->conf, key, &now, err));
    return bt_str_equal(then, now)
               ? BT_OK
               : BT_FAIL(err, BT_E_CONFIG,
                         "%s was trained with %s '%s' (params.yaml beside it), now it is '%s': the "
                         "vectors would be others; say %s=%s",
                         c->prefix, key, then, now, key, then);
}

/* Written, another one is meant: the vectors have the same directions. */
static bt_status check_unit_length(const changes *c, bt_error *err) {
    static const char key[] = "task.model.normalize";
    char              origin[BT_CONF_ORIGIN_MAX];
    bool              then = false;
    bool              now = false;
    BT_TRY(bt_conf_get_bool(c->then, key, &then, err));
    BT_TRY(bt_conf_get_bool(c->conf, key, &now, err));
    if (then == now || !bt_str_equal(bt_conf_origin(c->conf, key, origin), "default")) {
        return BT_OK;
    }
    return BT_FAIL(err, BT_E_CONFIG,
                   "%s was trained with %s=%s (params.yaml beside it), now it is %s, its default: "
                   "say which is meant",
                   c->prefix, key, then ? "true" : "false", now ? "true" : "false");
}

/* No variable is missing where a dual encoder's vectors are made otherwise than in training. */
static bt_status check_vectors(changes *c, bt_error *err) {
    if (c->prefix == NULL || !bt_conf_has(c->conf, "task.model.pooling")) {
        return BT_OK;
    }
    if (c->then == NULL) {
        BT_TRY(load_then(c, err));
    }
    if (c->then == NULL) {
        return BT_OK;
    }
    BT_TRY(check_pooling(c, err));
    return check_unit_length(c, err);
}

/* Which rows are held out follows from all of the file: of another one they are others, and rows
 * that were trained on are among them. */
static bt_status check_held_out(const changes *c, bt_error *err) {
    const bt_data_stream *const data = c->now->validation_data;
    if (c->prefix == NULL || data == NULL ||
        c->now->config->validation_data.held_out != BT_HELD_OUT_ONLY) {
        return BT_OK;
    }
    const uint64_t then = state_of(c->prefix).content;
    const uint64_t now = bt_data_content(data);
    return then == 0 || now == 0 || then == now
               ? BT_OK
               : BT_FAIL(err, BT_E_CONFIG,
                         "task.validation_data.input_path has other rows (crc32c %08x) than those "
                         "that %s was trained on (crc32c %08x): rows that were trained on would "
                         "be evaluated as held out; take the data of then, or evaluate on others "
                         "(--eval)",
                         (unsigned)now, c->prefix, (unsigned)then);
}

/* As load_then(), but no file is nothing to tell: Model Garden's runs are evaluated too. */
static bt_status load_if_there(changes *c, bt_error *err) {
    char     *path = NULL;
    bool      is_there = false;
    bt_status rc = BT_OK;
    BT_CHECK(model_dir_file(c->now->args->model_dir, MODEL_PARAMS, &path, err));
    BT_CHECK(bt_fs_look(path, &is_there, err));
    if (is_there) {
        rc = load_then(c, err);
    }
done:
    bt_free(path);
    return rc;
}

/* An encoder of the same shapes that computes otherwise (another activation) restores all the
 * same. */
static bt_status tell_encoder(changes *c, bt_error *err) {
    static const char encoder[] = "task.model.encoder.";
    static const char adapters[] = "task.model.lora";
    if (c->prefix == NULL) {
        return BT_OK;
    }
    if (c->then == NULL) {
        BT_TRY(load_if_there(c, err));
    }
    if (c->then == NULL) {
        return BT_OK;
    }
    BT_TRY(bt_conf_diff(c->then, c->conf, &c->list, err));
    for (size_t i = 0; i < c->list.n; i++) {
        const bt_conf_change *const change = &c->list.items[i];
        if (strncmp(change->path, adapters, sizeof adapters - 1) == 0 &&
            strstr(change->path, "dropout") == NULL && strstr(change->path, "init") == NULL) {
            return BT_FAIL(err, BT_E_CONFIG,
                           "%s was trained with %s %s (params_ours.yaml beside it), now it is %s: "
                           "the model would compute something else; take the old value",
                           c->prefix, change->path, change->then, change->now);
        }
        if (strncmp(change->path, encoder, sizeof encoder - 1) == 0 &&
            is_about_model(change->path)) {
            bt_log(BT_LOG_WARNING,
                   "%s was trained with %s %s (params.yaml beside it), now it is %s: the model may "
                   "answer otherwise",
                   c->prefix, change->path, change->then, change->now);
        }
    }
    return BT_OK;
}

static bt_status check_evaluation(const changes_now *now, const char *prefix, bt_error *err) {
    changes c = {
        .now = now, .conf = now->args->conf, .prefix = prefix, .list = BT_CONF_CHANGES_INIT};
    bt_status rc = check_words(&c, err);
    if (rc == BT_OK) {
        rc = check_held_out(&c, err);
    }
    if (rc == BT_OK) {
        rc = check_vectors(&c, err);
    }
    if (rc == BT_OK) {
        rc = tell_encoder(&c, err);
    }
    bt_conf_changes_deinit(&c.list);
    bt_conf_free(c.then);
    return rc;
}

bt_status changes_check(const changes_now *now, const char *prefix, bt_error *err) {
    bt_status rc = BT_OK;
    changes   c = {
          .now = now, .conf = now->args->conf, .prefix = prefix, .list = BT_CONF_CHANGES_INIT};
    if (!bt_conf_mode_trains(now->args->mode)) {
        return check_evaluation(now, prefix, err);
    }
    if (prefix == NULL) {
        return check_allowed(&c, err);
    }
    BT_CHECK(load_then(&c, err));
    BT_CHECK(check_allowed(&c, err));
    BT_CHECK(compare(&c, err));
    tell(&c);
    BT_CHECK(refuse(&c, err));
done:
    bt_conf_changes_deinit(&c.list);
    bt_conf_free(c.then);
    return rc;
}
