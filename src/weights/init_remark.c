/* SPDX-License-Identifier: Apache-2.0
 *
 * What fits task.init_checkpoint and is worth a word when it is loaded: a line each, in words that
 * need no knowledge of networks. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/log.h"
#include "weights_internal.h"

#define ENCODER_KEYS "task.model.encoder.*."

static void remark_wrapper(const bt_ckpt *ckpt) {
    size_t            n_without = 0;
    const char *const wrapper = bt_ckpt_wrapper(ckpt, &n_without);
    if (wrapper[0] != '\0') {
        bt_log(BT_LOG_INFO,
               "task.init_checkpoint %s: '%s' before the names of its %zu tensors is removed (a "
               "program that wrapped the model put it there)%s",
               bt_ckpt_path(ckpt), wrapper, bt_ckpt_n_tensors(ckpt) - n_without,
               n_without > 0 ? "; tensors without it are not used" : "");
    }
}

static void remark_layers(const bt_weights_use *use, const bt_ckpt *ckpt,
                          const bt_ckpt_facts *facts) {
    const bool    is_albert = bt_ckpt_get_encoder(ckpt) == BT_CKPT_ALBERT;
    const int64_t n_file = is_albert ? facts->n_layers : bt_ckpt_n_layers(ckpt);
    const int64_t n = use->plan->encoder.num_layers;
    if (n_file == 0 || n_file == n) {
        return;
    }
    bt_log(BT_LOG_WARNING,
           "task.init_checkpoint %s has %" PRId64 " transformer layers, the model has %" PRId64
           " (" ENCODER_KEYS "num_layers): %s",
           bt_ckpt_path(ckpt), n_file, n,
           is_albert ? "the shared one is repeated that often" : "the first ones are used");
}

static void remark_activation(const bt_weights_use *use, const bt_ckpt *ckpt,
                              const bt_ckpt_facts *facts) {
    const char *const word = bt_ckpt_activation_word(ckpt, facts->activation);
    bt_activation     wants = use->plan->encoder.hidden_activation;
    if (word == NULL || bt_activation_from_name(word, &wants, NULL) != BT_OK ||
        wants == use->plan->encoder.hidden_activation) {
        return;
    }
    bt_log(BT_LOG_INFO,
           "task.init_checkpoint %s was trained with the activation '%s'; " ENCODER_KEYS
           "hidden_activation=%s computes the same, where the model's differs in the fourth digit",
           bt_ckpt_path(ckpt), facts->activation, word);
}

/* Heads of files by how the names of their tensors begin, and what they are for. */
static const struct {
    const char *begin;
    const char *what;
} head_rows[] = {
    {"cls.predictions.", "guesses hidden words"},
    {"cls/predictions/", "guesses hidden words"},
    {"predictions.", "guesses hidden words"},
    {"vocab_projector.", "guesses hidden words"},
    {"vocab_transform.", "guesses hidden words"},
    {"cls.seq_relationship.", "tells whether two texts follow each other"},
    {"cls/seq_relationship/", "tells whether two texts follow each other"},
    {"sop_classifier.", "tells in which order two texts stand"},
    {"classifier.", "tells classes apart"},
    {"pre_classifier.", "tells classes apart"},
    {"output_weights", "tells classes apart"},
    {"qa_outputs.", "finds answers in a text"},
    {"cls/squad/", "finds answers in a text"},
};

static const char *head_of(const char *name, const char *wrapper) {
    const size_t n = strlen(wrapper);
    for (size_t i = 0; strncmp(name, wrapper, n) == 0 && i < BT_ARRAY_LEN(head_rows); i++) {
        if (bt_str_starts_with(name + n, head_rows[i].begin)) {
            return head_rows[i].what;
        }
    }
    return NULL;
}

/* Heads of the file that nothing is loaded from: "guesses hidden words, finds answers in a text".
 */
static bt_status list_unused_heads(const bt_ckpt *ckpt, const bool *used, bt_str *out,
                                   bt_error *err) {
    size_t            n_without = 0;
    const char *const wrapper = bt_ckpt_wrapper(ckpt, &n_without);
    for (size_t t = 0; t < bt_ckpt_n_tensors(ckpt); t++) {
        const char *const what = used[t] ? NULL : head_of(bt_ckpt_tensor_at(ckpt, t).name, wrapper);
        if (what != NULL && strstr(bt_str_text(out), what) == NULL) {
            BT_TRY(bt_str_appendf(out, err, "%s%s", out->len > 0 ? ", " : "", what));
        }
    }
    return BT_OK;
}

static bt_status remark_unused_heads(const bt_weights_use *use, const bt_ckpt *ckpt,
                                     const bool *used, bt_error *err) {
    bt_str          list = BT_STR_INIT;
    const bt_status rc = list_unused_heads(ckpt, used, &list, err);
    const bool      could_be =
        !use->plan->init_head && use->model->head_logits.kernel >= 0 &&
        bt_ckpt_find_variable(ckpt, use->model->table.params[use->model->head_logits.kernel].name,
                              NULL) >= 0;
    if (rc == BT_OK && list.len > 0) {
        bt_log(BT_LOG_INFO,
               "init_checkpoint: the head of the file that %s is not used, only the encoder below "
               "it%s",
               bt_str_text(&list), could_be ? " (task.init_head=true takes it)" : "");
    }
    bt_str_deinit(&list);
    return rc;
}

static bool is_fresh(const bt_weights_use *use, const bt_ckpt *ckpt, int64_t param) {
    return param >= 0 && init_source_of(use, ckpt, param).kind == INIT_FRESH;
}

static void remark_fresh_parts(const bt_weights_use *use, const bt_ckpt *ckpt) {
    const bt_head_kind kind = use->plan->head.kind;
    const bool reads_pooler = kind == BT_HEAD_ENCODER_POOLER || kind == BT_HEAD_POOLED_OUTPUT;
    if (is_fresh(use, ckpt, use->model->head_logits.kernel)) {
        bt_log(BT_LOG_INFO,
               "the head, the last layer, which gives the answers, is new: it starts from random "
               "numbers and learns from the training rows");
    }
    if (reads_pooler && is_fresh(use, ckpt, use->model->pooler_transform.kernel)) {
        bt_log(BT_LOG_WARNING,
               "the weights have no pooler, the layer that makes one vector of a text: a new one "
               "starts from random numbers and must learn from the training rows");
    }
}

bt_status init_remark(const bt_weights_use *use, const bt_ckpt *ckpt, const bool *used,
                      bt_error *err) {
    bt_ckpt_facts facts;
    BT_TRY(bt_ckpt_read_facts(ckpt, &facts, err));
    remark_wrapper(ckpt);
    remark_layers(use, ckpt, &facts);
    if (facts.activation[0] != '\0') {
        remark_activation(use, ckpt, &facts);
    }
    remark_fresh_parts(use, ckpt);
    return remark_unused_heads(use, ckpt, used, err);
}
