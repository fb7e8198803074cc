/* SPDX-License-Identifier: Apache-2.0
 *
 * One update: norms, clipping, the optimizer's own formula, moving average. The work is cut into
 * chunks that never depend on the number of threads, and partial sums are added in the order of
 * the chunks. Order of clipping: gradient_clip_norm (adamw), clipvalue, then clipnorm or
 * global_clipnorm: docs/model_garden/numerics.md section 3, docs/model_garden/config.md 5.3. */
#include <math.h>

#include "optim_internal.h"

typedef void (*chunk_fn)(const optim_step *step, int64_t chunk);

typedef struct chunk_job {
    const optim_step *step;
    chunk_fn          fn;
    int64_t           first;
} chunk_job;

static void run_task(void *context, int64_t task, int32_t thread) {
    const chunk_job *const job = context;
    (void)thread;
    job->fn(job->step, job->first + task);
}

static void run_some_chunks(const optim_step *step, int64_t first, int64_t n, bt_pool *pool,
                            chunk_fn fn) {
    chunk_job job = {.step = step, .fn = fn, .first = first};
    bt_pool_run(pool, n, run_task, &job);
}

static void run_chunks(const optim_step *step, bt_pool *pool, chunk_fn fn) {
    run_some_chunks(step, 0, step->optim->n_chunks, pool, fn);
}

static const bt_param *param_of(const bt_optim *optim, const optim_chunk *chunk) {
    return &optim->table->params[chunk->param];
}

static void sum_gradient(const optim_step *step, int64_t c) {
    const bt_optim *const    optim = step->optim;
    const optim_chunk *const chunk = &optim->chunks[c];
    const bt_param *const    param = param_of(optim, chunk);
    /* the word table's sum is the caller's: un-aggregated rows */
    const bool counts = param->has_gradient && !param->is_word_embedding;
    optim->partials[c] =
        counts ? optim->kern.sum_sq(step->buffers->grad + chunk->first, chunk->n) : 0.0;
}

/* Per parameter into state.sum_sq; returns the sum of all. */
static double sum_gradients(const optim_step *step, double word_rows_sum_sq, bt_pool *pool) {
    const bt_optim *const optim = step->optim;
    run_chunks(step, pool, sum_gradient);
    for (int64_t p = 0; p < optim->table->n_params; p++) {
        optim->params[p].sum_sq = 0.0;
    }
    for (int64_t c = 0; c < optim->n_chunks; c++) {
        optim->params[optim->chunks[c].param].sum_sq += optim->partials[c];
    }
    double total = 0.0;
    for (int64_t p = 0; p < optim->table->n_params; p++) {
        const bt_param *const param = &optim->table->params[p];
        if (param->is_word_embedding && param->has_gradient) {
            optim->params[p].sum_sq = word_rows_sum_sq;
        }
        total += optim->params[p].sum_sq;
    }
    return total;
}

/* tf.clip_by_global_norm: the factor, in float32 as there. */
static float global_scale(double norm, double clip) {
    const float c = (float)clip;
    return c * fminf(1.0F / (float)norm, 1.0F / c);
}

static float clamp(float x, float limit) {
    return fminf(fmaxf(x, -limit), limit);
}

static void clip_values(const optim_step *step, int64_t c) {
    const bt_optim *const          optim = step->optim;
    const optim_chunk *const       chunk = &optim->chunks[c];
    const optim_param_state *const state = &optim->params[chunk->param];
    const bt_param *const          param = param_of(optim, chunk);
    const float                    limit = (float)optim->options.clipvalue.value;
    float *const                   grad = step->buffers->grad + chunk->first;
    if (!param->has_gradient) {
        return;
    }
    for (int64_t i = 0; i < chunk->n; i++) {
        /* the word table's is added up again from its clipped rows */
        grad[i] = param->is_word_embedding ? 0.0F : clamp(grad[i] * state->grad_scale, limit);
    }
}

