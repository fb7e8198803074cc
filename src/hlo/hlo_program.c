/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole program: its arguments, the parts of a step in their order, its results. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/size.h"
#include "hlo_internal.h"

/* What there is no program for. */

static bool trains(bt_hlo_what what) {
    return what == BT_HLO_TRAIN || what == BT_HLO_GRADIENTS || what == BT_HLO_ACCUMULATE;
}

static bool updates(bt_hlo_what what) {
    return what == BT_HLO_TRAIN || what == BT_HLO_UPDATE;
}

static bt_status check_sizes(const bt_model *m, const bt_hlo_config *c, bt_error *err) {
    int64_t n_slots = 0;
    if (c->n_rows < 1 || c->n_slots < 1 || c->n_seqs < 1 || c->n_replicas < 1 ||
        !bt_i64_mul(c->n_rows, c->n_slots, &n_slots) || n_slots > INT32_MAX ||
        c->n_seqs > n_slots) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "a program for %" PRId64 " rows of %" PRId64 " slots, %" PRId64
                       " sequences and %" PRId32 " replicas",
                       c->n_rows, c->n_slots, c->n_seqs, c->n_replicas);
    }
    if (m->head.loss == BT_LOSS_RANKING && c->n_seqs % 2 != 0) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "a program for %" PRId64 " sequences, but a dual encoder reads pairs",
                       c->n_seqs);
    }
    return BT_OK;
}

static bt_status check_config(const bt_model *m, const bt_optim *optim, const bt_hlo_config *c,
                              bt_error *err) {
    BT_TRY(check_sizes(m, c, err));
    BT_TRY(hlo_attention_check(m, c, err));
    if (trains(c->what) && m->head.loss == BT_LOSS_NONE) {
        return BT_FAIL(err, BT_E_CONFIG, "a program that trains without a loss");
    }
    if (updates(c->what) && optim == NULL) {
        return BT_FAIL(err, BT_E_INTERNAL, "a program that updates without an optimizer");
    }
    if (c->what == BT_HLO_UPDATE && bt_optim_needs_word_rows(optim)) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "clipvalue needs each token's gradient, which accumulation does not keep: "
                       "set clipvalue to null, or gradient_accumulation_steps to 1");
    }
    if (c->what == BT_HLO_ACCUMULATE && m->head.loss == BT_LOSS_MSE_ALL_PAIRS) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "Model Garden's regression loss is over all pairs of a batch, which does "
                       "not add up over its parts: set gradient_accumulation_steps to 1");
    }
    if (c->what == BT_HLO_ACCUMULATE && m->head.loss == BT_LOSS_RANKING) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "a dual encoder's loss is over all pairs of a batch, which does not add up "
                       "over its parts: set gradient_accumulation_steps to 1");
    }
    return BT_OK;
}

enum { MAX_TENSORS = HLO_N_VARS * (2 + BT_OPTIM_MAX_SLOTS) + BT_HLO_N_ROLES };

/* takes_place >= 0 says that the argument is donated, to the result that comes next. */
hlo_value hlo_add_argument(hlo_step *s, const bt_hlo_tensor *tensor) {
    bt_hlo_program *const p = s->program;
    int32_t               result = -1;
    if (p->n_args >= MAX_TENSORS || p->n_results >= MAX_TENSORS) {
        hlo_fail(&s->h, BT_E_INTERNAL, "more than %d arguments of a program", (int)MAX_TENSORS);
        return (hlo_value){0};
    }
    if (tensor->takes_place >= 0) {
        result = (int32_t)p->n_results;
        p->results[p->n_results] = *tensor;
        p->results[p->n_results++].takes_place = (int64_t)p->n_args;
    }
    p->args[p->n_args] = *tensor;
    p->args[p->n_args++].takes_place = -1;
    return hlo_argument(&s->h, tensor->dtype, tensor->rank, tensor->dim, result);
}

static bt_hlo_tensor plain_tensor(bt_hlo_role role, bt_dtype dtype, int32_t rank,
                                  const int64_t *dims) {
    bt_hlo_tensor t = {
        .role = role, .variable = -1, .dtype = dtype, .rank = rank, .takes_place = -1};
    memcpy(t.dim, dims, (size_t)rank * sizeof dims[0]);
    return t;
}

