/* SPDX-License-Identifier: Apache-2.0
 *
 * Evaluation in 8 bits: what an independent rounding of weights and inputs gives, near float32, the
 * same bits whatever the instruction set, the threads and the other rows of a batch are; what
 * memory it gives back, and what is refused afterwards. */
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/rng.h"
#include "exec_fixture.h"

enum { N_SEQS = 5, N_WORDS = 50, LENGTH = 38, MAX_LOGITS = 4096 };

typedef struct job {
    bt_model     *model;
    float        *params; /* of every engine */
    fixture_batch rows;
    bt_batch      batch;
} job;

static bt_head_config head_of(bt_head_kind kind) {
    return (bt_head_config){.kind = kind,
                            .loss = kind == BT_HEAD_TOKENS          ? BT_LOSS_TOKENS
                                    : kind == BT_HEAD_POOLED_OUTPUT ? BT_LOSS_NONE
                                                                    : BT_LOSS_SOFTMAX,
                            .num_classes = 3,
                            .initializer_range = 0.3F,
                            .pooling = BT_POOLING_MEAN};
}

static void open_job(job *j, const bt_encoder_config *encoder, bt_head_kind kind) {
    bt_encoder_config    e = *encoder;
    const bt_head_config head = head_of(kind);
    memset(j, 0, sizeof *j);
    e.vocab_size = N_WORDS;
    e.initializer_range = 0.3F;
    assert_ok(bt_model_create(&e, &head, &j->model, err));
    j->params = fixture_params(j->model);
    fixture_rows(&j->rows, N_SEQS, (fixture_lengths){LENGTH, 3, N_SEQS}, N_WORDS);
    j->batch = j->rows.batch;
}

static void close_job(job *j) {
    bt_model_free(j->model);
    bt_free(j->params);
}

static bt_exec *open_exec(const job *j, const float *params, const bt_exec_config *config) {
    bt_exec *exec = NULL;
    assert_ok(bt_exec_create_cpu(j->model, NULL, config, &exec, err));
    memcpy(bt_exec_params(exec), params, (size_t)j->model->table.n_elements * sizeof *params);
    return exec;
}

static bt_exec *open_int8(const job *j, const bt_exec_config *config) {
    bt_exec_rounded rounded = {0};
    bt_exec *const  exec = open_exec(j, j->params, config);
    assert_ok(bt_exec_round_weights(exec, &rounded, err));
    assert_non_null(strstr(rounded.kernels, "int8"));
    return exec;
}

static size_t evaluate(const job *j, bt_exec *exec, const bt_batch *batch, float *logits) {
    bt_step_result result = {0};
    const size_t   n = (size_t)bt_model_n_logits(j->model, batch);
    assert_true(n <= MAX_LOGITS);
    assert_ok(bt_exec_evaluate(exec, batch, &result, err));
    memcpy(logits, result.logits, n * sizeof *logits);
    return n;
}

static bt_encoder_config encoder_of(int i) {
    bt_encoder_config e = fixture_encoder();
    e.norm_first = i == 1;
    e.num_layers = i == 2 ? 1 : 3;
    if (i == 3) {
        e.type = BT_ENCODER_ALBERT;
        e.embedding_size = 24;
    }
    if (i == 4) { /* neither panels nor rows are whole */
        e.hidden_size = e.embedding_size = 36;
        e.intermediate_size = 100;
    }
    return e;
}
enum { N_ENCODERS = 5 };

static const bt_head_kind kinds[] = {BT_HEAD_POOLER_DENSE, BT_HEAD_TOKENS, BT_HEAD_POOLED_OUTPUT};

static void every_model(void (*check)(job *j)) {
    for (int i = 0; i < N_ENCODERS; i++) {
        for (size_t k = 0; k < BT_ARRAY_LEN(kinds); k++) {
            const bt_encoder_config e = encoder_of(i);
            job                     j;
            open_job(&j, &e, kinds[k]);
            check(&j);
            j.batch.key_mask = j.rows.key_mask;
            check(&j);
            close_job(&j);
        }
    }
}

