/* SPDX-License-Identifier: Apache-2.0
 *
 * What the weights say of themselves in place of defaults: sizes, kind, activation, epsilon,
 * dropout and head of task.init_checkpoint or task.hub_module_url into the keys that nobody wrote.
 * What was written and cannot be so is refused where the weights are loaded (init_check.c,
 * module.c). */
#include "folder_facts.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/ckpt.h"
#include "bt/hub.h"
#include "weights_internal.h"

#define ENCODER "task.model.encoder"

static bt_status write_fact(bt_str *out, const char *name, const bt_conf_fact *fact,
                            bt_error *err) {
    switch (fact->kind) {
    case BT_CONF_FACT_BOOL:
        return bt_str_appendf(out, err, " %s %s", name, fact->u.b ? "true" : "false");
    case BT_CONF_FACT_I64:
        return bt_str_appendf(out, err, " %s %" PRId64, name, fact->u.i);
    case BT_CONF_FACT_F64:
        return bt_str_appendf(out, err, " %s %g", name, fact->u.f);
    case BT_CONF_FACT_STR:
        return bt_str_appendf(out, err, " %s %s", name, fact->u.s);
    case BT_CONF_FACT_STR_LIST: /* in a line of its own */
        return BT_OK;
    }
    return BT_OK;
}

/* The same key of the other section comes next, and is not told again. */
static bt_status note_fact(fact_list *f, const char *name, const bt_conf_fact *fact,
                           bt_error *err) {
    bt_str    item = BT_STR_INIT;
    bt_status rc = write_fact(&item, name, fact, err);
    if (rc == BT_OK && item.len > 0 &&
        !bt_str_ends_with(bt_str_text(&f->told), bt_str_text(&item))) {
        rc = f->told.len > 0
                 ? bt_str_append_char(&f->told, ',', err)
                 : bt_str_appendf(&f->told, err, "%s supplies what was not set:", f->origin);
        rc = rc == BT_OK ? bt_str_append(&f->told, bt_str_text(&item), err) : rc;
    }
    bt_str_deinit(&item);
    return rc;
}

/* Into the key unless it was written, is not there, or says the same; then it is told. */
static bt_status adopt(fact_list *f, const char *path, const bt_conf_fact *fact, bt_error *err) {
    bool adopted = false;
    BT_TRY(bt_conf_adopt(f->conf, path, fact, f->origin, &adopted, err));
    return adopted ? note_fact(f, strrchr(path, '.') + 1, fact, err) : BT_OK;
}

bt_status facts_adopt_i64(fact_list *f, const char *path, int64_t value, bt_error *err) {
    const bt_conf_fact fact = {.kind = BT_CONF_FACT_I64, .u.i = value};
    return value > 0 ? adopt(f, path, &fact, err) : BT_OK;
}

bt_status facts_adopt_bool(fact_list *f, const char *path, bool value, bt_error *err) {
    const bt_conf_fact fact = {.kind = BT_CONF_FACT_BOOL, .u.b = value};
    return adopt(f, path, &fact, err);
}

bt_status facts_adopt_str(fact_list *f, const char *path, const char *value, bt_error *err) {
    const bt_conf_fact fact = {.kind = BT_CONF_FACT_STR, .u.s = value};
    return adopt(f, path, &fact, err);
}

static bt_status adopt_rate(fact_list *f, const char *path, double value, bt_error *err) {
    const bt_conf_fact fact = {.kind = BT_CONF_FACT_F64, .u.f = value};
    return value >= 0 && value < 1 ? adopt(f, path, &fact, err) : BT_OK; /* not NaN */
}

static bt_status adopt_sizes(fact_list *f, const bt_ckpt_sizes *sizes, bt_error *err) {
    const struct {
        const char *path;
        int64_t     value;
    } rows[] = {
        {ENCODER ".*.vocab_size", sizes->vocab_size},
        {ENCODER ".*.hidden_size", sizes->hidden_size},
        {ENCODER ".*.num_layers", sizes->num_layers},
        {ENCODER ".*.num_attention_heads", sizes->num_attention_heads},
        {ENCODER ".*.intermediate_size", sizes->intermediate_size},
        {ENCODER ".*.max_position_embeddings", sizes->max_position_embeddings},
        {ENCODER ".*.type_vocab_size", sizes->type_vocab_size},
        {ENCODER ".*.embedding_width", sizes->embedding_size},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        BT_TRY(facts_adopt_i64(f, rows[i].path, rows[i].value, err));
    }
    return sizes->embedding_size != sizes->hidden_size
               ? facts_adopt_i64(f, ENCODER ".*.embedding_size", sizes->embedding_size, err)
               : BT_OK;
}

