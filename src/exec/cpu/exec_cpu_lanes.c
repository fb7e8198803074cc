/* SPDX-License-Identifier: Apache-2.0
 *
 * Evaluation of many sequences: sorted by length and cut into packs of about as many tokens, each
 * of which one thread takes through the whole model by itself. No thread waits for another one
 * between two layers, and what a pack keeps is a few megabytes. What a sequence gives does not
 * depend on what it is packed with (every element of a product is summed in one order), so the
 * logits are those of its own batch, bit for bit, and losses are taken of the batches as they came.
 */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/fp.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "exec_cpu_int8.h"

enum {
    PACK_TOKENS = 2048,
    LEAST_TOKENS = 256, /* of a pack; below, all threads work on the same products */
    PACKS_A_LANE = 16,  /* of a window: then the last ones do not count for much */
};

/* A sequence, and where its logits (or vector) go. */
typedef struct lane_seq {
    const bt_batch *batch;
    int64_t         seq; /* of the batch */
    int64_t         length;
    float          *out;
} lane_seq;

/* What one thread works with. */
typedef struct lane {
    exec_cpu exec; /* a copy of the engine; buffers of a pass and scratch are its own */
    int32_t *ids;  /* owned; [cap_tokens] as types, positions; one allocation */
    int32_t *types, *positions;
    uint8_t *key_mask; /* owned; [cap_tokens] */
    int64_t *offsets;  /* owned; [cap_seqs + 1] */
    int64_t  cap_tokens, cap_seqs;
} lane;

/* Sequences [first, end) of the sorted ones. */
typedef struct lane_pack {
    int64_t first, end;
    int64_t n_tokens;
    bool    is_masked;
} lane_pack;

struct exec_lanes {
    lane      *lanes; /* owned; [n_lanes] */
    int32_t    n_lanes;
    lane_seq  *seqs; /* owned; as the next ones grows with what comes */
    size_t     n_seqs, cap_seqs;
    lane_pack *packs;
    size_t     n_packs, cap_packs;
    float     *out; /* of all batches, one after another */
    size_t     n_out, cap_out;
    float     *scores; /* of a dual encoder's batch */
    size_t     cap_scores;
};

static void lane_deinit(lane *l) {
    exec_acts_deinit(&l->exec.acts);
    bt_free(l->exec.nn.partials);
    bt_free(l->exec.nn.thread_scratch);
    bt_free(l->exec.nn.panels);
    bt_free(l->ids);
    bt_free(l->key_mask);
    bt_free(l->offsets);
}

void exec_lanes_free(exec_lanes *lanes) {
    if (lanes == NULL) {
        return;
    }
    for (int32_t i = 0; lanes->lanes != NULL && i < lanes->n_lanes; i++) {
        lane_deinit(&lanes->lanes[i]);
    }
    bt_free(lanes->lanes);
    bt_free(lanes->seqs);
    bt_free(lanes->packs);
    bt_free(lanes->out);
    bt_free(lanes->scores);
    bt_free(lanes);
}

size_t exec_lanes_bytes(const exec_lanes *lanes) {
    size_t n = 0;
    for (int32_t i = 0; lanes != NULL && i < lanes->n_lanes; i++) {
        const lane *const l = &lanes->lanes[i];
        n += (size_t)l->exec.acts.n_floats * sizeof(float) + l->exec.scratch_bytes;
    }
    return lanes == NULL ? 0 : n + (lanes->cap_out + lanes->cap_scores) * sizeof(float);
}

/* A BLAS has threads of its own and sums as it likes; rounding to 8 bits looks at a whole batch. */
static bool has_lanes(const exec_cpu *exec) {
    return exec->nn.product != NULL && !exec->rounds_to_8_bits;
}

int64_t exec_cpu_window_tokens(const bt_exec *base) {
    const exec_cpu *const exec = exec_cpu_seen(base);
    const int64_t         n_lanes = bt_pool_n_threads(exec->pool);
    return has_lanes(exec) ? n_lanes * PACKS_A_LANE * PACK_TOKENS : 0;
}