static void bits_are_the_same(job *j) {
    static float want[MAX_LOGITS], got[MAX_LOGITS];
    for (const char *const *isa = fixture_isas(); *isa != NULL; isa++) {
        bt_exec *const one = open_int8(j, &(bt_exec_config){.n_threads = 1, .isa = *isa});
        bt_exec *const three = open_int8(j, &(bt_exec_config){.n_threads = 3, .isa = *isa});
        const size_t   n = evaluate(j, one, &j->batch, want);
        assert_int_equal(evaluate(j, three, &j->batch, got), n);
        assert_memory_equal(got, want, n * sizeof *got);
        size_t     at = 0;
        const bool has_blas = strcmp(*isa, "ref") == 0;     /* the head's, which sums as it likes */
        for (int64_t b = 0; !has_blas && b < N_SEQS; b++) { /* a sequence by itself */
            const int64_t first = j->rows.offsets[b];
            const int64_t offsets[] = {0, j->rows.offsets[b + 1] - first};
            bt_batch      part = j->batch;
            part.n_seqs = 1;
            part.n_tokens = part.max_tokens = offsets[1];
            part.offsets = offsets;
            part.ids += first;
            part.types += first;
            part.positions += first;
            part.key_mask = part.key_mask != NULL ? part.key_mask + first : NULL;
            const size_t n_own = evaluate(j, three, &part, got);
            assert_memory_equal(got, want + at, n_own * sizeof *got);
            at += n_own;
        }
        assert_int_equal(at, has_blas ? 0 : n);
        bt_exec_free(one);
        bt_exec_free(three);
    }
}

static void test_bits_depend_on_neither_threads_nor_batch(void **state) {
    (void)state;
    every_model(bits_are_the_same);
}

static double rms(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)x[i] * (double)x[i];
    }
    return sqrt(sum / (double)n);
}

/* The root of the mean square of the differences, as a share of that of the logits. Weights are
 * random and large here: trained models lose a tenth of it (docs/numerics.md). */
static void near_float32(job *j) {
    static float want[MAX_LOGITS], got[MAX_LOGITS];
    bt_exec     *exec = open_exec(j, j->params, &(bt_exec_config){.n_threads = 2});
    const size_t n = evaluate(j, exec, &j->batch, want);
    bt_exec_free(exec);
    exec = open_int8(j, &(bt_exec_config){.n_threads = 2});
    assert_int_equal(evaluate(j, exec, &j->batch, got), n);
    bt_exec_free(exec);
    const double size = rms(want, n);
    for (size_t i = 0; i < n; i++) {
        got[i] -= want[i];
    }
    const double off = rms(got, n);
    assert_true(off > 0 && off < 0.08 * size);
}

static void test_results_are_near_float32(void **state) {
    (void)state;
    every_model(near_float32);
}

/* What is multiplied, rounded by other code: weights here, what they are multiplied with by the
 * engine that computes as exports in 8 bits do, a batch at a time, which for one token is a row. */
static void round_columns(const job *j, int64_t kernel, float *params) {
    if (kernel < 0) {
        return;
    }
    const bt_param *const p = &j->model->table.params[kernel];
    const bt_param *const bias = &j->model->table.params[kernel + 1];
    const int64_t         N = bias->n_elements;
    for (int64_t c = 0; c < N; c++) {
        double largest = 0;
        for (int64_t k = 0; k < p->n_elements / N; k++) {
            largest = fmax(largest, fabs((double)params[p->offset + k * N + c]));
        }
        const double step = largest / 127;
        for (int64_t k = 0; k < p->n_elements / N; k++) {
            float *const w = &params[p->offset + k * N + c];
            *w = (float)(rint((double)*w / step) * step);
        }
    }
}

static bool is_near(const float *got, const float *want, size_t n) {
    const double size = 1 + rms(want, n);
    for (size_t i = 0; i < n; i++) {
        if (!(fabs((double)got[i] - (double)want[i]) < 1e-5 * size)) { /* measured: 1.4e-6 */
            return false;
        }
    }
    return true;
}