/* TensorFlow clips the row of each token before rows of equal ids are added together. Returns the
 * sum of squares of the clipped rows. */
static double clip_word_rows(const optim_step *step, const bt_param *word, float scale) {
    const bt_optim_buffers *const b = step->buffers;
    const float                   limit = (float)step->optim->options.clipvalue.value;
    const int64_t                 width = word->dim[1];
    double                        sum_sq = 0.0;
    for (int64_t r = 0; r < b->n_word_rows; r++) {
        const float *const row = b->word_rows + r * width;
        float *const       grad = b->grad + word->offset + b->word_ids[r] * width;
        for (int64_t i = 0; i < width; i++) {
            const float g = clamp(row[i] * scale, limit);
            grad[i] += g;
            sum_sq += (double)g * (double)g;
        }
    }
    return sum_sq;
}

/* Writes the clipped gradient back and measures it again, for the clip by norm that may follow. */
static double apply_clipvalue(const optim_step *step, bt_pool *pool) {
    const bt_optim *const optim = step->optim;
    double                word_rows_sum_sq = 0.0;
    run_chunks(step, pool, clip_values);
    for (int64_t p = 0; p < optim->table->n_params; p++) {
        const bt_param *const param = &optim->table->params[p];
        if (param->is_word_embedding && param->has_gradient) {
            word_rows_sum_sq = clip_word_rows(step, param, optim->params[p].grad_scale);
        }
        optim->params[p].grad_scale = 1.0F;
    }
    return sum_gradients(step, word_rows_sum_sq, pool);
}

static void scale_all(const bt_optim *optim, float scale) {
    for (int64_t p = 0; p < optim->table->n_params; p++) {
        optim->params[p].grad_scale *= scale;
    }
}

static void clip_gradients(const optim_step *step, double sum_sq, bt_pool *pool) {
    const bt_optim *const      optim = step->optim;
    const optim_options *const o = &optim->options;
    for (int64_t p = 0; p < optim->table->n_params; p++) {
        optim->params[p].grad_scale = 1.0F;
    }
    if (o->gradient_clip_norm > 0.0 && !step->buffers->is_of_clipped) {
        scale_all(optim, global_scale(sqrt(sum_sq), o->gradient_clip_norm));
    }
    if (o->clipvalue.is_set) {
        sum_sq = apply_clipvalue(step, pool);
    }
    if (o->global_clipnorm.is_set) {
        /* every parameter has the same factor so far */
        const double scale = (double)optim->params[0].grad_scale;
        scale_all(optim, global_scale(sqrt(sum_sq) * scale, o->global_clipnorm.value));
    }
    if (o->clipnorm.is_set) {
        const float clip = (float)o->clipnorm.value;
        for (int64_t p = 0; p < optim->table->n_params; p++) {
            optim_param_state *const state = &optim->params[p];
            const float              norm = (float)sqrt(state->sum_sq) * state->grad_scale;
            state->grad_scale *= clip / fmaxf(norm, clip);
        }
    }
}

bool bt_optim_clips_shares(const bt_optim *optim) {
    return optim->options.gradient_clip_norm > 0.0;
}

double bt_optim_share_norm(const bt_optim *optim, const bt_optim_buffers *buffers,
                           double word_rows_sum_sq, bt_pool *pool, float *factor) {
    const optim_step step = {.optim = optim, .buffers = buffers};
    const double     norm = sqrt(sum_gradients(&step, word_rows_sum_sq, pool));
    *factor = global_scale(norm, optim->options.gradient_clip_norm);
    return norm;
}

