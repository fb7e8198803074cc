/* SPDX-License-Identifier: Apache-2.0
 *
 * The sizes of an encoder, inferred from the shapes of its variables, in whatever layout they are.
 */
#include <string.h>

#include "ckpt_internal.h"

/* Of the canonical shape: a file that keeps [out,in] is read the other way round. 0: no such
 * variable, or one of another rank. */
static int64_t dim_of(const bt_ckpt *ckpt, const char *variable, int32_t axis, int32_t rank) {
    const ckpt_place *const place = ckpt_find_place(ckpt, variable, NULL);
    if (place == NULL) {
        return 0;
    }
    const bt_ckpt_tensor *const t = &ckpt->tensors[place->tensor];
    return t->rank == rank ? t->dim[place->transpose ? rank - 1 - axis : axis] : 0;
}

void bt_ckpt_read_sizes(const bt_ckpt *ckpt, bt_ckpt_sizes *out) {
    const bool  is_albert = ckpt->encoder == BT_CKPT_ALBERT;
    const char *query = is_albert ? "transformer/self_attention/query/kernel"
                                  : "transformer/layer_0/self_attention/query/kernel";
    const char *intermediate =
        is_albert ? "transformer/intermediate/kernel" : "transformer/layer_0/intermediate/kernel";
    *out = (bt_ckpt_sizes){
        .vocab_size = dim_of(ckpt, "word_embeddings/embeddings", 0, 2),
        .embedding_size = dim_of(ckpt, "word_embeddings/embeddings", 1, 2),
        .max_position_embeddings = dim_of(ckpt, "position_embedding/embeddings", 0, 2),
        .type_vocab_size = dim_of(ckpt, "type_embeddings/embeddings", 0, 2),
        .hidden_size = dim_of(ckpt, query, 0, 3),
        .num_attention_heads = dim_of(ckpt, query, 1, 3),
        .intermediate_size = dim_of(ckpt, intermediate, 1, 2),
        .num_layers = is_albert ? 0 : ckpt->n_layers,
        .head_classes = dim_of(ckpt, "sentence_prediction/logits/kernel", 1, 2),
        .token_classes = dim_of(ckpt, "predictions/transform/logits/kernel", 1, 2),
    };
    if (out->hidden_size == 0) { /* [H,H]: it does not show the heads */
        out->hidden_size = dim_of(ckpt, query, 0, 2);
    }
}