static bool is_large(const exec_cpu *exec, int64_t n_tokens) {
    return has_lanes(exec) && n_tokens >= bt_pool_n_threads(exec->pool) * LEAST_TOKENS;
}

static bt_status create(exec_cpu *exec, bt_error *err) {
    const size_t L = (size_t)exec->model->encoder.num_layers;
    exec_lanes  *lanes = bt_calloc_array(1, sizeof *lanes);
    if (lanes == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for an evaluation");
    }
    exec->lanes = lanes;
    const int32_t n_lanes = bt_pool_n_threads(exec->pool);
    lanes->lanes = bt_calloc_array((size_t)n_lanes, sizeof *lanes->lanes);
    if (lanes->lanes == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for an evaluation");
    }
    lanes->n_lanes = n_lanes;
    for (int32_t i = 0; i < n_lanes; i++) {
        exec_acts *const acts = &lanes->lanes[i].exec.acts;
        acts->layers = bt_calloc_array(L, sizeof *acts->layers);
        if (acts->layers == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for the plan of an evaluation");
        }
    }
    return BT_OK;
}

/* The engine as it is now, with the lane's own buffers. */
static void refresh(lane *l, const exec_cpu *exec) {
    const exec_cpu own = l->exec;
    l->exec = *exec;
    l->exec.acts = own.acts;
    l->exec.lanes = NULL;
    l->exec.pool = NULL;
    l->exec.nn.pool = NULL;
    l->exec.nn.partials = own.nn.partials;
    l->exec.nn.n_partials = own.nn.n_partials;
    l->exec.nn.thread_scratch = own.nn.thread_scratch;
    l->exec.nn.n_thread_scratch = own.nn.n_thread_scratch;
    l->exec.nn.panels = own.nn.panels;
    l->exec.nn.panel_bytes = own.nn.panel_bytes;
    l->exec.nn.products = (bt_nn_products){0};
    l->exec.nn.attention_seconds = 0;
    l->exec.scratch_bytes = own.scratch_bytes;
    if (own.int8 != exec->int8 || own.is_16 != exec->is_16) {
        l->exec.acts.scratch_rows = 0; /* what a thread's scratch must hold is not what it was */
    }
}

/* The longest first, then as they came. */
static int by_length(const void *a, const void *b) {
    const lane_seq *const x = a;
    const lane_seq *const y = b;
    if (x->length != y->length) {
        return x->length > y->length ? -1 : 1;
    }
    return x->out < y->out ? -1 : x->out > y->out;
}

/* Numbers that a pass makes of a sequence: its logits, or the vector that a ranking loss scores. */
static int64_t seq_outputs(const bt_model *model, int64_t length) {
    const int64_t C = model->head.num_classes;
    return model->head.kind == BT_HEAD_POOLED_OUTPUT ? model->encoder.hidden_size
           : model->head.kind == BT_HEAD_TOKENS      ? length * C
                                                     : C;
}

static int64_t batch_outputs(const bt_model *model, const bt_batch *batch) {
    return seq_outputs(model, 1) *
           (model->head.kind == BT_HEAD_TOKENS ? batch->n_tokens : batch->n_seqs);
}

/* Room for all sequences and what is made of them. */
static bt_status make_room(exec_cpu *exec, const bt_batch *const *batches, size_t n,
                           bt_error *err) {
    exec_lanes *const lanes = exec->lanes;
    const bool        ranks = exec->model->head.loss == BT_LOSS_RANKING;
    size_t            n_seqs = 0;
    size_t            n_out = 0;
    size_t            n_scores = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t scores = ranks ? (size_t)bt_model_n_logits(exec->model, batches[i]) : 0;
        n_seqs += (size_t)batches[i]->n_seqs;
        n_out += (size_t)batch_outputs(exec->model, batches[i]);
        n_scores = scores > n_scores ? scores : n_scores;
    }
    BT_TRY(
        bt_grow(&lanes->seqs, &lanes->cap_seqs, n_seqs, sizeof *lanes->seqs, SIZE_MAX / 64, err));
    BT_TRY(bt_grow(&lanes->out, &lanes->cap_out, n_out, sizeof *lanes->out, SIZE_MAX / 64, err));
    return bt_grow(&lanes->scores, &lanes->cap_scores, n_scores, sizeof *lanes->scores,
                   SIZE_MAX / 64, err);
}