static optim_span make_span(const optim_step *step, const optim_chunk *chunk) {
    const bt_optim *const optim = step->optim;
    const bt_param *const param = param_of(optim, chunk);
    const bool            is_lazy =
        optim->rule->is_lazy && optim->options.momentum > 0.0 && param->is_word_embedding;
    optim_span span = {
        .param = step->buffers->param + chunk->first,
        .grad = step->buffers->grad + chunk->first,
        .n = chunk->n,
        .row = is_lazy ? param->dim[1] : 0,
        .state = &optim->params[chunk->param],
    };
    for (int32_t s = 0; s < optim->n_slots; s++) {
        span.slots[s] = step->buffers->slots[s] + chunk->first;
    }
    return span;
}

/* The last pass that writes this chunk's parameters did. */
static void tell_written(const optim_step *step, const optim_chunk *chunk) {
    const bt_optim_buffers *const b = step->buffers;
    if (b->written != NULL) {
        b->written(b->written_context, chunk->param,
                   chunk->first - param_of(step->optim, chunk)->offset, chunk->n);
    }
}

static void update_chunk(const optim_step *step, int64_t c) {
    const bt_optim *const    optim = step->optim;
    const optim_chunk *const chunk = &optim->chunks[c];
    if (!param_of(optim, chunk)->has_gradient ||
        optim_rows_has(step->buffers->rows, chunk->param)) {
        return;
    }
    const optim_span span = make_span(step, chunk);
    optim->rule->update(step, &span);
    if (optim->rule->needs_norms) {
        optim->partials[2 * c] = optim->kern.sum_sq(span.param, span.n);
        optim->partials[2 * c + 1] = optim->kern.sum_sq(span.grad, span.n);
    } else {
        tell_written(step, chunk);
    }
}

static void finish_chunk(const optim_step *step, int64_t c) {
    const bt_optim *const    optim = step->optim;
    const optim_chunk *const chunk = &optim->chunks[c];
    if (param_of(optim, chunk)->has_gradient) {
        const optim_span span = make_span(step, chunk);
        optim->rule->finish(step, &span);
        tell_written(step, chunk);
    }
}

/* |param| / |update|, lars times eeta; 1 where either is 0 or the patterns exclude it. */
static void compute_ratios(const optim_step *step) {
    const bt_optim *const optim = step->optim;
    for (int64_t c = 0; c < optim->n_chunks;) {
        const int64_t p = optim->chunks[c].param;
        double        param_sq = 0.0;
        double        update_sq = 0.0;
        for (; c < optim->n_chunks && optim->chunks[c].param == p; c++) {
            param_sq += optim->partials[2 * c];
            update_sq += optim->partials[2 * c + 1];
        }
        const float param_norm = (float)sqrt(param_sq);
        const float update_norm = (float)sqrt(update_sq);
        float       ratio = 1.0F;
        if (optim->params[p].adapts && param_norm > 0.0F && update_norm > 0.0F) {
            ratio = (optim->rule->ratio_has_eeta ? (float)optim->options.eeta * param_norm
                                                 : param_norm) /
                    update_norm;
        }
        optim->params[p].ratio = ratio;
    }
}

/* step: the number of updates made, this one included. */
static float one_minus_average_decay(const ema_options *ema, int64_t step) {
    if ((float)step < (float)ema->start_step) {
        return 1.0F;
    }
    if (!ema->dynamic) {
        return (float)(1.0 - ema->decay);
    }
    const float since = (float)step - (float)ema->start_step;
    return 1.0F - fminf((float)ema->decay, (1.0F + since) / (10.0F + since));
}

static void average_chunk(const optim_step *step, int64_t c) {
    const optim_chunk *const chunk = &step->optim->chunks[c];
    step->optim->kern.optim.ema(step->buffers->average + chunk->first,
                                step->buffers->param + chunk->first, chunk->n,
                                step->one_minus_average_decay);
}