/* Does the token's embedding, moved by some digits of float32, give what is wanted? It does where a
 * number lies so near the edge between two steps that the order of a sum decides to which it falls:
 * that is some 1e-2 of the logits. No such move makes up for an engine that rounds otherwise. */
static bool is_on_an_edge(const job *j, bt_exec *exec, const bt_batch *one, const float *want,
                          size_t n) {
    enum { WIDEST = 64, N_MOVES = 32 };
    static float  moved[MAX_LOGITS];
    const int64_t E = j->model->encoder.embedding_size;
    const int64_t words = j->model->table.params[j->model->word_embeddings].offset;
    float *const  embedding = bt_exec_params(exec) + words + one->ids[0] * E;
    float         was[WIDEST];
    bool          is_found = false;
    assert_true(E <= WIDEST);
    memcpy(was, embedding, (size_t)E * sizeof *was);
    for (uint64_t i = 0; !is_found && i < N_MOVES; i++) {
        for (int64_t k = 0; k < E; k++) {
            const float move = bt_rng_uniform(bt_rng_key_make(9, i, 0, 0), (uint64_t)k) - 0.5F;
            embedding[k] = was[k] * (1 + 0x1p-20F * move);
        }
        assert_int_equal(evaluate(j, exec, one, moved), n);
        is_found = is_near(moved, want, n);
    }
    memcpy(embedding, was, (size_t)E * sizeof *was);
    return is_found;
}

/* rounded: the parameters as the other engine, which multiplies floats, is to have them. */
static void token_by_token(const job *j, const float *rounded, const char *isa) {
    enum { N_TOKENS = 20, MOST_ON_EDGES = N_TOKENS / 10 };
    static float  want[MAX_LOGITS], got[MAX_LOGITS];
    const int64_t offsets[] = {0, 1};
    int           n_on_edges = 0;
    bt_batch      one = j->batch;
    one.n_seqs = one.n_tokens = one.max_tokens = 1;
    one.offsets = offsets;
    one.key_mask = NULL;
    bt_exec *const other =
        open_exec(j, rounded, &(bt_exec_config){.n_threads = 1, .rounds_to_8_bits = true});
    bt_exec *const exec = open_int8(j, &(bt_exec_config){.n_threads = 1, .isa = isa});
    for (int64_t t = 0; t < N_TOKENS; t++, one.ids++, one.positions++) {
        const size_t n = evaluate(j, other, &one, want);
        assert_int_equal(evaluate(j, exec, &one, got), n);
        if (!is_near(got, want, n)) {
            n_on_edges++;
            assert_true(is_on_an_edge(j, exec, &one, want, n));
        }
    }
    assert_true(n_on_edges <= MOST_ON_EDGES);
    bt_exec_free(other);
    bt_exec_free(exec);
}

static void as_others_round(job *j) {
    const size_t n_params = (size_t)j->model->table.n_elements;
    float *const rounded = bt_alloc_array(n_params, sizeof *rounded);
    assert_non_null(rounded);
    memcpy(rounded, j->params, n_params * sizeof *rounded);
    round_columns(j, j->model->embedding_projection.kernel, rounded);
    for (int64_t l = 0; l < j->model->encoder.num_layers; l++) {
        const bt_layer_index *const p = &j->model->layers[l];
        const bt_dense_index all[] = {p->query,        p->key,   p->value, p->attention_output,
                                      p->intermediate, p->output};
        for (size_t i = 0;
             i < BT_ARRAY_LEN(all) && (l == 0 || j->model->encoder.type != BT_ENCODER_ALBERT);
             i++) {
            assert_int_equal(all[i].bias, all[i].kernel + 1);
            round_columns(j, all[i].kernel, rounded);
        }
    }
    for (const char *const *isa = fixture_isas(); *isa != NULL; isa++) {
        token_by_token(j, rounded, *isa);
    }
    bt_free(rounded);
}