static void sort_seqs(exec_cpu *exec, const bt_batch *const *batches, size_t n) {
    exec_lanes *const lanes = exec->lanes;
    float            *out = lanes->out;
    lanes->n_seqs = 0;
    for (size_t i = 0; i < n; i++) {
        const bt_batch *const batch = batches[i];
        for (int64_t b = 0; b < batch->n_seqs; b++) {
            const int64_t length = batch->offsets[b + 1] - batch->offsets[b];
            lanes->seqs[lanes->n_seqs++] =
                (lane_seq){.batch = batch, .seq = b, .length = length, .out = out};
            out += seq_outputs(exec->model, length);
        }
    }
    qsort(lanes->seqs, lanes->n_seqs, sizeof *lanes->seqs, by_length);
}

/* As many packs as keep to the budget, and as many for each lane where they are few. */
static int64_t count_packs(const exec_lanes *lanes, int64_t n_tokens, int64_t budget) {
    const int64_t n_lanes = lanes->n_lanes;
    const int64_t n = (n_tokens + budget - 1) / budget;
    return (n + n_lanes - 1) / n_lanes * n_lanes;
}

/* Each pack ends where its share of all tokens does. */
static bt_status cut_packs(exec_lanes *lanes, int64_t n_tokens, int64_t budget, bt_error *err) {
    const int64_t n = count_packs(lanes, n_tokens, budget);
    int64_t       before = 0;
    lane_pack     pack = {0};
    BT_TRY(bt_grow(&lanes->packs, &lanes->cap_packs, (size_t)n, sizeof *lanes->packs, SIZE_MAX / 64,
                   err));
    lanes->n_packs = 0;
    for (size_t i = 0; i < lanes->n_seqs; i++) {
        const int64_t share_end = n_tokens / n * ((int64_t)lanes->n_packs + 1);
        pack.n_tokens += lanes->seqs[i].length;
        pack.is_masked = pack.is_masked || lanes->seqs[i].batch->key_mask != NULL;
        pack.end = (int64_t)i + 1;
        const bool is_last = i + 1 == lanes->n_seqs;
        if (is_last || (before + pack.n_tokens >= share_end && (int64_t)lanes->n_packs + 1 < n)) {
            before += pack.n_tokens;
            lanes->packs[lanes->n_packs++] = pack;
            pack = (lane_pack){.first = pack.end};
        }
    }
    return BT_OK;
}

/* What has room for each of the packs. */
static exec_shape largest_of(const exec_lanes *lanes) {
    exec_shape shape = {.max_length = lanes->seqs[0].length};
    for (size_t i = 0; i < lanes->n_packs; i++) {
        const lane_pack *const pack = &lanes->packs[i];
        const int64_t          n_seqs = pack->end - pack->first;
        shape.n_tokens = pack->n_tokens > shape.n_tokens ? pack->n_tokens : shape.n_tokens;
        shape.n_seqs = n_seqs > shape.n_seqs ? n_seqs : shape.n_seqs;
    }
    return shape;
}