bt_optim_numbers bt_optim_get_numbers(const bt_optim *optim, int64_t n_done) {
    const optim_options *const o = &optim->options;
    const float                t = (float)(n_done + 1);
    bt_optim_numbers           n = {
                  .lr = learning_rate_at(&optim->rate, n_done),
                  .correction_1 = 1.0F - powf((float)o->beta_1, t),
                  .correction_2 = 1.0F - powf((float)o->beta_2, t),
                  .one_minus_average_decay = one_minus_average_decay(&optim->ema, n_done + 1),
    };
    if (o->decay > 0.0) {
        n.lr /= 1.0F + (float)o->decay * (float)n_done;
    }
    n.alpha = n.lr * sqrtf(n.correction_2) / n.correction_1;
    return n;
}

static optim_step make_step(const bt_optim *optim, const bt_optim_buffers *buffers,
                            int64_t n_done) {
    const bt_optim_facts   facts = bt_optim_get_facts(optim);
    const bt_optim_numbers numbers = bt_optim_get_numbers(optim, n_done);
    return (optim_step){
        .optim = optim,
        .buffers = buffers,
        .lr = numbers.lr,
        .beta_1 = facts.beta_1,
        .beta_2 = facts.beta_2,
        .one_minus_beta_1 = facts.one_minus_beta_1,
        .one_minus_beta_2 = facts.one_minus_beta_2,
        .correction_1 = numbers.correction_1,
        .correction_2 = numbers.correction_2,
        .alpha = numbers.alpha,
        .epsilon = facts.epsilon,
        .one_minus_average_decay = numbers.one_minus_average_decay,
    };
}

void bt_optim_apply(const bt_optim *optim, const bt_optim_buffers *buffers, int64_t n_done,
                    double word_rows_sum_sq, bt_pool *pool, double *grad_norm, bool *applied) {
    BT_ASSERT(buffers->word_rows != NULL || !bt_optim_needs_word_rows(optim));
    const optim_step step = make_step(optim, buffers, n_done);
    const double     sum_sq = sum_gradients(&step, word_rows_sum_sq, pool);
    *grad_norm = sqrt(sum_sq);
    /* TensorFlow's norm is a float32 */
    *applied = isfinite((float)*grad_norm);
    if (!*applied) {
        return;
    }
    clip_gradients(&step, sum_sq, pool);
    run_chunks(&step, pool, update_chunk);
    if (buffers->rows != NULL) {
        optim_rows_update(buffers->rows, &step, n_done, pool);
    }
    if (optim->rule->needs_norms) {
        compute_ratios(&step);
        run_chunks(&step, pool, finish_chunk);
    }
    if (optim->ema.on) {
        run_chunks(&step, pool, average_chunk);
    }
}

bool bt_optim_is_by_parameter(const bt_optim *optim) {
    const optim_options *const o = &optim->options;
    return bt_optim_clips_shares(optim) && !optim->rule->needs_norms && !o->clipvalue.is_set &&
           !o->clipnorm.is_set && !o->global_clipnorm.is_set;
}

/* The chunks stand in the order of their parameters. */
static int64_t first_chunk(const bt_optim *optim, int64_t param) {
    int64_t c = 0;
    while (c < optim->n_chunks && optim->chunks[c].param < param) {
        c++;
    }
    return c;
}

void bt_optim_apply_part(const bt_optim *optim, const bt_optim_buffers *buffers, int64_t n_done,
                         int64_t first, int64_t end, bt_pool *pool) {
    BT_ASSERT(bt_optim_is_by_parameter(optim) && buffers->is_of_clipped);
    const optim_step step = make_step(optim, buffers, n_done);
    const int64_t    begin = first_chunk(optim, first);
    const int64_t    n = first_chunk(optim, end) - begin;
    for (int64_t p = first; p < end; p++) {
        optim->params[p].grad_scale = 1.0F;
    }
    run_some_chunks(&step, begin, n, pool, update_chunk);
    for (int64_t p = first; p < end; p++) {
        if (optim_rows_has(buffers->rows, p)) {
            optim_rows_update(buffers->rows, &step, n_done, pool);
        }
    }
    if (optim->ema.on) {
        run_some_chunks(&step, begin, n, pool, average_chunk);
    }
}