static void add_input(hlo_step *s, bt_hlo_role role, bt_dtype dtype, int32_t rank,
                      const int64_t *dims) {
    const bt_hlo_tensor tensor = plain_tensor(role, dtype, rank, dims);
    s->args[role] = hlo_add_argument(s, &tensor);
}

static void add_labels(hlo_step *s) {
    const int64_t rows[2] = {s->R, s->S};
    const int64_t span[2] = {2, s->B};
    const int64_t many[2] = {s->B, s->C};
    switch (s->model->head.loss) {
    case BT_LOSS_NONE:
    case BT_LOSS_RANKING:
        break;
    case BT_LOSS_SOFTMAX:
        add_input(s, BT_HLO_INT_LABELS, BT_DTYPE_I32, 1, &s->B);
        break;
    case BT_LOSS_TOKENS:
        add_input(s, BT_HLO_INT_LABELS, BT_DTYPE_I32, 2, rows);
        break;
    case BT_LOSS_SPAN:
        add_input(s, BT_HLO_INT_LABELS, BT_DTYPE_I32, 2, span);
        break;
    case BT_LOSS_MSE:
    case BT_LOSS_MSE_ALL_PAIRS:
        add_input(s, BT_HLO_FLOAT_LABELS, BT_DTYPE_F32, 1, &s->B);
        break;
    case BT_LOSS_SIGMOID:
        add_input(s, BT_HLO_FLOAT_LABELS, BT_DTYPE_F32, 2, many);
        break;
    }
    const bool of_slots = s->model->head.loss == BT_LOSS_TOKENS;
    add_input(s, BT_HLO_WEIGHTS, BT_DTYPE_F32, of_slots ? 2 : 1, of_slots ? rows : &s->B);
}

static bool reads_loss(const hlo_step *s) {
    return trains(s->config.what) || (s->config.what == BT_HLO_EVALUATE && s->config.has_labels &&
                                      s->model->head.loss != BT_LOSS_NONE);
}

/* Heads that read first tokens, span's labels, and masks of attention. */
static bool reads_first_slots(const hlo_step *s) {
    const bt_head_config *const head = &s->model->head;
    return s->config.what == BT_HLO_ENCODE || bt_model_reads_first_rows(head) ||
           (head->loss == BT_LOSS_SPAN && reads_loss(s)) ||
           (hlo_drops_attention(s) && s->config.attention == BT_ATTENTION_XLA) ||
           s->config.attention == BT_ATTENTION_CUDNN;
}

static void add_inputs(hlo_step *s) {
    const int64_t rows[2] = {s->R, s->S};
    if (s->config.what != BT_HLO_UPDATE) {
        add_input(s, BT_HLO_IDS, BT_DTYPE_I32, 2, rows);
        add_input(s, BT_HLO_TYPES, BT_DTYPE_I32, 2, rows);
        add_input(s, BT_HLO_POSITIONS, BT_DTYPE_I32, 2, rows);
        add_input(s, BT_HLO_SEGMENTS, BT_DTYPE_I32, 2, rows);
        if (s->config.has_key_mask) {
            add_input(s, BT_HLO_KEY_MASK, BT_DTYPE_U8, 2, rows);
        }
        if (reads_first_slots(s)) {
            add_input(s, BT_HLO_FIRST_SLOTS, BT_DTYPE_I32, 1, &s->B);
        }
    }
    if (s->dropout) {
        const int64_t four = 4;
        add_input(s, BT_HLO_TOKENS, BT_DTYPE_I32, 2, rows);
        if (s->model->head.kind != BT_HEAD_TOKENS && s->model->head.dropout_rate > 0) {
            add_input(s, BT_HLO_SEQUENCES, BT_DTYPE_I32, 1, &s->B);
        }
        add_input(s, BT_HLO_SEED, BT_DTYPE_U32, 1, &four);
    }
    if (reads_loss(s)) {
        add_labels(s);
    }
    if (s->config.what == BT_HLO_ENCODE) {
        add_input(s, BT_HLO_N_LAYERS, BT_DTYPE_I32, 0, rows);
    } else if (s->config.what != BT_HLO_EVALUATE || reads_loss(s)) {
        const int64_t n = BT_HLO_N_NUMBERS;
        add_input(s, BT_HLO_NUMBERS, BT_DTYPE_F32, 1, &n);
    }
    if (s->config.what == BT_HLO_ACCUMULATE || s->config.what == BT_HLO_UPDATE) {
        const int64_t two = 2;
        bt_hlo_tensor sums = plain_tensor(BT_HLO_SUMS, BT_DTYPE_F32, 1, &two);
        sums.takes_place = 0;
        s->args[BT_HLO_SUMS] = hlo_add_argument(s, &sums);
    }
}