/* The pooler is in float32 here, and in 8 bits there. */
static void test_results_are_those_of_other_rounding(void **state) {
    (void)state;
    for (int i = 0; i < N_ENCODERS; i++) {
        const bt_encoder_config e = encoder_of(i);
        job                     j;
        open_job(&j, &e, BT_HEAD_TOKENS);
        as_others_round(&j);
        close_job(&j);
    }
}

static void test_adapters_are_merged(void **state) {
    (void)state;
    static float      want[MAX_LOGITS], got[MAX_LOGITS];
    bt_encoder_config e = fixture_encoder();
    job               j;
    e.lora = (bt_lora_config){
        .rank = 2, .scale = 4, .has = {[BT_LORA_QUERY] = true, [BT_LORA_OUTPUT] = true}};
    open_job(&j, &e, BT_HEAD_TOKENS);
    for (int64_t l = 0; l < e.num_layers; l++) {
        const bt_param *const b = &j.model->table.params[j.model->layers[l].output.lora_b];
        for (int64_t i = 0; i < b->n_elements; i++) {
            j.params[b->offset + i] *= 8;
        }
    }
    bt_exec     *exec = open_exec(&j, j.params, &(bt_exec_config){.n_threads = 1});
    const size_t n = evaluate(&j, exec, &j.batch, want);
    bt_exec_free(exec);
    exec = open_int8(&j, &(bt_exec_config){.n_threads = 1});
    (void)evaluate(&j, exec, &j.batch, got);
    bt_exec_free(exec);
    for (size_t i = 0; i < n; i++) {
        got[i] -= want[i];
    }
    assert_true(rms(got, n) < 0.05 * rms(want, n));
    for (int64_t l = 0; l < e.num_layers; l++) { /* and without them it is another model */
        const bt_param *const b = &j.model->table.params[j.model->layers[l].output.lora_b];
        memset(j.params + b->offset, 0, (size_t)b->n_elements * sizeof *j.params);
    }
    exec = open_int8(&j, &(bt_exec_config){.n_threads = 1});
    (void)evaluate(&j, exec, &j.batch, got);
    bt_exec_free(exec);
    for (size_t i = 0; i < n; i++) {
        got[i] -= want[i];
    }
    assert_true(rms(got, n) > 0.05 * rms(want, n));
    close_job(&j);
}

static void test_what_is_not_finite_shows(void **state) {
    (void)state;
    static float            got[MAX_LOGITS];
    const bt_encoder_config e = fixture_encoder();
    bt_exec_rounded         rounded = {0};
    bt_error                why = BT_ERROR_INIT;
    job                     j;
    open_job(&j, &e, BT_HEAD_TOKENS);
    const int64_t kernel = j.model->layers[1].key.kernel;
    float *const  weight = &j.params[j.model->table.params[kernel].offset + 5];
    const float   was = *weight;
    *weight = NAN;
    bt_exec *exec = open_exec(&j, j.params, &(bt_exec_config){.n_threads = 2});
    assert_int_equal(bt_exec_round_weights(exec, &rounded, &why), BT_E_FORMAT);
    assert_non_null(strstr(why.msg, j.model->table.params[kernel].name));
    bt_exec_free(exec);
    *weight = was;
    j.params[j.model->table.params[j.model->word_embeddings].offset] = NAN; /* of word 0 */
    for (int64_t t = 0; t < j.batch.n_tokens; t++) {
        j.rows.ids[t] = t == j.rows.offsets[2] ? 0 : 1;
    }
    exec = open_int8(&j, &(bt_exec_config){.n_threads = 2});
    (void)evaluate(&j, exec, &j.batch, got);
    for (int64_t t = 0; t < j.batch.n_tokens; t++) { /* all tokens of sequence 2, and no others */
        const bool is_its = t >= j.rows.offsets[2] && t < j.rows.offsets[3];
        assert_int_equal(isnan(got[3 * t]), is_its);
    }
    bt_exec_free(exec);
    close_job(&j);
}

