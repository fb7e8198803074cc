/* SPDX-License-Identifier: Apache-2.0
 *
 * Does task.init_checkpoint fit the model? Every encoder variable must be in it, with its shape; so
 * must what shapes do not show, where a configuration beside it tells: heads and layers. Both
 * numbers are always said. */
#include "weights_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"

#define ENCODER_KEYS "task.model.encoder.*."

static bt_ckpt_encoder wanted_encoder(const bt_weights_use *use) {
    switch (use->plan->encoder.type) {
    case BT_ENCODER_BERT:
    case BT_ENCODER_BERT_V2:
        return BT_CKPT_BERT;
    case BT_ENCODER_ALBERT:
        return BT_CKPT_ALBERT;
    }
    return BT_CKPT_NO_ENCODER;
}

/* DistilBERT's layers are BERT's. */
static bt_ckpt_encoder wanted_by(bt_ckpt_encoder file) {
    return file == BT_CKPT_DISTILBERT ? BT_CKPT_BERT : file;
}

/* Another kind of encoder would be missing every variable: say why instead. */
static bt_status check_encoder(const bt_weights_use *use, const bt_ckpt *ckpt, bt_error *err) {
    const bt_ckpt_encoder has = bt_ckpt_get_encoder(ckpt);
    const bt_ckpt_encoder wants = wanted_encoder(use);
    if (has == BT_CKPT_NO_ENCODER) {
        return BT_FAIL(
            err, BT_E_FORMAT,
            "task.init_checkpoint %s: no BERT encoder in it (%zu tensors, %s layout, the "
            "first is '%.100s'): expected the names of Google's or Hugging Face's BERT "
            "or ALBERT, of DistilBERT, or of Model Garden's encoder",
            bt_ckpt_path(ckpt), bt_ckpt_n_tensors(ckpt),
            bt_ckpt_layout_name(bt_ckpt_get_layout(ckpt)),
            bt_ckpt_n_tensors(ckpt) > 0 ? bt_ckpt_tensor_at(ckpt, 0).name : "");
    }
    if (wanted_by(has) != wants) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "task.init_checkpoint %s holds %s, the model is %s: set "
                       "task.model.encoder.type to %s",
                       bt_ckpt_path(ckpt), bt_ckpt_encoder_name(has), bt_ckpt_encoder_name(wants),
                       has == BT_CKPT_ALBERT ? "albert" : "bert");
    }
    return BT_OK;
}

/* Shapes do not show how a layer's columns are cut into heads. */
static bt_status check_heads(const bt_weights_use *use, const bt_ckpt *ckpt,
                             const bt_ckpt_facts *facts, bt_error *err) {
    const int64_t n = use->plan->encoder.num_attention_heads;
    if (facts->n_heads == 0 || facts->n_heads == n) {
        return BT_OK;
    }
    return BT_FAIL(err, BT_E_SHAPE,
                   "task.init_checkpoint %s has %" PRId64
                   " attention heads (%s), the model has %" PRId64 " (" ENCODER_KEYS
                   "num_attention_heads)",
                   bt_ckpt_path(ckpt), facts->n_heads, facts->path, n);
}

static bool has_values(const float *values, int64_t width, int32_t rank) {
    const int64_t n = rank == 2 ? width * width : width;
    for (int64_t i = 0; i < n; i++) {
        const float wanted = rank == 2 && i % (width + 1) == 0 ? 1.0F : 0.0F;
        if (values[i] != wanted) {
            return false;
        }
    }
    return true;
}

/* A projection that changes nothing, as an export of such a model has one for transformers. */
static bt_status find_identity(bt_ckpt *ckpt, int64_t width, bool *out, bt_error *err) {
    const bt_param parts[] = {
        {.name = "embedding_projection/kernel",
         .rank = 2,
         .dim = {width, width},
         .n_elements = width * width},
        {.name = "embedding_projection/bias", .rank = 1, .dim = {width}, .n_elements = width}};
    bt_status    rc = BT_OK;
    float *const values = bt_alloc_array((size_t)(width * width), sizeof *values);
    *out = values != NULL;
    if (values == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the projection of %s",
                       bt_ckpt_path(ckpt));
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(parts) && *out; i++) {
        bt_error ignored = BT_ERROR_INIT;
        *out = bt_ckpt_check_variable(ckpt, &parts[i], &ignored) == BT_OK;
        if (*out) {
            BT_CHECK(bt_ckpt_read_variable(ckpt, &parts[i], NULL, values, err));
            *out = has_values(values, width, parts[i].rank);
        }
    }
done:
    bt_free(values);
    return rc;
}

/* Its place in the file's arithmetic would be left out. */
static bt_status check_projection(const bt_weights_use *use, bt_ckpt *ckpt, bt_error *err) {
    const bt_encoder_config *const e = &use->plan->encoder;
    bool                           is_identity = false;
    if (e->embedding_size != e->hidden_size ||
        bt_ckpt_find_variable(ckpt, "embedding_projection/kernel", NULL) < 0) {
        return BT_OK;
    }
    BT_TRY(find_identity(ckpt, e->hidden_size, &is_identity, err));
    if (is_identity) {
        return BT_OK;
    }
    return BT_FAIL(
        err, BT_E_SHAPE,
        "task.init_checkpoint %s has an embedding_projection, the model has none, as its "
        "embedding is as wide as its layers (%" PRId64 ", %s)",
        bt_ckpt_path(ckpt), e->hidden_size,
        e->type == BT_ENCODER_ALBERT ? ENCODER_KEYS "embedding_width"
                                     : ENCODER_KEYS "embedding_size");
}