/* What becomes of the results: those with a variable's place come first, in order of arguments. */
typedef struct hlo_results {
    hlo_value values[MAX_TENSORS];
    size_t    n;
} hlo_results;

static void add_result(hlo_step *s, hlo_results *results, bt_hlo_role role, int64_t variable,
                       hlo_value value) {
    bt_hlo_program *const p = s->program;
    if (p->n_results >= MAX_TENSORS) {
        hlo_fail(&s->h, BT_E_INTERNAL, "more than %d results of a program", (int)MAX_TENSORS);
        return;
    }
    bt_hlo_tensor t = plain_tensor(role, value.dtype, value.rank, value.dim);
    t.variable = variable;
    p->results[p->n_results++] = t;
    results->values[results->n++] = value;
}

/* The new values of donated arguments, in the places that hlo_add_argument gave them. */
static void collect_donated(hlo_step *s, hlo_results *results) {
    for (int kind = 0; kind < HLO_N_VARS; kind++) {
        const hlo_var *const var = &s->vars[kind];
        for (size_t i = 0; var->is_used && i < s->program->n_results; i++) {
            const bt_hlo_tensor *const t = &s->program->results[i];
            if (t->variable == var->number) {
                results->values[i] = t->role == BT_HLO_PARAM     ? var->value
                                     : t->role == BT_HLO_SLOT    ? var->slots[t->slot]
                                     : t->role == BT_HLO_AVERAGE ? var->average
                                                                 : var->gradient;
            }
        }
    }
    results->n = s->program->n_results;
}

/* 1 where one of them is not a number or infinite, on any replica. */
static hlo_value outcome_of(hlo_step *s, hlo_value loss, hlo_value norm, hlo_value *is_finite) {
    hlo *const      h = &s->h;
    const hlo_value here = hlo_binary(h, "and", hlo_is_finite(h, loss), hlo_is_finite(h, norm));
    const hlo_value bad = hlo_all_reduce(
        h, hlo_sub(h, hlo_number(h, BT_DTYPE_F32, 1), hlo_convert(h, here, BT_DTYPE_F32)));
    *is_finite = hlo_compare(h, "EQ", bad, hlo_number(h, BT_DTYPE_F32, 0));
    const hlo_value parts[3] = {hlo_shape(h, loss, 1), hlo_shape(h, norm, 1),
                                hlo_shape(h, hlo_min(h, bad, hlo_number(h, BT_DTYPE_F32, 1)), 1)};
    return hlo_concatenate(h, parts, 3, 0);
}

/* Divides a loss scale out. */
static void unscale_gradients(hlo_step *s) {
    hlo *const      h = &s->h;
    const hlo_value factor =
        hlo_div(h, hlo_number(h, BT_DTYPE_F32, 1), hlo_number_of(s, BT_HLO_LOSS_SCALE));
    for (int kind = 0; s->ct == BT_DTYPE_F16 && kind < HLO_N_VARS; kind++) {
        if (s->vars[kind].is_used && s->vars[kind].has_gradient) {
            s->vars[kind].gradient = hlo_mul(h, s->vars[kind].gradient, factor);
        }
    }
    if (s->ct == BT_DTYPE_F16) {
        s->word_rows = hlo_mul(h, s->word_rows, factor);
    }
    s->word_sum_sq = hlo_sum_all(h, hlo_mul(h, s->word_rows, s->word_rows));
}

/* Forward and backward; the gradients stand beside the variables. */
static void forward_backward(hlo_step *s, hlo_value *loss, hlo_value *logits) {
    hlo *const       h = &s->h;
    hlo_encoder_keep keep = {0};
    hlo_head_keep    head = {0};
    hlo_value        d_logits = {0};
    const hlo_value  encoded =
        hlo_encoder_forward(s, hlo_number(h, BT_DTYPE_I32, (double)s->L), &keep);
    *logits = hlo_head_forward(s, encoded, &head);
    *loss = hlo_loss(s, *logits, &d_logits);
    if (s->ct == BT_DTYPE_F16) {
        d_logits = hlo_mul(h, d_logits, hlo_number_of(s, BT_HLO_LOSS_SCALE));
    }
    d_logits = hlo_scaled(h, d_logits, 1 / (double)s->config.n_replicas);
    hlo_encoder_backward(s, hlo_head_backward(s, d_logits, &head), &keep);
    unscale_gradients(s);
}

