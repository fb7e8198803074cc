/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches that are evaluated together: copies of them, until there are as many tokens as the engine
 * likes to see at once. An engine that takes a batch at a time gets each when it comes. */
#include "bt/base/alloc.h"
#include "bt/base/arena.h"
#include "exec_engine.h"
#include "exec_shared.h"

/* A block of copies; and what a window may have beside tokens: floats of logits, where a model has
 * very many classes. */
enum { COPY_BYTES = 1 << 20, MAX_LOGITS = 1 << 24 };

struct bt_exec_window {
    bt_exec         *exec; /* borrowed */
    bt_exec_take_fn *take;
    bt_exec_tick_fn *tick;
    void            *context;
    int64_t          max_tokens; /* 0: nothing is kept */
    bt_arena         copies;
    bt_batch       **batches; /* owned; [n] in the arena */
    size_t           n, cap;
    int64_t          n_tokens, n_logits;
};

bt_status bt_exec_window_create(bt_exec *exec, bt_exec_take_fn *take, bt_exec_tick_fn *tick,
                                void *context, bt_exec_window **out, bt_error *err) {
    const exec_engine *const engine = exec->engine;
    bt_exec_window *const    window = bt_calloc_array(1, sizeof *window);
    if (window == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for an evaluation");
    }
    window->exec = exec;
    window->take = take;
    window->tick = tick;
    window->context = context;
    window->max_tokens = engine->window_tokens != NULL ? engine->window_tokens(exec) : 0;
    if (window->max_tokens > 0) {
        const bt_status rc = bt_arena_init(&window->copies, COPY_BYTES, err);
        if (rc != BT_OK) {
            bt_free(window);
            return rc;
        }
    }
    *out = window;
    return BT_OK;
}

void bt_exec_window_free(bt_exec_window *window) {
    if (window != NULL) {
        bt_arena_deinit(&window->copies);
        bt_free(window->batches);
        bt_free(window);
    }
}

static void forget(bt_exec_window *window) {
    window->n = 0;
    window->n_tokens = 0;
    window->n_logits = 0;
    bt_arena_reset(&window->copies);
}

static bt_status copy_batch(bt_exec_window *window, const bt_batch *batch, bt_error *err) {
    const bt_model *const model = window->exec->model;
    bt_batch              counted = *batch;
    BT_TRY(bt_grow(&window->batches, &window->cap, window->n + 1, sizeof(bt_batch *), SIZE_MAX / 64,
                   err));
    const size_t    n_bytes = exec_batch_keep(&model->head, &counted, NULL);
    bt_batch *const copy = bt_arena_alloc(&window->copies, sizeof *copy);
    uint8_t *const  columns = bt_arena_alloc(&window->copies, n_bytes);
    if (copy == NULL || columns == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the rows of an evaluation");
    }
    *copy = *batch;
    (void)exec_batch_keep(&model->head, copy, columns);
    window->batches[window->n++] = copy;
    window->n_tokens += batch->n_tokens;
    window->n_logits += bt_model_n_logits(model, batch);
    return BT_OK;
}

bt_status bt_exec_window_flush(bt_exec_window *window, bt_error *err) {
    const exec_window work = {.batches = (const bt_batch *const *)window->batches,
                              .n = window->n,
                              .take = window->take,
                              .tick = window->tick,
                              .context = window->context};
    if (window->n == 0) {
        return BT_OK;
    }
    const bt_status rc = window->exec->engine->evaluate_window(window->exec, &work, err);
    forget(window);
    return rc;
}

bt_status bt_exec_window_add(bt_exec_window *window, const bt_batch *batch, bt_error *err) {
    if (window->max_tokens == 0) {
        bt_step_result result = {0};
        BT_TRY(bt_exec_evaluate(window->exec, batch, &result, err));
        return window->take(window->context, batch, &result, err);
    }
    const bt_status rc = copy_batch(window, batch, err);
    if (rc != BT_OK) {
        forget(window);
        return rc;
    }
    return window->n_tokens >= window->max_tokens || window->n_logits >= MAX_LOGITS
               ? bt_exec_window_flush(window, err)
               : BT_OK;
}