static bt_status lane_inputs(lane *l, const exec_shape *shape, bt_error *err) {
    if (shape->n_tokens <= l->cap_tokens && shape->n_seqs <= l->cap_seqs) {
        return BT_OK;
    }
    bt_free(l->ids);
    bt_free(l->key_mask);
    bt_free(l->offsets);
    l->cap_tokens = 0;
    l->ids = bt_alloc_array((size_t)shape->n_tokens, 3 * sizeof *l->ids);
    l->key_mask = bt_alloc_array((size_t)shape->n_tokens, sizeof *l->key_mask);
    l->offsets = bt_alloc_array((size_t)shape->n_seqs + 1, sizeof *l->offsets);
    if (l->ids == NULL || l->key_mask == NULL || l->offsets == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the tokens of an evaluation");
    }
    l->cap_tokens = shape->n_tokens;
    l->cap_seqs = shape->n_seqs;
    l->types = l->ids + shape->n_tokens;
    l->positions = l->types + shape->n_tokens;
    return BT_OK;
}

/* Of all lanes together. */
static bool fits(const exec_cpu *exec, const exec_shape *shape) {
    const exec_lanes *const lanes = exec->lanes;
    const exec_cpu *const   any = &lanes->lanes[0].exec;
    const size_t            acts = exec_acts_bytes(any, shape);
    const uint64_t          left = exec_memory_left(exec) + exec_lanes_bytes(lanes);
    return acts != SIZE_MAX &&
           (acts + exec_scratch_bytes(any, shape)) * (uint64_t)lanes->n_lanes <= left;
}

/* *fit false: there is no room even for packs of a sequence or two. */
static bt_status plan(exec_cpu *exec, int64_t n_tokens, bool *fit, bt_error *err) {
    exec_lanes *const lanes = exec->lanes;
    exec_shape        shape = {0};
    int64_t           budget = 2 * PACK_TOKENS;
    for (int32_t i = 0; i < lanes->n_lanes; i++) {
        refresh(&lanes->lanes[i], exec);
    }
    *fit = false;
    while (!*fit && budget >= 2 * LEAST_TOKENS) {
        budget /= 2;
        BT_TRY(cut_packs(lanes, n_tokens, budget, err));
        shape = largest_of(lanes);
        *fit = fits(exec, &shape);
    }
    for (int32_t i = 0; *fit && i < lanes->n_lanes; i++) {
        lane *const l = &lanes->lanes[i];
        l->exec.memory_limit = 0; /* it was asked above */
        BT_TRY(lane_inputs(l, &shape, err));
        BT_TRY(exec_plan(&l->exec, &shape, &shape, err));
    }
    return BT_OK;
}

typedef struct lanes_job {
    exec_lanes         *lanes;
    const exec_window  *window; /* NULL: nobody watches */
    atomic_bool         is_stopped;
    atomic_int_fast64_t n_done; /* sequences */
} lanes_job;

static bt_batch gather(lane *l, const exec_lanes *lanes, const lane_pack *pack) {
    bt_batch batch = {.n_seqs = pack->end - pack->first,
                      .n_tokens = pack->n_tokens,
                      .max_tokens = lanes->seqs[pack->first].length,
                      .seq_length = lanes->seqs[pack->first].length,
                      .offsets = l->offsets,
                      .ids = l->ids,
                      .types = l->types,
                      .positions = l->positions,
                      .key_mask = pack->is_masked ? l->key_mask : NULL};
    int64_t  at = 0;
    for (int64_t i = 0; i < batch.n_seqs; i++) {
        const lane_seq *const seq = &lanes->seqs[pack->first + i];
        const int64_t         from = seq->batch->offsets[seq->seq];
        const size_t          n = (size_t)seq->length;
        l->offsets[i] = at;
        memcpy(l->ids + at, seq->batch->ids + from, n * sizeof *l->ids);
        memcpy(l->types + at, seq->batch->types + from, n * sizeof *l->types);
        memcpy(l->positions + at, seq->batch->positions + from, n * sizeof *l->positions);
        if (seq->batch->key_mask != NULL) {
            memcpy(l->key_mask + at, seq->batch->key_mask + from, n);
        } else {
            memset(l->key_mask + at, 1, n);
        }
        at += seq->length;
    }
    l->offsets[batch.n_seqs] = at;
    return batch;
}

