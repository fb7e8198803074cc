/* SPDX-License-Identifier: Apache-2.0
 *
 * The program's variables: parameters of the table, those of all layers stacked, query, key and
 * value of a layer together. Nothing here is computed: which there are, and where they lie. */
#include <string.h>

#include "bt/base/alloc.h"
#include "hlo_internal.h"

static bt_norm_index layer_norm_of(const bt_layer_index *l, hlo_var_kind kind) {
    return kind < HLO_VAR_INTERMEDIATE_KERNEL ? l->attention_norm : l->output_norm;
}

/* Which parameters of layer l make one of that kind; returns how many. */
static int32_t layer_params(const bt_layer_index *l, hlo_var_kind kind, int64_t params[3]) {
    const bt_dense_index qkv[3] = {l->query, l->key, l->value};
    const bt_norm_index  norm = layer_norm_of(l, kind);
    const bt_dense_index dense = kind < HLO_VAR_INTERMEDIATE_KERNEL ? l->attention_output
                                 : kind < HLO_VAR_OUTPUT_KERNEL     ? l->intermediate
                                                                    : l->output;
    switch ((int)kind) {
    case HLO_VAR_QKV_KERNEL:
    case HLO_VAR_QKV_BIAS:
        for (int i = 0; i < 3; i++) {
            params[i] = kind == HLO_VAR_QKV_KERNEL ? qkv[i].kernel : qkv[i].bias;
        }
        return 3;
    case HLO_VAR_ATTENTION_GAMMA:
    case HLO_VAR_OUTPUT_GAMMA:
        params[0] = norm.gamma;
        return 1;
    case HLO_VAR_ATTENTION_BETA:
    case HLO_VAR_OUTPUT_BETA:
        params[0] = norm.beta;
        return 1;
    case HLO_VAR_ATTENTION_KERNEL:
    case HLO_VAR_INTERMEDIATE_KERNEL:
    case HLO_VAR_OUTPUT_KERNEL:
        params[0] = dense.kernel;
        return 1;
    default:
        params[0] = dense.bias;
        return 1;
    }
}

static int64_t single_param(const bt_model *m, hlo_var_kind kind) {
    switch ((int)kind) {
    case HLO_VAR_WORD:
        return m->word_embeddings;
    case HLO_VAR_POSITION:
        return m->position_embedding;
    case HLO_VAR_TYPE:
        return m->type_embeddings;
    case HLO_VAR_EMBEDDING_GAMMA:
        return m->embedding_norm.gamma;
    case HLO_VAR_EMBEDDING_BETA:
        return m->embedding_norm.beta;
    case HLO_VAR_PROJECTION_KERNEL:
        return m->embedding_projection.kernel;
    case HLO_VAR_PROJECTION_BIAS:
        return m->embedding_projection.bias;
    case HLO_VAR_POOLER_KERNEL:
        return m->pooler_transform.kernel;
    case HLO_VAR_POOLER_BIAS:
        return m->pooler_transform.bias;
    case HLO_VAR_HEAD_POOLER_KERNEL:
        return m->head_pooler.kernel;
    case HLO_VAR_HEAD_POOLER_BIAS:
        return m->head_pooler.bias;
    case HLO_VAR_LOGITS_KERNEL:
        return m->head_logits.kernel;
    default:
        return m->head_logits.bias;
    }
}

static bool is_layer_kind(hlo_var_kind kind) {
    return kind >= HLO_VAR_QKV_KERNEL && kind <= HLO_VAR_OUTPUT_BETA;
}

bool hlo_wants_averages(const hlo_step *s) {
    return (s->config.what == BT_HLO_TRAIN || s->config.what == BT_HLO_UPDATE) &&
           bt_optim_has_average(s->optim);
}

/* A variable that nothing reads or changes is not an argument: a compiler would drop it. */
static bool is_wanted(const hlo_step *s, hlo_var_kind kind, bool has_gradient) {
    const bool is_pooler = kind == HLO_VAR_POOLER_KERNEL || kind == HLO_VAR_POOLER_BIAS;
    const bool is_head = kind >= HLO_VAR_HEAD_POOLER_KERNEL;
    switch (s->config.what) {
    case BT_HLO_ENCODE:
        return !is_head;
    case BT_HLO_UPDATE:
    case BT_HLO_TRAIN:
    case BT_HLO_GRADIENTS:
    case BT_HLO_ACCUMULATE:
        return has_gradient || hlo_wants_averages(s);
    case BT_HLO_EVALUATE:
        return !is_pooler || bt_model_reads_pooler(&s->model->head);
    }
    return true;
}

/* As the program sees one parameter: attention kernels are [H,H] there, whatever their heads. */
static int32_t element_dims(const hlo_step *s, hlo_var_kind kind, const bt_param *p,
                            int64_t dims[BT_HLO_MAX_RANK]) {
    const int64_t H = s->H;
    if (kind == HLO_VAR_QKV_KERNEL || kind == HLO_VAR_ATTENTION_KERNEL) {
        dims[0] = H;
        dims[1] = H;
        return 2;
    }
    if (kind == HLO_VAR_QKV_BIAS) {
        dims[0] = H;
        return 1;
    }
    memcpy(dims, p->dim, (size_t)p->rank * sizeof dims[0]);
    return p->rank;
}

