/* SPDX-License-Identifier: Apache-2.0
 *
 * See exec_fixture.h. */
#include "exec_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/rng.h"
#include "bt/kern.h"

void fixture_pack(fixture_batch *out, const int32_t *ids, const int32_t *mask, const int32_t *types,
                  int64_t B, int64_t S, bool drop) {
    memset(out, 0, sizeof *out);
    assert_true(B <= FIXTURE_MAX_SEQS && B * S <= FIXTURE_MAX_TOKENS);
    out->n_places = B * S;
    int64_t n = 0;
    bool    any_masked = false;
    for (int64_t b = 0; b < B; b++) {
        const bool    keep_all = !drop || mask[b * S] == 0;
        const int64_t first = n;
        for (int64_t s = 0; s < S; s++) {
            const int64_t at = b * S + s;
            if (!keep_all && mask[at] == 0) {
                continue;
            }
            out->ids[n] = ids[at];
            out->types[n] = types[at];
            out->positions[n] = (int32_t)s;
            out->key_mask[n] = mask[at] != 0;
            out->places[n] = at;
            any_masked = any_masked || mask[at] == 0;
            n++;
        }
        out->offsets[b + 1] = n;
        if (n - first > out->batch.max_tokens) {
            out->batch.max_tokens = n - first;
        }
    }
    out->batch.n_seqs = B;
    out->batch.n_tokens = n;
    out->batch.seq_length = S;
    out->batch.offsets = out->offsets;
    out->batch.ids = out->ids;
    out->batch.types = out->types;
    out->batch.positions = out->positions;
    out->batch.key_mask = any_masked ? out->key_mask : NULL;
}

void fixture_rows_of(fixture_batch *out, const int64_t *lengths, int64_t n_seqs, int32_t n_words) {
    int64_t n = 0;
    int64_t longest = 0;
    memset(out, 0, sizeof *out);
    assert_true(n_seqs <= FIXTURE_MAX_SEQS);
    for (int64_t b = 0; b < n_seqs; b++) {
        assert_in_range(lengths[b], 1, FIXTURE_MAX_TOKENS - n);
        for (int64_t s = 0; s < lengths[b]; s++, n++) {
            out->ids[n] = (int32_t)((n * 7 + 3) % n_words);
            out->types[n] = s > lengths[b] / 2;
            out->positions[n] = (int32_t)s;
            out->key_mask[n] = s % 5 != 4;
        }
        out->offsets[b + 1] = n;
        longest = lengths[b] > longest ? lengths[b] : longest;
    }
    out->batch = (bt_batch){.n_seqs = n_seqs,
                            .n_tokens = n,
                            .max_tokens = longest,
                            .seq_length = longest,
                            .offsets = out->offsets,
                            .ids = out->ids,
                            .types = out->types,
                            .positions = out->positions,
                            .int_labels = out->int_labels};
}

void fixture_rows(fixture_batch *out, int64_t n_seqs, fixture_lengths lengths, int32_t n_words) {
    int64_t all[FIXTURE_MAX_SEQS];
    assert_true(n_seqs <= FIXTURE_MAX_SEQS);
    for (int64_t b = 0; b < n_seqs; b++) {
        const int64_t wanted = lengths.longest - lengths.less * (b % lengths.n_lengths);
        all[b] = wanted > 1 ? wanted : 1;
    }
    fixture_rows_of(out, all, n_seqs, n_words);
}

float *fixture_params(const bt_model *model) {
    const size_t     n = (size_t)model->table.n_elements;
    const bt_rng_key key = bt_rng_key_make(8, 1, 0, 0);
    float *const     params = bt_alloc_array(n, sizeof *params);
    assert_non_null(params);
    bt_model_init_params(model, 3, params);
    for (size_t i = 0; i < n; i++) {
        params[i] += 0.05F * (bt_rng_uniform(key, i) - 0.5F);
    }
    return params;
}

bt_encoder_config fixture_encoder(void) {
    return (bt_encoder_config){.type = BT_ENCODER_BERT,
                               .vocab_size = 200,
                               .hidden_size = 32,
                               .embedding_size = 32,
                               .num_layers = 2,
                               .num_attention_heads = 4,
                               .intermediate_size = 64,
                               .max_position_embeddings = 64,
                               .type_vocab_size = 2,
                               .hidden_activation = BT_ACT_GELU,
                               .initializer_range = 0.02F};
}