static void scatter(const exec_lanes *lanes, const exec_cpu *exec, const lane_pack *pack) {
    const bool   ranks = exec->model->head.loss == BT_LOSS_RANKING;
    const float *from = ranks ? exec->acts.vectors : exec->acts.logits;
    for (int64_t i = pack->first; i < pack->end; i++) {
        const int64_t n = seq_outputs(exec->model, lanes->seqs[i].length);
        memcpy(lanes->seqs[i].out, from, (size_t)n * sizeof *from);
        from += n;
    }
}

static void pack_task(void *context, int64_t task, int32_t thread) {
    lanes_job *const         job = context;
    exec_lanes *const        lanes = job->lanes;
    const exec_window *const window = job->window;
    lane *const              l = &lanes->lanes[thread];
    const lane_pack *const   pack = &lanes->packs[task];
    if (window != NULL && bt_stop_requested()) {
        atomic_store(&job->is_stopped, true);
        return;
    }
    const bt_batch   batch = gather(l, lanes, pack);
    const exec_shape shape = {
        .n_seqs = batch.n_seqs, .n_tokens = batch.n_tokens, .max_length = batch.max_tokens};
    const bt_status rc = exec_plan(&l->exec, &shape, &shape, NULL);
    BT_ASSERT(rc == BT_OK); /* there is room for the largest one */
    (void)rc;
    exec_pass pass = exec_pass_of(&l->exec, &batch);
    pass.without_pairs = true;
    exec_head_forward(&l->exec, &pass, exec_encoder_forward(&l->exec, &pass));
    scatter(lanes, &l->exec, pack);
    const int64_t n_done = atomic_fetch_add(&job->n_done, batch.n_seqs) + batch.n_seqs;
    if (thread == 0 && window != NULL && window->tick != NULL) {
        window->tick(window->context, n_done);
    }
}

/* What the lanes' clocks show, as if all had worked on the same products. */
static void add_clocks(exec_cpu *exec) {
    const exec_lanes *const lanes = exec->lanes;
    for (int32_t i = 0; i < lanes->n_lanes; i++) {
        const bt_nn *const nn = &lanes->lanes[i].exec.nn;
        exec->nn.products.seconds += nn->products.seconds / lanes->n_lanes;
        exec->nn.products.flops += nn->products.flops;
        exec->nn.products.n_calls += nn->products.n_calls;
        exec->nn.attention_seconds += nn->attention_seconds / lanes->n_lanes;
    }
}

static bt_status need_lanes(exec_cpu *exec, bt_error *err) {
    if (exec->lanes != NULL) {
        return BT_OK;
    }
    const bt_status rc = create(exec, err);
    if (rc != BT_OK) {
        exec_lanes_free(exec->lanes);
        exec->lanes = NULL;
    }
    return rc;
}

/* *fit false: nothing was done, for want of memory. watched: by somebody who may stop it. */
static bt_status run_lanes(exec_cpu *exec, const exec_window *window, int64_t n_tokens,
                           bool watched, bool *fit, bt_error *err) {
    BT_TRY(need_lanes(exec, err));
    BT_TRY(make_room(exec, window->batches, window->n, err));
    sort_seqs(exec, window->batches, window->n);
    BT_TRY(plan(exec, n_tokens, fit, err));
    if (!*fit) {
        return BT_OK;
    }
    lanes_job job = {.lanes = exec->lanes, .window = watched ? window : NULL};
    atomic_init(&job.is_stopped, false);
    atomic_init(&job.n_done, 0);
    bt_pool_run_cut(exec->pool, (int64_t)exec->lanes->n_packs, pack_task, &job);
    add_clocks(exec);
    return atomic_load(&job.is_stopped) ? bt_stop_check(err) : BT_OK;
}