/* Large enough that whole pages are given back. */
static void test_memory_is_given_back(void **state) {
    (void)state;
    bt_encoder_config e = fixture_encoder();
    bt_exec_rounded   rounded = {0};
    bt_step_result    result = {0};
    bt_error          why = BT_ERROR_INIT;
    job               j;
    e.hidden_size = e.embedding_size = 128;
    e.intermediate_size = 512;
    open_job(&j, &e, BT_HEAD_POOLER_DENSE);
    bt_exec *const        exec = open_exec(&j, j.params, &(bt_exec_config){.n_threads = 1});
    const size_t          before = bt_exec_memory_bytes(exec);
    const bt_param *const kernel = &j.model->table.params[j.model->layers[0].intermediate.kernel];
    assert_ok(bt_exec_round_weights(exec, &rounded, err));
    const size_t after = bt_exec_memory_bytes(exec);
    assert_int_equal(rounded.n_bytes_before, 2 * (4 * 128 * 128 + 2 * 128 * 512) * sizeof(float));
    assert_true(rounded.n_bytes < rounded.n_bytes_before * 3 / 10);
    assert_int_equal(before - after, rounded.n_bytes_before - rounded.n_bytes);
    assert_true(bt_exec_params(exec)[kernel->offset + kernel->n_elements / 2] == 0);
    assert_int_equal(bt_exec_round_weights(exec, &rounded, &why), BT_E_INTERNAL);
    assert_int_equal(bt_exec_gradients(exec, &j.batch, 0, 1, &result, &why), BT_E_INTERNAL);
    bt_exec_free(exec);
    close_job(&j);
}

/* Of each weight before the next one is rounded; what then stops midway computes nothing. */
static void test_memory_is_given_back_one_by_one(void **state) {
    (void)state;
    bt_encoder_config e = fixture_encoder();
    bt_exec_rounded   rounded = {0};
    bt_step_result    result = {0};
    bt_error          why = BT_ERROR_INIT;
    static float      hidden[N_SEQS * LENGTH * 128];
    job               j;
    e.hidden_size = e.embedding_size = 128;
    e.intermediate_size = 512;
    open_job(&j, &e, BT_HEAD_POOLER_DENSE);
    const bt_model *const m = j.model;
    const bt_param *const last = &m->table.params[m->layers[e.num_layers - 1].output.kernel];
    j.params[last->offset + 7] = NAN;
    bt_exec *const exec = open_exec(&j, j.params, &(bt_exec_config){.n_threads = 2});
    const size_t   before = bt_exec_memory_bytes(exec);
    assert_int_equal(bt_exec_round_weights(exec, &rounded, &why), BT_E_FORMAT);
    for (int64_t l = 0; l < e.num_layers; l++) {
        const bt_param *const p = &m->table.params[m->layers[l].intermediate.kernel];
        assert_true(bt_exec_params(exec)[p->offset + p->n_elements / 2] == 0);
    }
    assert_true(bt_exec_params(exec)[last->offset + last->n_elements / 2] != 0);
    assert_true(bt_exec_memory_bytes(exec) < before / 2);
    assert_int_equal(bt_exec_evaluate(exec, &j.batch, &result, &why), BT_E_INTERNAL);
    assert_int_equal(bt_exec_encode(exec, &j.batch, 0, hidden, NULL, &why), BT_E_INTERNAL);
    bt_exec_free(exec);
    close_job(&j);
}

/* Made in 8 bits: each weight when it is taken. one_by_one: as a checkpoint is read. */
static bt_exec *open_at_once(const job *j, bt_exec_config config, bool one_by_one) {
    bt_exec *exec = NULL;
    config.only_evaluates = config.in_8_bits = true;
    assert_ok(bt_exec_create_cpu(j->model, NULL, &config, &exec, err));
    for (int64_t i = j->model->table.n_params - 1; i >= 0; i--) { /* kernels after their biases */
        const bt_param *const p = &j->model->table.params[i];
        float *const place = one_by_one ? bt_exec_place(exec, i) : bt_exec_params(exec) + p->offset;
        memcpy(place, j->params + p->offset, (size_t)p->n_elements * sizeof *place);
        assert_ok(one_by_one ? bt_exec_take(exec, i, err) : BT_OK);
    }
    return exec;
}