static bt_status fail_missing(const bt_weights_use *use, const bt_ckpt *ckpt, const char *first,
                              int64_t n_missing, bt_error *err) {
    const int64_t n_layers = bt_ckpt_n_layers(ckpt);
    if (bt_ckpt_get_encoder(ckpt) != BT_CKPT_ALBERT && n_layers < use->plan->encoder.num_layers) {
        return BT_FAIL(err, BT_E_SHAPE,
                       "task.init_checkpoint %s has %" PRId64
                       " transformer layers, the model has %" PRId64 " (" ENCODER_KEYS
                       "num_layers)",
                       bt_ckpt_path(ckpt), n_layers, use->plan->encoder.num_layers);
    }
    return BT_FAIL(err, BT_E_FORMAT,
                   "task.init_checkpoint %s: %" PRId64
                   " variables that must come from it are missing, the first is %s "
                   "(bert-checkpoint list shows what it holds)",
                   bt_ckpt_path(ckpt), n_missing, first);
}

static bt_status check_names(const bt_weights_use *use, const bt_ckpt *ckpt, bt_error *err) {
    const char *first_missing = NULL;
    int64_t     n_missing = 0;
    for (int64_t i = 0; i < use->model->table.n_params; i++) {
        const init_source source = init_source_of(use, ckpt, i);
        if (source.kind == INIT_FILE && bt_ckpt_find_variable(ckpt, source.name, NULL) < 0) {
            first_missing = first_missing == NULL ? source.name : first_missing;
            n_missing++;
        }
    }
    return n_missing == 0 ? BT_OK : fail_missing(use, ckpt, first_missing, n_missing, err);
}

static bt_status check_shapes(const bt_weights_use *use, bt_ckpt *ckpt, bt_error *err) {
    for (int64_t i = 0; i < use->model->table.n_params; i++) {
        const init_source source = init_source_of(use, ckpt, i);
        bt_param          wanted = use->model->table.params[i];
        wanted.name = source.name;
        if (source.kind == INIT_FILE && bt_ckpt_check_variable(ckpt, &wanted, err) != BT_OK) {
            return bt_error_prefix(err,
                                   "task.init_checkpoint %s does not fit the model (task.model)",
                                   bt_ckpt_path(ckpt));
        }
    }
    return BT_OK;
}

/* The word of the key that was written, and the file's. */
static bt_status fail_arithmetic(const bt_weights_use *use, const bt_ckpt *ckpt,
                                 const bt_ckpt_facts *facts, const char *key, const char *theirs,
                                 const char *ours, bt_error *err) {
    char path[128];
    char origin[BT_CONF_ORIGIN_MAX];
    (void)snprintf(path, sizeof path, "task.model.encoder.*.%s", key);
    return BT_FAIL(err, BT_E_CONFIG,
                   "task.init_checkpoint %s was trained with %s (%s), but %s is %s (%s): leave the "
                   "key out, and what the file says is taken",
                   bt_ckpt_path(ckpt), theirs, facts->path, path, ours,
                   bt_conf_origin(use->conf, path, origin));
}

static bool is_gelu(bt_activation activation) {
    return activation == BT_ACT_GELU || activation == BT_ACT_GELU_ERF;
}

/* The two forms of gelu differ by less than 0.0005: nothing that fine-tuning would notice, so that
 * either may be meant. */
static bt_status check_activation(const bt_weights_use *use, const bt_ckpt *ckpt,
                                  const bt_ckpt_facts *facts, bt_error *err) {
    const bt_activation ours = use->plan->encoder.hidden_activation;
    const char *const   word = bt_ckpt_activation_word(ckpt, facts->activation);
    bt_activation       theirs = ours;
    char                text[BT_CKPT_WORD_MAX + 40];
    if (facts->activation[0] == '\0' || word == NULL ||
        bt_activation_from_name(word, &theirs, NULL) != BT_OK || theirs == ours ||
        (is_gelu(theirs) && is_gelu(ours))) {
        return BT_OK;
    }
    (void)snprintf(text, sizeof text, "the activation '%s'", facts->activation);
    return fail_arithmetic(use, ckpt, facts, "hidden_activation", text, bt_activation_name(ours),
                           err);
}

static bt_status check_epsilon(const bt_weights_use *use, const bt_ckpt *ckpt,
                               const bt_ckpt_facts *facts, bt_error *err) {
    const double eps = (double)use->model->encoder.norm_eps;
    char         theirs[64];
    char         ours[32];
    if (facts->norm_eps == 0 || fabs(facts->norm_eps - eps) <= eps / 10) {
        return BT_OK;
    }
    (void)snprintf(theirs, sizeof theirs, "layer_norm_eps %g", facts->norm_eps);
    (void)snprintf(ours, sizeof ours, "%g", eps);
    return fail_arithmetic(use, ckpt, facts, "layer_norm_eps", theirs, ours, err);
}

bt_status init_check(const bt_weights_use *use, bt_ckpt *ckpt, bt_error *err) {
    bt_ckpt_facts facts;
    BT_TRY(bt_ckpt_read_facts(ckpt, &facts, err));
    BT_TRY(bt_ckpt_check_kind(ckpt, &facts, err));
    BT_TRY(check_encoder(use, ckpt, err));
    BT_TRY(bt_ckpt_check_adapters(ckpt, &use->model->table, err));
    BT_TRY(check_names(use, ckpt, err));
    BT_TRY(check_shapes(use, ckpt, err));
    BT_TRY(check_projection(use, ckpt, err));
    BT_TRY(check_heads(use, ckpt, &facts, err));
    BT_TRY(check_activation(use, ckpt, &facts, err));
    return check_epsilon(use, ckpt, &facts, err);
}