static void write_training(hlo_step *s, hlo_results *results) {
    hlo_value loss = {0};
    hlo_value logits = {0};
    hlo_value is_finite = {0};
    forward_backward(s, &loss, &logits);
    const hlo_value norm = hlo_global_norm(s);
    const hlo_value outcome = outcome_of(s, loss, norm, &is_finite);
    if (s->config.what == BT_HLO_TRAIN) {
        hlo_clip(s, norm);
        hlo_update(s, is_finite);
    }
    collect_donated(s, results);
    add_result(s, results, BT_HLO_OUTCOME, -1, outcome);
    add_result(s, results, BT_HLO_LOGITS, -1, logits);
    for (int kind = 0; s->config.what == BT_HLO_GRADIENTS && kind < HLO_N_VARS; kind++) {
        const hlo_var *const var = &s->vars[kind];
        if (var->is_used && var->has_gradient) {
            add_result(s, results, BT_HLO_GRADIENT, var->number, var->gradient);
        }
    }
}

static void write_accumulation(hlo_step *s, hlo_results *results) {
    hlo *const h = &s->h;
    hlo_value  before[HLO_N_VARS];
    hlo_value  loss = {0};
    hlo_value  logits = {0};
    for (int kind = 0; kind < HLO_N_VARS; kind++) {
        before[kind] = s->vars[kind].gradient;
    }
    forward_backward(s, &loss, &logits);
    for (int kind = 0; kind < HLO_N_VARS; kind++) {
        hlo_var *const var = &s->vars[kind];
        if (var->is_used && var->has_gradient) {
            var->gradient = hlo_add(h, before[kind], var->gradient);
        }
    }
    const hlo_value parts[2] = {hlo_shape(h, loss, 1), hlo_shape(h, s->word_sum_sq, 1)};
    const size_t    sums = s->program->n_results - 1; /* the last one donated */
    collect_donated(s, results);
    results->values[sums] = hlo_add(h, s->args[BT_HLO_SUMS], hlo_concatenate(h, parts, 2, 0));
    add_result(s, results, BT_HLO_LOGITS, -1, logits);
}

static void write_update(hlo_step *s, hlo_results *results) {
    hlo *const      h = &s->h;
    hlo_value       is_finite = {0};
    const hlo_value loss = hlo_element(h, s->args[BT_HLO_SUMS], 0);
    s->word_sum_sq = hlo_element(h, s->args[BT_HLO_SUMS], 1);
    const hlo_value norm = hlo_global_norm(s);
    const hlo_value outcome = outcome_of(s, loss, norm, &is_finite);
    hlo_clip(s, norm);
    hlo_update(s, is_finite);
    for (int kind = 0; kind < HLO_N_VARS; kind++) {
        hlo_var *const var = &s->vars[kind];
        if (var->is_used && var->has_gradient) {
            var->gradient = hlo_fill(h, var->value, 0);
        }
    }
    const size_t sums = s->program->n_results - 1; /* the last one donated */
    collect_donated(s, results);
    results->values[sums] = hlo_fill(h, s->args[BT_HLO_SUMS], 0);
    add_result(s, results, BT_HLO_OUTCOME, -1, outcome);
}

static void write_evaluation(hlo_step *s, hlo_results *results) {
    hlo *const      h = &s->h;
    hlo_head_keep   head = {0};
    const hlo_value encoded =
        hlo_encoder_forward(s, hlo_number(h, BT_DTYPE_I32, (double)s->L), NULL);
    const hlo_value logits = hlo_head_forward(s, encoded, &head);
    if (reads_loss(s)) {
        add_result(s, results, BT_HLO_OUTCOME, -1, hlo_shape(h, hlo_loss(s, logits, NULL), 1));
    }
    add_result(s, results, BT_HLO_LOGITS, -1, logits);
}

static void write_encoding(hlo_step *s, hlo_results *results) {
    const hlo_value hidden = hlo_encoder_forward(s, s->args[BT_HLO_N_LAYERS], NULL);
    add_result(s, results, BT_HLO_HIDDEN, -1, hidden);
    add_result(s, results, BT_HLO_POOLED, -1, hlo_pooled_output(s, hidden));
}