static void at_once_is_the_same(job *j) {
    static float       want[MAX_LOGITS], got[MAX_LOGITS];
    const char *const *isas = fixture_isas();
    for (int i = 0; isas[i] != NULL; i++) {
        const bt_exec_config config = {.n_threads = 2,
                                       .isa = isas[i],
                                       .precision =
                                           i % 2 == 0 ? BT_PRECISION_F32 : BT_PRECISION_BF16};
        bt_exec_rounded      usual = {0};
        bt_exec_rounded      at_once = {0};
        bt_error             why = BT_ERROR_INIT;
        bt_exec             *exec = open_exec(j, j->params, &config);
        assert_ok(bt_exec_round_weights(exec, &usual, err));
        const size_t n = evaluate(j, exec, &j->batch, want);
        bt_exec_free(exec);
        for (int how = 0; how < 2; how++) {
            bt_step_result result = {0};
            exec = open_at_once(j, config, how == 0);
            assert_int_equal(bt_exec_evaluate(exec, &j->batch, &result, &why), BT_E_INTERNAL);
            assert_ok(bt_exec_changed(exec, err));
            assert_int_equal(evaluate(j, exec, &j->batch, got), n);
            assert_memory_equal(got, want, n * sizeof *got);
            assert_ok(bt_exec_round_weights(exec, &at_once, err));
            assert_string_equal(at_once.kernels, usual.kernels);
            assert_int_equal(at_once.n_bytes, usual.n_bytes);
            assert_int_equal(at_once.n_bytes_before, usual.n_bytes_before);
            assert_int_equal(bt_exec_round_weights(exec, &at_once, &why), BT_E_INTERNAL);
            assert_int_equal(bt_exec_changed(exec, &why), BT_E_INTERNAL);
            assert_int_equal(bt_exec_take(exec, 0, &why), BT_E_INTERNAL);
            bt_exec_free(exec);
        }
    }
}

/* The bits of an engine that had floats before; under ref, where a BLAS makes products, it has. */
static void test_weights_are_rounded_as_they_come(void **state) {
    (void)state;
    every_model(at_once_is_the_same);
    bt_encoder_config e = fixture_encoder();
    job               j;
    e.lora = (bt_lora_config){
        .rank = 2, .scale = 4, .has = {[BT_LORA_QUERY] = true, [BT_LORA_OUTPUT] = true}};
    open_job(&j, &e, BT_HEAD_TOKENS);
    at_once_is_the_same(&j);
    close_job(&j);
}

static void test_floats_are_never_there(void **state) {
    (void)state;
    bt_encoder_config e = fixture_encoder();
    bt_exec          *none = NULL;
    bt_error          why = BT_ERROR_INIT;
    job               j;
    e.hidden_size = e.embedding_size = 128;
    e.intermediate_size = 512;
    open_job(&j, &e, BT_HEAD_POOLER_DENSE);
    const bt_model *const m = j.model;
    const size_t          all = (size_t)m->table.n_elements * sizeof(float);
    const size_t          kernels = (size_t)(2 * (4 * 128 * 128 + 2 * 128 * 512)) * sizeof(float);
    bt_exec_config        config = {.n_threads = 1, .memory_limit = all - kernels / 2};
    bt_exec *const        exec = open_at_once(&j, config, true);
    for (int64_t l = 0; l < e.num_layers; l++) {
        const bt_param *const p = &m->table.params[m->layers[l].intermediate.kernel];
        assert_true(bt_exec_params(exec)[p->offset + p->n_elements / 2] == 0);
    }
    assert_ok(bt_exec_changed(exec, err));
    assert_true(bt_exec_memory_bytes(exec) < all - kernels * 7 / 10);
    bt_exec_free(exec);
    config.only_evaluates = true; /* in floats there is no room for it */
    assert_int_equal(bt_exec_create_cpu(m, NULL, &config, &none, &why), BT_E_NOMEM);
    close_job(&j);
}

