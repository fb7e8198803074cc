/* SPDX-License-Identifier: Apache-2.0
 *
 * task.hub_module_url: the module is fetched (or found in the cache), held against the model, and
 * then is what an init_checkpoint is: the encoder's variables. Model Garden ignores the encoder of
 * the configuration; here the two must agree, because the numbers would be those of the module
 * while params.yaml says another model. */
#include "weights_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/ckpt.h"
#include "bt/fs.h"
#include "bt/hub.h"

/* What differs, as two lists: "hidden_size 32, num_layers 2" of the module and of the model. */
typedef struct difference {
    bt_str module;
    bt_str model;
} difference;

static bt_status add_difference(difference *d, const char *name, const char *module,
                                const char *model, bt_error *err) {
    const char *const comma = d->module.len > 0 ? ", " : "";
    BT_TRY(bt_str_appendf(&d->module, err, "%s%s %s", comma, name, module));
    return bt_str_appendf(&d->model, err, "%s%s %s", comma, name, model);
}

static bt_status compare_sizes(difference *d, const bt_ckpt_module *module,
                               const bt_encoder_config *encoder, bt_error *err) {
    const struct {
        const char *name;
        int64_t     module;
        int64_t     model;
    } rows[] = {
        {"vocab_size", module->sizes.vocab_size, encoder->vocab_size},
        {"hidden_size", module->sizes.hidden_size, encoder->hidden_size},
        {"num_layers", module->sizes.num_layers, encoder->num_layers},
        {"num_attention_heads", module->sizes.num_attention_heads, encoder->num_attention_heads},
        {"intermediate_size", module->sizes.intermediate_size, encoder->intermediate_size},
        {"max_position_embeddings", module->sizes.max_position_embeddings,
         encoder->max_position_embeddings},
        {"type_vocab_size", module->sizes.type_vocab_size, encoder->type_vocab_size},
        {"embedding_size", module->sizes.embedding_size, encoder->embedding_size},
        {"norm_first", module->norm_first, module->norm_first < 0 ? -1 : encoder->norm_first},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        char theirs[32];
        char ours[32];
        (void)snprintf(theirs, sizeof theirs, "%" PRId64, rows[i].module);
        (void)snprintf(ours, sizeof ours, "%" PRId64, rows[i].model);
        if (rows[i].module != rows[i].model) {
            BT_TRY(add_difference(d, rows[i].name, theirs, ours, err));
        }
    }
    return BT_OK;
}

static bt_status compare_activation(difference *d, const bt_ckpt_module *module,
                                    const bt_encoder_config *encoder, bt_error *err) {
    bt_activation theirs = encoder->hidden_activation;
    bt_error      unknown = BT_ERROR_INIT; /* a name of nobody's ("<lambda>") tells nothing */
    if (module->activation[0] == '\0' ||
        bt_activation_from_name(module->activation, &theirs, &unknown) != BT_OK ||
        theirs == encoder->hidden_activation) {
        return BT_OK;
    }
    return add_difference(d, "hidden_activation", module->activation,
                          bt_activation_name(encoder->hidden_activation), err);
}

/* Rates only matter in training, and the user may want others than the exporter had. */
static void note_rates(const char *url, const bt_ckpt_module *module,
                       const bt_encoder_config *encoder) {
    const bool differ =
        (!isnan(module->dropout_rate) && (float)module->dropout_rate != encoder->dropout_rate) ||
        (!isnan(module->attention_dropout_rate) &&
         (float)module->attention_dropout_rate != encoder->attention_dropout_rate);
    if (differ) {
        bt_log(BT_LOG_WARNING,
               "module %s was exported with dropout_rate %g and attention_dropout_rate %g, which "
               "Model Garden would use; the configuration's %g and %g are used",
               url, module->dropout_rate, module->attention_dropout_rate,
               (double)encoder->dropout_rate, (double)encoder->attention_dropout_rate);
    }
}

static bt_status compare(const char *url, const bt_ckpt_module *module,
                         const bt_encoder_config *encoder, bt_error *err) {
    difference d = {BT_STR_INIT, BT_STR_INIT};
    bt_status  rc = BT_OK;
    BT_CHECK(compare_sizes(&d, module, encoder, err));
    BT_CHECK(compare_activation(&d, module, encoder, err));
    if (d.module.len > 0) {
        rc = BT_FAIL(err, BT_E_SHAPE,
                     "task.hub_module_url %.200s and task.model differ: the module has %s; "
                     "task.model.encoder has %s: make the configuration say what the module is",
                     url, d.module.data, d.model.data);
    }
done:
    bt_str_deinit(&d.module);
    bt_str_deinit(&d.model);
    return rc;
}

static bt_status read_module(bt_weights *w, const bt_encoder_config *encoder, const char *folder,
                             bt_error *err) {
    const char *const     url = w->hub_module_url;
    bt_ckpt_module *const module = &w->module;
    bt_status             rc = BT_OK;
    bt_ckpt              *ckpt = NULL;
    bt_ckpt_module_deinit(module);
    BT_CHECK(bt_ckpt_open(folder, &ckpt, err));
    BT_CHECK(bt_ckpt_module_read(folder, ckpt, module, err));
    if (module->sizes.num_layers == 0 || module->sizes.hidden_size == 0) {
        rc =
            BT_FAIL(err, BT_E_FORMAT,
                    "task.hub_module_url %.300s: no BERT encoder in it: its variables have none of "
                    "the names that Model Garden's encoders have (bert-checkpoint list shows them)",
                    url);
        goto done;
    }
    BT_CHECK(compare(url, module, encoder, err));
    bt_log(BT_LOG_INFO,
           "module %s: %" PRId64 " layers of %" PRId64 ", vocabulary %s, do_lower_case %s", url,
           module->sizes.num_layers, module->sizes.hidden_size,
           module->vocab_file != NULL ? module->vocab_file : "none",
           module->do_lower_case < 0   ? "unknown"
           : module->do_lower_case > 0 ? "true"
                                       : "false");
done:
    bt_ckpt_close(ckpt);
    return rc;
}

bt_status module_find(bt_weights *w, const bt_encoder_config *encoder, bt_error *err) {
    char                *folder = NULL;
    const bt_hub_request request = {
        .handle = w->hub_module_url, .sha256 = w->hub_module_sha256, .offline = w->offline};
    if (w->module_folder != NULL) {
        return BT_OK;
    }
    BT_TRY(bt_hub_resolve(&request, &folder, err));
    const bt_status rc = read_module(w, encoder, folder, err);
    if (rc != BT_OK) {
        bt_free(folder);
        return rc;
    }
    w->module_folder = folder;
    return BT_OK;
}

bt_status bt_weights_prepare(bt_weights *w, const bt_weights_use *use, bt_error *err) {
    if (w->hub_module_url[0] == '\0' || w->init_checkpoint[0] != '\0') {
        return BT_OK; /* none, or prepared already */
    }
    BT_TRY(module_find(w, &use->plan->encoder, err));
    note_rates(w->hub_module_url, &w->module, &use->plan->encoder);
    BT_TRY(module_compare_assets(w, use, err));
    w->init_checkpoint = w->module_folder;
    return BT_OK;
}