/* Of a batch whose numbers are there. */
static void finish_batch(exec_cpu *exec, const bt_batch *batch, float *out,
                         bt_step_result *result) {
    exec_lanes *const           lanes = exec->lanes;
    const bt_head_config *const head = &exec->model->head;
    const exec_pass             pass = exec_pass_of(exec, batch);
    exec->acts.logits = out;
    if (head->loss == BT_LOSS_RANKING) {
        bt_nn_pair_scores_forward(&lanes->lanes[0].exec.nn, lanes->scores, out, batch->n_seqs / 2,
                                  exec->model->encoder.hidden_size, head->logit_scale,
                                  head->logit_margin);
        exec->acts.logits = lanes->scores;
    }
    result->n_tokens = batch->n_tokens;
    result->loss = exec_loss(exec, &pass, NULL);
    result->n_nonfinite = !isfinite(result->loss);
    result->logits = exec->acts.logits;
}

/* The times of a window count in its first batch. */
static bt_status finish(exec_cpu *exec, const exec_window *window, bt_exec_times times,
                        bt_error *err) {
    float *out = exec->lanes->out;
    for (size_t i = 0; i < window->n; i++) {
        const bt_batch *const batch = window->batches[i];
        bt_step_result        result = {.times = times};
        finish_batch(exec, batch, out, &result);
        out += batch_outputs(exec->model, batch);
        times = (bt_exec_times){0};
        BT_TRY(window->take(window->context, batch, &result, err));
    }
    return BT_OK;
}

static bt_status evaluate_whole(exec_cpu *exec, const exec_window *window, bt_error *err) {
    for (size_t i = 0; i < window->n; i++) {
        bt_step_result result = {0};
        BT_TRY(exec_evaluate_whole(exec, window->batches[i], &result, err));
        BT_TRY(window->take(window->context, window->batches[i], &result, err));
    }
    return BT_OK;
}

static bt_status evaluate(exec_cpu *exec, const exec_window *window, bool watched, bt_error *err) {
    int64_t n_tokens = 0;
    bool    fit = false;
    BT_TRY(exec_int8_check(exec, err));
    for (size_t i = 0; i < window->n; i++) {
        int64_t longest = 0;
        BT_TRY(exec_check_batch(exec->model, window->batches[i], &longest, err));
        n_tokens += window->batches[i]->n_tokens;
    }
    if (!is_large(exec, n_tokens)) {
        return evaluate_whole(exec, window, err);
    }
    for (size_t i = 0; i < window->n; i++) {
        exec_read_words(exec, window->batches[i], -1);
    }
    bt_exec_times times = exec_times_start(exec);
    const double  start = bt_time_monotonic();
    BT_TRY(run_lanes(exec, window, n_tokens, watched, &fit, err));
    if (!fit) { /* which says so, or needs less */
        return evaluate_whole(exec, window, err);
    }
    times.forward = bt_time_monotonic() - start;
    exec_times_stop(exec, &times);
    return finish(exec, window, times, err);
}

bt_status exec_cpu_evaluate_window(bt_exec *base, const exec_window *window, bt_error *err) {
    const bt_fp_state before = bt_fp_flush();
    const bt_status   rc = evaluate(exec_cpu_of(base), window, true, err);
    bt_fp_set(before);
    return rc;
}

static bt_status keep_result(void *context, const bt_batch *batch, const bt_step_result *result,
                             bt_error *err) {
    bt_step_result *const kept = context;
    (void)batch;
    (void)err;
    *kept = *result;
    return BT_OK;
}

bt_status exec_cpu_evaluate(bt_exec *base, const bt_batch *batch, bt_step_result *result,
                            bt_error *err) {
    const exec_window one = {.batches = &batch, .n = 1, .take = keep_result, .context = result};
    const bt_fp_state before = bt_fp_flush();
    const bt_status   rc = evaluate(exec_cpu_of(base), &one, false, err);
    bt_fp_set(before);
    return rc;
}