static bool has_dropout(const bt_model *m, const bt_hlo_config *c) {
    const bool head = m->head.kind != BT_HEAD_POOLED_OUTPUT && m->head.dropout_rate > 0;
    return trains(c->what) &&
           (head || m->encoder.dropout_rate > 0 || m->encoder.attention_dropout_rate > 0);
}

bt_dtype hlo_dtype_of(bt_precision precision) {
    switch (precision) {
    case BT_PRECISION_F32:
        return BT_DTYPE_F32;
    case BT_PRECISION_BF16:
        return BT_DTYPE_BF16;
    case BT_PRECISION_F16:
        return BT_DTYPE_F16;
    }
    return BT_DTYPE_F32;
}

static void init_step(hlo_step *s, const bt_model *m, const bt_optim *optim,
                      const bt_hlo_config *c) {
    const bt_encoder_config *const e = &m->encoder;
    memset(s, 0, sizeof *s);
    hlo_init(&s->h, c->n_replicas);
    s->model = m;
    s->optim = optim;
    s->config = *c;
    s->ct = hlo_dtype_of(c->precision);
    s->dropout = has_dropout(m, c);
    s->first_only = c->what != BT_HLO_ENCODE && bt_model_reads_first_rows(&m->head);
    s->R = c->n_rows;
    s->S = c->n_slots;
    s->T = s->R * s->S;
    s->B = c->n_seqs;
    s->H = e->hidden_size;
    s->NH = e->num_attention_heads;
    s->D = s->H / s->NH;
    s->I = e->intermediate_size;
    s->L = e->num_layers;
    s->E = e->embedding_size;
    s->C = m->head.num_classes;
    if (updates(c->what)) {
        s->facts = bt_optim_get_facts(optim);
    }
}

static bt_status write_program(hlo_step *s, bt_error *err) {
    hlo_results results = {.n = 0};
    bt_str      text = BT_STR_INIT;
    bt_status   rc = BT_OK;
    BT_CHECK(hlo_add_variables(s, err));
    add_inputs(s);
    hlo_make_keys(s);
    hlo_attention_prepare(s);
    switch (s->config.what) {
    case BT_HLO_TRAIN:
    case BT_HLO_GRADIENTS:
        write_training(s, &results);
        break;
    case BT_HLO_ACCUMULATE:
        write_accumulation(s, &results);
        break;
    case BT_HLO_UPDATE:
        write_update(s, &results);
        break;
    case BT_HLO_EVALUATE:
        write_evaluation(s, &results);
        break;
    case BT_HLO_ENCODE:
        write_encoding(s, &results);
        break;
    }
    BT_CHECK(hlo_finish(&s->h, results.values, results.n, &text, err));
    s->program->product_flops = hlo_product_flops(s);
    s->program->n_bytes = text.len;
    s->program->text = bt_str_take(&text);
done:
    bt_str_deinit(&text);
    return rc;
}

bt_status bt_hlo_program_create(const bt_model *model, const bt_optim *optim,
                                const bt_hlo_config *config, bt_hlo_program **out, bt_error *err) {
    bt_status       rc = BT_OK;
    hlo_step       *s = NULL;
    bt_hlo_program *p = NULL;
    BT_TRY(check_config(model, optim, config, err));
    s = bt_alloc(sizeof *s);
    p = bt_calloc_array(1, sizeof *p);
    if (s == NULL || p == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for a program");
        bt_free(s);
        bt_free(p);
        return rc;
    }
    init_step(s, model, optim, config);
    s->program = p;
    p->args = bt_calloc_array(MAX_TENSORS, sizeof *p->args);
    p->results = bt_calloc_array(MAX_TENSORS, sizeof *p->results);
    if (p->args == NULL || p->results == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for a program's arguments");
        goto done;
    }
    BT_CHECK(write_program(s, err));
    *out = p;
    p = NULL;
done:
    hlo_deinit(&s->h);
    bt_free(s);
    bt_hlo_program_free(p);
    return rc;
}

void bt_hlo_program_free(bt_hlo_program *program) {
    if (program != NULL) {
        for (size_t i = 0; program->variables != NULL && i < HLO_N_VARS; i++) {
            bt_free(program->variables[i].params);
        }
        bt_free(program->variables);
        bt_free(program->args);
        bt_free(program->results);
        bt_free(program->text);
        bt_free(program);
    }
}