static void test_what_cannot_be_rounded_stops_it(void **state) {
    (void)state;
    const bt_encoder_config e = fixture_encoder();
    bt_exec                *exec = NULL;
    bt_error                why = BT_ERROR_INIT;
    bt_step_result          result = {0};
    job                     j;
    open_job(&j, &e, BT_HEAD_TOKENS);
    const int64_t         kernel = j.model->layers[1].key.kernel;
    const bt_param *const p = &j.model->table.params[kernel];
    const bt_exec_config  config = {.n_threads = 2, .only_evaluates = true, .in_8_bits = true};
    assert_ok(bt_exec_create_cpu(j.model, NULL, &config, &exec, err));
    float *const place = bt_exec_place(exec, kernel);
    memcpy(place, j.params + p->offset, (size_t)p->n_elements * sizeof *place);
    place[5] = INFINITY;
    assert_int_equal(bt_exec_take(exec, kernel, &why), BT_E_FORMAT);
    assert_non_null(strstr(why.msg, p->name));
    assert_int_equal(bt_exec_changed(exec, &why), BT_E_INTERNAL);
    assert_int_equal(bt_exec_evaluate(exec, &j.batch, &result, &why), BT_E_INTERNAL);
    bt_exec_free(exec);
    close_job(&j);
}

static void test_out_of_memory_at_once(void **state) {
    (void)state;
    const bt_encoder_config e = fixture_encoder();
    bool                    is_done = false;
    job                     j;
    open_job(&j, &e, BT_HEAD_TOKENS);
    for (uint64_t k = 1; !is_done; k++) {
        const bt_exec_config config = {.n_threads = 1, .only_evaluates = true, .in_8_bits = true};
        bt_error             why = BT_ERROR_INIT;
        bt_exec             *exec = NULL;
        bt_alloc_fail_at(k, false);
        bt_status rc = bt_exec_create_cpu(j.model, NULL, &config, &exec, &why);
        if (rc == BT_OK) {
            memcpy(bt_exec_params(exec), j.params,
                   (size_t)j.model->table.n_elements * sizeof *j.params);
            rc = bt_exec_changed(exec, &why);
        }
        bt_alloc_fail_at(0, false);
        is_done = rc == BT_OK;
        assert_true(is_done || rc == BT_E_NOMEM);
        assert_true(k < 200);
        bt_exec_free(exec);
    }
    close_job(&j);
}

static void test_out_of_memory(void **state) {
    (void)state;
    const bt_encoder_config e = fixture_encoder();
    job                     j;
    open_job(&j, &e, BT_HEAD_TOKENS);
    bool is_done = false;
    for (uint64_t k = 1; !is_done; k++) {
        bt_error        why = BT_ERROR_INIT;
        bt_exec_rounded rounded = {0};
        bt_exec *const  exec = open_exec(&j, j.params, &(bt_exec_config){.n_threads = 1});
        bt_alloc_fail_at(k, false);
        const bt_status rc = bt_exec_round_weights(exec, &rounded, &why);
        bt_alloc_fail_at(0, false);
        is_done = rc == BT_OK;
        assert_true(is_done || rc == BT_E_NOMEM);
        assert_true(k < 100);
        bt_exec_free(exec);
    }
    close_job(&j);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits_depend_on_neither_threads_nor_batch),
        cmocka_unit_test(test_results_are_near_float32),
        cmocka_unit_test(test_results_are_those_of_other_rounding),
        cmocka_unit_test(test_adapters_are_merged),
        cmocka_unit_test(test_what_is_not_finite_shows),
        cmocka_unit_test(test_memory_is_given_back),
        cmocka_unit_test(test_memory_is_given_back_one_by_one),
        cmocka_unit_test(test_weights_are_rounded_as_they_come),
        cmocka_unit_test(test_floats_are_never_there),
        cmocka_unit_test(test_what_cannot_be_rounded_stops_it),
        cmocka_unit_test(test_out_of_memory_at_once),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