/* Only when nobody wrote anything of the encoder that the default names. */
static bt_status adopt_type(fact_list *f, const bt_ckpt *ckpt, bt_error *err) {
    const char *const type = bt_conf_type_of_oneof(f->conf, ENCODER);
    const bool        is_albert = bt_ckpt_get_encoder(ckpt) == BT_CKPT_ALBERT;
    return is_albert && type != NULL && !bt_str_equal(type, "albert") &&
                   !bt_conf_is_written_below(f->conf, ENCODER ".*")
               ? facts_adopt_str(f, ENCODER ".type", "albert", err)
               : BT_OK;
}

static bt_status adopt_arithmetic(fact_list *f, const bt_ckpt *ckpt, const bt_ckpt_facts *facts,
                                  bt_error *err) {
    const char *const word =
        facts->activation[0] != '\0' ? bt_ckpt_activation_word(ckpt, facts->activation) : NULL;
    bt_activation known = BT_ACT_GELU;
    if (word != NULL && bt_activation_from_name(word, &known, NULL) == BT_OK) {
        BT_TRY(facts_adopt_str(f, ENCODER ".*.hidden_activation", word, err));
    }
    if (facts->norm_eps > 0) {
        BT_TRY(adopt_rate(f, ENCODER ".*.layer_norm_eps", facts->norm_eps, err));
    }
    BT_TRY(adopt_rate(f, ENCODER ".*.dropout_rate", facts->dropout, err));
    BT_TRY(adopt_rate(f, ENCODER ".*.initializer_range", facts->initializer_range, err));
    BT_TRY(adopt_rate(f, "task.model.head_initializer_range", facts->initializer_range, err));
    BT_TRY(adopt_rate(f, "task.model.head_dropout", facts->classifier_dropout, err));
    return adopt_rate(f, ENCODER ".*.attention_dropout_rate", facts->attention_dropout, err);
}

void facts_tell(fact_list *f) {
    if (f->told.len > 0 && !bt_str_equal(bt_str_text(&f->told), bt_str_text(&f->last))) {
        const bt_str old = f->last;
        bt_log(BT_LOG_INFO, "%s", bt_str_text(&f->told));
        f->last = f->told;
        f->told = old;
    }
    bt_str_clear(&f->told);
}

/* Sequences of the default's length, where the model has positions for them. */
static bt_status adopt_lengths(fact_list *f, int64_t n_positions, bt_error *err) {
    static const char *const paths[] = {"task.train_data.seq_length",
                                        "task.validation_data.seq_length",
                                        "task.model.max_sequence_length"};
    for (size_t i = 0; i < BT_ARRAY_LEN(paths); i++) {
        BT_TRY(facts_adopt_length(f, paths[i], n_positions, err));
    }
    return BT_OK;
}

static const char *text_of(const bt_conf *conf, const char *path) {
    const char *text = NULL;
    return bt_conf_has(conf, path) && bt_conf_get_str(conf, path, &text, NULL) == BT_OK ? text : "";
}