/* dtype: of the products */
static void open_optim(fixture *f, json_t *optimizer, const char *dtype) {
    char *const text = json_dumps(optimizer, JSON_COMPACT);
    assert_non_null(text);
    char yaml[4096];
    (void)snprintf(yaml, sizeof yaml,
                   "runtime: {mixed_precision_dtype: %s}\ntrainer: {optimizer_config: %s}", dtype,
                   text);
    free(text);
    const char *const  files[] = {yaml};
    const bt_conf_args args = {
        .experiment = "bert/sentence_prediction", .config_files = files, .n_config_files = 1};
    bt_conf_errors errors = BT_CONF_ERRORS_INIT;
    assert_ok(bt_conf_build(&args, &f->conf, &errors, err));
    bt_conf_errors_deinit(&errors);
    const bt_optim_derived derived = {.train_steps = 30, .warmup_steps = 5};
    assert_ok(bt_optim_create(f->conf, &derived, &f->model->table, &f->optim, err));
}

void fixture_open(fixture *f, const bt_encoder_config *encoder, const bt_head_config *head,
                  json_t *optimizer, const char *isa, int32_t n_threads) {
    memset(f, 0, sizeof *f);
    assert_ok(bt_model_create(encoder, head, &f->model, err));
    if (optimizer != NULL) {
        open_optim(f, optimizer, "float32");
    }
    const bt_exec_config config = {.n_threads = n_threads, .isa = isa};
    assert_ok(bt_exec_create_cpu(f->model, f->optim, &config, &f->exec, err));
}

void fixture_with(fixture *f, const bt_exec_config *config) {
    bt_exec_free(f->exec);
    f->exec = NULL;
    assert_ok(bt_exec_create_cpu(f->model, f->optim, config, &f->exec, err));
}

void fixture_in_parts(fixture *f, const char *isa, int32_t n_threads, int64_t part_seqs) {
    const bt_exec_config config = {.n_threads = n_threads, .isa = isa, .part_seqs = part_seqs};
    fixture_with(f, &config);
}

void fixture_in_precision(fixture *f, json_t *optimizer, const char *isa, bt_precision precision,
                          double loss_scale) {
    static const char *const names[] = {"float32", "bfloat16", "float16"};
    const bt_exec_config     config = {
            .n_threads = 2, .isa = isa, .precision = precision, .loss_scale = loss_scale};
    bt_exec_free(f->exec);
    if (optimizer != NULL) {
        bt_optim_free(f->optim);
        bt_conf_free(f->conf);
        open_optim(f, optimizer, names[precision]);
    }
    assert_ok(bt_exec_create_cpu(f->model, f->optim, &config, &f->exec, err));
}

void fixture_freeze(fixture *f, json_t *optimizer, const char *words, const char *isa,
                    int32_t n_threads) {
    const bt_exec_config config = {.n_threads = n_threads, .isa = isa};
    bt_exec_free(f->exec);
    assert_ok(bt_model_freeze(f->model, &words, 1, err));
    if (optimizer != NULL) {
        bt_optim_free(f->optim);
        bt_conf_free(f->conf);
        open_optim(f, optimizer, "float32");
    }
    assert_ok(bt_exec_create_cpu(f->model, f->optim, &config, &f->exec, err));
}

void fixture_with_others(fixture *f, const char *isa, bt_comm *comm) {
    const bt_exec_config config = {
        .n_threads = 1, .isa = isa, .comm = comm, .shares = BT_EXEC_SHARES_SEQUENCES};
    fixture_with(f, &config);
}

void fixture_close(fixture *f) {
    bt_exec_free(f->exec);
    bt_optim_free(f->optim);
    bt_conf_free(f->conf);
    bt_model_free(f->model);
}

void fixture_load(fixture *f, const test_tensors *golden, const char *prefix) {
    float *const flat = settled(f->exec, bt_exec_params(f->exec));
    assert_non_null(flat);
    for (int64_t i = 0; i < f->model->table.n_params; i++) {
        const bt_param *const param = &f->model->table.params[i];
        char                  name[512];
        (void)snprintf(name, sizeof name, "%s%s", prefix, param->tf_name);
        if (!test_tensors_has(golden, name)) {
            continue; /* encoder cases have no head */
        }
        size_t             n = 0;
        const float *const values = test_tensors_f32(golden, name, &n);
        assert_int_equal(n, param->n_elements);
        memcpy(flat + param->offset, values, n * sizeof *flat);
    }
}

const char *const *fixture_isas(void) {
    static const char *found[4];
    size_t             n = 0;
    for (int i = 0; bt_kern_isa(i) != NULL; i++) {
        if (bt_kern_has(bt_kern_isa(i))) {
            assert_true(n + 1 < BT_ARRAY_LEN(found));
            found[n++] = bt_kern_isa(i);
        }
    }
    found[n] = NULL;
    return found;
}
