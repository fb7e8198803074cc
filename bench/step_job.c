/* SPDX-License-Identifier: Apache-2.0
 *
 * See step_job.h. */
#include "step_job.h"

#include "bt/base/alloc.h"
#include "bt/base/rng.h"

static bt_status make_model(const step_dims *dims, bt_model **out, bt_error *err) {
    const bt_encoder_config encoder = {.type = BT_ENCODER_BERT,
                                       .vocab_size = dims->vocab,
                                       .hidden_size = dims->hidden,
                                       .embedding_size = dims->hidden,
                                       .num_layers = dims->layers,
                                       .num_attention_heads = dims->heads,
                                       .intermediate_size = dims->intermediate,
                                       .max_position_embeddings = dims->positions,
                                       .type_vocab_size = 2,
                                       .hidden_activation = BT_ACT_GELU,
                                       .dropout_rate = 0.1F,
                                       .attention_dropout_rate = 0.1F,
                                       .initializer_range = 0.02F};
    const bool              spans = dims->has_spans;
    const bt_head_config    head = {.kind = spans ? BT_HEAD_TOKENS : BT_HEAD_POOLER_DENSE,
                                    .loss = spans ? BT_LOSS_SPAN : BT_LOSS_SOFTMAX,
                                    .num_classes = 2,
                                    .dropout_rate = spans ? 0 : 0.1F,
                                    .initializer_range = 0.02F};
    return bt_model_create(&encoder, &head, out, err);
}

bt_status step_job_init(step_job *job, const step_dims *dims, bt_error *err) {
    const bt_conf_args args = {.experiment = "bert/sentence_prediction"};
    bt_conf_errors     errors = BT_CONF_ERRORS_INIT;
    BT_TRY(make_model(dims, &job->model, err));
    const bt_status rc = bt_conf_build(&args, &job->conf, &errors, err);
    bt_conf_errors_deinit(&errors);
    BT_TRY(rc);
    const bt_optim_derived derived = {.train_steps = 1000, .warmup_steps = 100};
    return bt_optim_create(job->conf, &derived, &job->model->table, &job->optim, err);
}

void step_job_deinit(step_job *job) {
    bt_optim_free(job->optim);
    bt_conf_free(job->conf);
    bt_model_free(job->model);
}

static bt_status make_room(step_batch *p, int64_t n, int64_t seq_length, bt_error *err) {
    const size_t room = (size_t)(n * seq_length);
    p->offsets = bt_calloc_array((size_t)n + 1, sizeof *p->offsets);
    p->ids = bt_calloc_array(room, sizeof *p->ids);
    p->types = bt_calloc_array(room, sizeof *p->types);
    p->positions = bt_calloc_array(room, sizeof *p->positions);
    p->labels = bt_calloc_array((size_t)n * 2, sizeof *p->labels);
    if (p->offsets == NULL || p->ids == NULL || p->types == NULL || p->positions == NULL ||
        p->labels == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a batch");
    }
    p->batch = (bt_batch){.n_seqs = n,
                          .n_rows = n,
                          .seq_length = seq_length,
                          .offsets = p->offsets,
                          .ids = p->ids,
                          .types = p->types,
                          .positions = p->positions,
                          .int_labels = p->labels};
    return BT_OK;
}

bt_status step_batch_init(step_batch *p, const int64_t *lengths, int64_t n, int64_t seq_length,
                          int64_t vocab, uint64_t seed, bt_error *err) {
    const bt_rng_key key = bt_rng_key_make(7, seed, 0, BT_SITE_SHUFFLE);
    int64_t          t = 0;
    BT_TRY(make_room(p, n, seq_length, err));
    for (int64_t b = 0; b < n; b++) {
        const int64_t length = lengths[b];
        for (int64_t s = 0; s < length; s++, t++) {
            const double x = (double)bt_rng_uniform(key, (uint64_t)(t + 100000));
            p->ids[t] =
                (int32_t)(x * x * (double)(vocab - 1)); /* small ids are the frequent ones */
            p->types[t] = s > length / 2;
            p->positions[t] = (int32_t)s;
        }
        p->offsets[b + 1] = t;
        p->labels[b] = (int32_t)(b % 2);
        p->labels[n + b] = (int32_t)(length - 1); /* a span's end */
        p->batch.max_tokens = length > p->batch.max_tokens ? length : p->batch.max_tokens;
    }
    p->batch.n_tokens = t;
    return BT_OK;
}

void step_batch_deinit(step_batch *p) {
    bt_free(p->offsets);
    bt_free(p->ids);
    bt_free(p->types);
    bt_free(p->positions);
    bt_free(p->labels);
}
