/* SPDX-License-Identifier: Apache-2.0
 *
 * See toy.h. */
#include "toy.h"

#include <string.h>

#include "test_random.h"

enum { B = TOY_SEQS, S = TOY_LENGTH };

static const int32_t toy_mask[B * S] = {1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 0,
                                        0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1};

bt_encoder_config toy_encoder(void) {
    bt_encoder_config e = fixture_encoder();
    e.vocab_size = 23;
    e.hidden_size = 12;
    e.embedding_size = 12;
    e.num_attention_heads = 3;
    e.intermediate_size = 20;
    e.max_position_embeddings = 11;
    e.initializer_range = 0.4F;
    e.dropout_rate = 0.2F;
    e.attention_dropout_rate = 0.3F;
    return e;
}

bt_head_config toy_head(bt_head_kind kind, bt_loss_kind loss, int64_t C) {
    return (bt_head_config){.kind = kind,
                            .loss = loss,
                            .num_classes = C,
                            .dropout_rate = 0.25F,
                            .initializer_range = 0.5F};
}

/* A dual encoder's three pairs are six sequences. */
void toy_pack(fixture_batch *batch, const bt_head_config *head, bool drop) {
    const int n = head->loss == BT_LOSS_RANKING ? 2 * B : B;
    int32_t   ids[2 * B * S];
    int32_t   types[2 * B * S];
    int32_t   mask[2 * B * S];
    for (int i = 0; i < n * S; i++) {
        ids[i] = (i * 5 + 1) % 23;
        types[i] = i % S > 3;
        mask[i] = toy_mask[i % (B * S)];
    }
    fixture_pack(batch, ids, mask, types, n, S, drop);
    for (int i = 0; i < n * S; i++) {
        batch->int_labels[i] = i % 4 == 3 ? -1 : i % 2;
    }
    if (head->loss != BT_LOSS_TOKENS) {
        batch->int_labels[3] = 1;
    }
    for (int b = 0; b < B; b++) {
        batch->float_labels[b] = (float)b * 0.7F - 0.4F;
    }
    batch->batch.int_labels = batch->int_labels;
    batch->batch.float_labels = batch->float_labels;
}

json_t *toy_optimizer(void) {
    json_error_t  error;
    json_t *const config = json_loads("{\"optimizer\": {\"type\": \"adamw\", \"adamw\": "
                                      "{\"weight_decay_rate\": 0.01}}, \"learning_rate\": "
                                      "{\"type\": \"constant\", \"constant\": "
                                      "{\"learning_rate\": 0.01}}}",
                                      0, &error);
    assert_non_null(config);
    return config;
}

void toy_fill(toy *t) {
    float *const flat = settled(t->f.exec, bt_exec_params(t->f.exec));
    bt_model_init_params(t->f.model, 3, flat);
    const bt_rng_key key = bt_rng_key_make(5, 0, 0, BT_SITE_INIT);
    for (int64_t i = 0; i < t->f.model->table.n_params; i++) { /* biases and gains off 0 and 1 */
        const bt_param *const p = &t->f.model->table.params[i];
        for (int64_t k = 0; p->rank == 1 && k < p->n_elements; k++) {
            flat[p->offset + k] += (float)(0.3 * test_normal(key, (uint64_t)(p->offset + k)));
        }
    }
}

void toy_open(toy *t, const bt_encoder_config *encoder, const bt_head_config *head, bool with_optim,
              int32_t n_threads) {
    json_t *const config = with_optim ? toy_optimizer() : NULL;
    fixture_open(&t->f, encoder, head, config, "auto", n_threads);
    json_decref(config);
    toy_fill(t);
    toy_pack(&t->batch, head, true);
}

void toy_run_steps(toy *t, int64_t n, float *param) {
    for (int64_t step = 0; step < n; step++) {
        bt_step_result result;
        assert_ok(bt_exec_train_step(t->f.exec, &t->batch.batch, step, 11, &result, err));
        assert_int_equal(result.n_nonfinite, 0);
    }
    memcpy(param, settled(t->f.exec, bt_exec_params(t->f.exec)),
           (size_t)t->f.model->table.n_elements * sizeof *param);
}