static void shape_variable(hlo_step *s, hlo_var_kind kind, bt_hlo_variable *v) {
    hlo_var *const var = &s->vars[kind];
    int64_t        dims[BT_HLO_MAX_RANK] = {0};
    const int64_t  n_parts = kind == HLO_VAR_QKV_KERNEL || kind == HLO_VAR_QKV_BIAS ? 3 : 1;
    const int32_t  rank = element_dims(s, kind, &s->model->table.params[v->params[0]], dims);
    if (var->is_stacked) {
        v->dim[v->rank++] = s->L;
    }
    if (n_parts > 1) {
        v->dim[v->rank++] = n_parts;
    }
    var->n_lead = v->rank;
    for (int32_t i = 0; i < rank; i++) {
        v->dim[v->rank++] = dims[i];
    }
    var->rank = v->rank;
    memcpy(var->dim, v->dim, sizeof var->dim);
    for (int64_t i = 0; i < v->n_params; i++) {
        v->n_elements += s->model->table.params[v->params[i]].n_elements;
    }
}

static bt_status add_variable(hlo_step *s, hlo_var_kind kind, bt_error *err) {
    const bt_model *const  m = s->model;
    hlo_var *const         var = &s->vars[kind];
    bt_hlo_variable *const v = &s->program->variables[s->program->n_variables];
    const bool             is_layer = is_layer_kind(kind);
    const int64_t          L = is_layer && m->encoder.type != BT_ENCODER_ALBERT ? s->L : 1;
    int64_t                first[3] = {0};
    if (is_layer) {
        (void)layer_params(&m->layers[0], kind, first);
    } else {
        first[0] = single_param(m, kind);
    }
    if (first[0] < 0) {
        return BT_OK;
    }
    var->has_gradient = m->table.params[first[0]].has_gradient;
    if (!is_wanted(s, kind, var->has_gradient)) {
        return BT_OK;
    }
    v->params = bt_alloc_array((size_t)(3 * L), sizeof *v->params);
    if (v->params == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the variables of a program");
    }
    for (int64_t l = 0; is_layer && l < L; l++) {
        v->n_params += layer_params(&m->layers[l], kind, v->params + v->n_params);
    }
    if (!is_layer) {
        v->params[v->n_params++] = first[0];
    }
    var->is_used = true;
    var->is_stacked = is_layer && m->encoder.type != BT_ENCODER_ALBERT;
    var->number = (int64_t)s->program->n_variables++;
    shape_variable(s, kind, v);
    return BT_OK;
}

static hlo_value add_argument(hlo_step *s, const hlo_var *var, bt_hlo_role role, int32_t slot,
                              bool is_donated) {
    bt_hlo_tensor tensor = {.role = role,
                            .variable = var->number,
                            .slot = slot,
                            .dtype = BT_DTYPE_F32,
                            .rank = var->rank,
                            .takes_place = is_donated ? 0 : -1};
    memcpy(tensor.dim, var->dim, sizeof tensor.dim);
    return hlo_add_argument(s, &tensor);
}

static void add_state_arguments(hlo_step *s, hlo_var *var, bool updates) {
    const int32_t n_slots = updates ? bt_optim_n_slots(s->optim) : 0;
    for (int32_t i = 0; i < n_slots && var->has_gradient; i++) {
        var->slots[i] = add_argument(s, var, BT_HLO_SLOT, i, true);
    }
    if (hlo_wants_averages(s)) {
        var->average = add_argument(s, var, BT_HLO_AVERAGE, 0, true);
    }
}

bt_status hlo_add_variables(hlo_step *s, bt_error *err) {
    const bt_hlo_what what = s->config.what;
    const bool        updates = what == BT_HLO_TRAIN || what == BT_HLO_UPDATE;
    s->program->variables = bt_calloc_array(HLO_N_VARS, sizeof *s->program->variables);
    if (s->program->variables == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the variables of a program");
    }
    for (int kind = 0; kind < HLO_N_VARS; kind++) {
        BT_TRY(add_variable(s, (hlo_var_kind)kind, err));
    }
    for (int kind = 0; kind < HLO_N_VARS; kind++) {
        hlo_var *const var = &s->vars[kind];
        if (!var->is_used) {
            continue;
        }
        var->value = add_argument(s, var, BT_HLO_PARAM, 0, updates && var->has_gradient);
        add_state_arguments(s, var, updates);
        if ((what == BT_HLO_ACCUMULATE || what == BT_HLO_UPDATE) && var->has_gradient) {
            var->gradient = add_argument(s, var, BT_HLO_GRADIENT, 0, true);
        }
    }
    return BT_OK;
}

hlo_value hlo_layer_value(hlo_step *s, hlo_var_kind kind, hlo_value layer) {
    const hlo_var *const var = &s->vars[kind];
    return var->is_stacked ? hlo_row(&s->h, var->value, layer) : var->value;
}

void bt_hlo_stack(const bt_hlo_variable *variable, const bt_param_table *table, const float *flat,
                  float *array) {
    for (int64_t i = 0; i < variable->n_params; i++) {
        const bt_param *const p = &table->params[variable->params[i]];
        memcpy(array, flat + p->offset, (size_t)p->n_elements * sizeof *array);
        array += p->n_elements;
    }
}

void bt_hlo_unstack(const bt_hlo_variable *variable, const bt_param_table *table,
                    const float *array, float *flat) {
    for (int64_t i = 0; i < variable->n_params; i++) {
        const bt_param *const p = &table->params[variable->params[i]];
        memcpy(flat + p->offset, array, (size_t)p->n_elements * sizeof *array);
        array += p->n_elements;
    }
}