static bt_status adopt_checkpoint(fact_list *f, bt_conf_mode mode, const char *path,
                                  bt_error *err) {
    bt_status     rc = BT_OK;
    char         *folder = NULL;
    bt_ckpt      *ckpt = NULL;
    bt_ckpt_facts facts;
    bt_ckpt_sizes sizes;
    BT_CHECK(init_open(path, text_of(f->conf, "task.hub_module_url")[0] != '\0', &ckpt, err));
    BT_CHECK(bt_ckpt_read_facts(ckpt, &facts, err));
    BT_CHECK(bt_ckpt_check_kind(ckpt, &facts, err));
    if (bt_ckpt_get_encoder(ckpt) == BT_CKPT_NO_ENCODER) {
        goto done; /* said where it is loaded */
    }
    if (facts.unknown_keys[0] != '\0') {
        bt_log(BT_LOG_WARNING,
               "%s: unknown keys %s: if they change what the model computes, this program computes "
               "something else",
               facts.path, facts.unknown_keys);
    }
    bt_ckpt_read_sizes(ckpt, &sizes);
    if (facts.n_layers > 0 &&
        facts.n_layers < sizes.num_layers) { /* the first ones are the model */
        sizes.num_layers = facts.n_layers;
    }
    if (sizes.num_layers == 0) { /* ALBERT repeats the one that the file has */
        sizes.num_layers = facts.n_layers;
    }
    if (sizes.num_attention_heads == 0) {
        sizes.num_attention_heads = facts.n_heads;
    }
    f->origin = facts.path[0] != '\0' ? facts.path : bt_ckpt_path(ckpt);
    BT_CHECK(adopt_type(f, ckpt, err));
    BT_CHECK(adopt_sizes(f, &sizes, err));
    BT_CHECK(adopt_arithmetic(f, ckpt, &facts, err));
    BT_CHECK(adopt_lengths(f, sizes.max_position_embeddings, err));
    BT_CHECK(facts_adopt_head(f, ckpt, &facts, &sizes, err));
    facts_tell(f);
    BT_CHECK(bt_fs_parent(bt_ckpt_path(ckpt), &folder, err));
    BT_CHECK(facts_adopt_text(f, mode, folder, err));
done:
    bt_free(folder);
    bt_ckpt_close(ckpt);
    return rc;
}

static bt_status adopt_module_folder(fact_list *f, const char *folder, bt_error *err) {
    bt_status      rc = BT_OK;
    bt_ckpt       *ckpt = NULL;
    bt_ckpt_module module = {0};
    bt_activation  known = BT_ACT_GELU;
    bt_ckpt_sizes  sizes;
    BT_CHECK(bt_ckpt_open(folder, &ckpt, err));
    BT_CHECK(bt_ckpt_module_read(folder, ckpt, &module, err));
    bt_ckpt_read_sizes(ckpt, &sizes);
    f->origin = folder;
    BT_CHECK(adopt_sizes(f, &sizes, err));
    if (bt_activation_from_name(module.activation, &known, NULL) == BT_OK) {
        BT_CHECK(facts_adopt_str(f, ENCODER ".*.hidden_activation", module.activation, err));
    }
    if (module.norm_first >= 0) {
        BT_CHECK(facts_adopt_bool(f, ENCODER ".*.norm_first", module.norm_first > 0, err));
    }
    BT_CHECK(adopt_rate(f, ENCODER ".*.dropout_rate", module.dropout_rate, err));
    BT_CHECK(
        adopt_rate(f, ENCODER ".*.attention_dropout_rate", module.attention_dropout_rate, err));
    BT_CHECK(adopt_lengths(f, sizes.max_position_embeddings, err));
    facts_tell(f);
done:
    bt_ckpt_module_deinit(&module);
    bt_ckpt_close(ckpt);
    return rc;
}

static bt_status adopt_module(fact_list *f, const char *url, bool offline, bt_error *err) {
    char           *folder = NULL;
    const char     *sha256 = "";
    const bool      has_pin = bt_conf_has(f->conf, "task.hub_module_sha256");
    const bt_status pinned =
        has_pin ? bt_conf_get_str(f->conf, "task.hub_module_sha256", &sha256, err) : BT_OK;
    const bt_hub_request request = {.handle = url, .sha256 = sha256, .offline = offline};
    BT_TRY(pinned);
    BT_TRY(bt_hub_resolve(&request, &folder, err));
    const bt_status rc = adopt_module_folder(f, folder, err);
    bt_free(folder);
    return rc;
}

bt_status bt_weights_adopt_facts(bt_conf *conf, bt_conf_mode mode, bool offline, bt_error *err) {
    fact_list         f = {.conf = conf, .told = BT_STR_INIT, .last = BT_STR_INIT};
    bt_status         rc = BT_OK;
    const char *const checkpoint = text_of(conf, "task.init_checkpoint");
    const char *const url = text_of(conf, "task.hub_module_url");
    if (checkpoint[0] != '\0' && url[0] != '\0') {
        return BT_OK; /* refused with the other contradictions between keys */
    }
    if (checkpoint[0] != '\0') {
        rc = adopt_checkpoint(&f, mode, checkpoint, err);
    } else if (url[0] != '\0') {
        rc = adopt_module(&f, url, offline, err);
    }
    bt_str_deinit(&f.told);
    bt_str_deinit(&f.last);
    return rc;
}
