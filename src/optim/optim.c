/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes an optimizer from trainer.optimizer_config: reads and checks the options, decides for each
 * parameter whether it decays and adapts, and cuts the parameters into the chunks of a step. */
#include "bt/optim.h"
#include "bt/base/alloc.h"
#include "bt/base/log.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "optim_internal.h"

#define OPTIMIZER_PREFIX "trainer.optimizer_config.optimizer"
#define EMA_PREFIX "trainer.optimizer_config.ema"

enum {
    CHUNK_ELEMENTS = 32768, /* 128 KiB of each buffer: a few chunks stay within a core's cache */
    KEY_MAX_BYTES = 160,
    NAME_MAX_BYTES = 256,
};

/* The new optimizers read a norm of 0 as off, and obey one of the three, in this order. */
static void choose_clip(const optim_rule *rule, optim_options *o) {
    if (!rule->is_experimental) {
        return;
    }
    o->clipvalue.is_set = o->clipvalue.is_set && o->clipvalue.value > 0.0;
    o->clipnorm.is_set = o->clipnorm.is_set && o->clipnorm.value > 0.0;
    o->global_clipnorm.is_set = o->global_clipnorm.is_set && o->global_clipnorm.value > 0.0;
    o->clipvalue.is_set = o->clipvalue.is_set && !o->clipnorm.is_set && !o->global_clipnorm.is_set;
}

static bt_status read_options(bt_optim *optim, const bt_conf *conf, bt_error *err) {
    const char *const type = bt_conf_type_of_oneof(conf, OPTIMIZER_PREFIX);
    optim->rule = type == NULL ? NULL : optim_find_rule(type);
    if (optim->rule == NULL) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       OPTIMIZER_PREFIX ".type: no optimizer of the name '%s'",
                       type == NULL ? "null" : type);
    }
    optim_options *const o = &optim->options;
    BT_TRY(bt_conf_bind(conf, OPTIMIZER_PREFIX ".*", optim->rule->fields, optim->rule->n_fields, o,
                        err));
    choose_clip(optim->rule, o);
    if (!optim->rule->is_experimental && o->epsilon == 0.0) {
        o->epsilon = 1e-7; /* the old Keras optimizers read 0 as "the default" */
    }
    return BT_OK;
}

/* Model Garden's loss scaling applies gradients by a way on which adamw does not clip. */
static bt_status read_precision(bt_optim *optim, const bt_conf *conf, bt_error *err) {
    static const char *const path = "runtime.mixed_precision_dtype";
    const char              *precision = NULL;
    if (bt_conf_is_null(conf, path)) {
        return BT_OK;
    }
    BT_TRY(bt_conf_get_str(conf, path, &precision, err));
    if (strcmp(precision, "float16") == 0 && optim->options.gradient_clip_norm > 0.0) {
        bt_log(BT_LOG_WARNING,
               "float16 switches gradient_clip_norm (%g) off, as in Model Garden: set "
               "global_clipnorm to clip",
               optim->options.gradient_clip_norm);
        optim->options.gradient_clip_norm = 0.0;
    }
    return BT_OK;
}

static bt_status read_ema(bt_optim *optim, const bt_conf *conf, bt_error *err) {
    ema_options *const ema = &optim->ema;
    if (bt_conf_is_null(conf, EMA_PREFIX)) {
        return BT_OK;
    }
    BT_ASSERT(!optim->rule->is_experimental);
    BT_TRY(bt_conf_get_f64(conf, EMA_PREFIX ".average_decay", &ema->decay, err));
    BT_TRY(bt_conf_get_i64(conf, EMA_PREFIX ".start_step", &ema->start_step, err));
    BT_TRY(bt_conf_get_bool(conf, EMA_PREFIX ".dynamic_decay", &ema->dynamic, err));
    ema->on = true;
    return BT_OK;
}

typedef struct pattern_set {
    pattern_list *include_decay;
    pattern_list *exclude_decay;
    pattern_list *exclude_adaptation;
} pattern_set;

/* Model Garden gives LAMB's patterns the plain name, all others the name with ":0". */
static bt_status decide_param(const bt_optim *optim, const pattern_set *set, const bt_param *param,
                              optim_param_state *state, bt_error *err) {
    char      name[NAME_MAX_BYTES];
    const int n = snprintf(name, sizeof name, "%s%s", param->tf_name,
                           optim->rule->names_have_no_end ? "" : ":0");
    if (n < 0 || (size_t)n >= sizeof name) {
        return BT_FAIL(err, BT_E_INTERNAL, "parameter name too long: %s", param->name);
    }
    bool included = false;
    bool excluded = false;
    bool unadapted = false;
    BT_TRY(pattern_list_search(set->include_decay, name, &included, err));
    BT_TRY(pattern_list_search(set->exclude_decay, name, &excluded, err));
    state->decays =
        param->has_gradient && optim->options.weight_decay != 0.0 && (included || !excluded);
    /* an empty list of its own means the list of weight decay */
    const pattern_list *const adaptation = pattern_list_is_empty(set->exclude_adaptation)
                                               ? set->exclude_decay
                                               : set->exclude_adaptation;
    BT_TRY(pattern_list_search(adaptation, name, &unadapted, err));
    state->adapts = !unadapted;
    return BT_OK;
}

static bt_status decide_params(bt_optim *optim, bt_error *err) {
    bt_status             rc = BT_OK;
    pattern_set           set = {0};
    const optim_options  *o = &optim->options;
    const bt_param_table *table = optim->table;
    optim->params = bt_calloc_array((size_t)table->n_params, sizeof *optim->params);
    if (optim->params == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the optimizer");
    }
    BT_CHECK(pattern_list_create(OPTIMIZER_PREFIX ".include_in_weight_decay", &o->include_decay,
                                 &set.include_decay, err));
    BT_CHECK(pattern_list_create(OPTIMIZER_PREFIX ".exclude_from_weight_decay", &o->exclude_decay,
                                 &set.exclude_decay, err));
    BT_CHECK(pattern_list_create(OPTIMIZER_PREFIX ".exclude_from_layer_adaptation",
                                 &o->exclude_adaptation, &set.exclude_adaptation, err));
    for (int64_t i = 0; i < table->n_params; i++) {
        BT_CHECK(decide_param(optim, &set, &table->params[i], &optim->params[i], err));
    }
done:
    pattern_list_free(set.include_decay);
    pattern_list_free(set.exclude_decay);
    pattern_list_free(set.exclude_adaptation);
    return rc;
}

/* Rows of the word table are never cut, because lazy updates look at whole rows. */
static int64_t chunk_length(const bt_param *param) {
    if (!param->is_word_embedding || param->rank != 2) {
        return CHUNK_ELEMENTS;
    }
    const int64_t n_rows = CHUNK_ELEMENTS / param->dim[1];
    return (n_rows > 0 ? n_rows : 1) * param->dim[1];
}

static bt_status cut_chunks(bt_optim *optim, bt_error *err) {
    const bt_param_table *const table = optim->table;
    int64_t                     n_chunks = 0;
    for (int64_t i = 0; i < table->n_params; i++) {
        const int64_t length = chunk_length(&table->params[i]);
        n_chunks += table->params[i].n_elements / length + 1;
    }
    optim->chunks = bt_alloc_array((size_t)n_chunks, sizeof *optim->chunks);
    optim->partials = bt_calloc_array((size_t)n_chunks, 2 * sizeof *optim->partials);
    if (optim->chunks == NULL || optim->partials == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for %" PRId64 " chunks of parameters",
                       n_chunks);
    }
    for (int64_t i = 0; i < table->n_params; i++) {
        const bt_param *const param = &table->params[i];
        const int64_t         length = chunk_length(param);
        for (int64_t first = 0; first < param->n_elements; first += length) {
            const int64_t left = param->n_elements - first;
            optim->chunks[optim->n_chunks++] = (optim_chunk){
                .param = i, .first = param->offset + first, .n = left < length ? left : length};
        }
    }
    return BT_OK;
}

bt_status bt_optim_create(const bt_conf *conf, const bt_optim_derived *derived,
                          const bt_param_table *table, bt_optim **out, bt_error *err) {
    bt_status   rc = BT_OK;
    const char *isa = NULL;
    bt_optim   *optim = bt_calloc_array(1, sizeof *optim);
    if (optim == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the optimizer");
    }
    optim->table = table;
    BT_CHECK(read_options(optim, conf, err));
    BT_CHECK(read_precision(optim, conf, err));
    BT_CHECK(read_ema(optim, conf, err));
    BT_CHECK(learning_rate_init(&optim->rate, conf, derived, err));
    BT_CHECK(bt_conf_get_str(conf, "runtime.isa", &isa, err));
    BT_CHECK(bt_kern_select(derived->makes_no_step ? "ref" : isa, &optim->kern, err));
    BT_CHECK(decide_params(optim, err));
    BT_CHECK(optim_read_multipliers(optim, conf, err));
    BT_CHECK(cut_chunks(optim, err));
    optim->rule->describe(optim);
    if (optim->rate.is_plain && !optim->rule->is_experimental) {
        optim_add_hyper(optim, "learning_rate", optim->rate.options.initial);
    }
    *out = optim;
    optim = NULL;
done:
    bt_optim_free(optim);
    return rc;
}

void bt_optim_free(bt_optim *optim) {
    if (optim != NULL) {
        learning_rate_deinit(&optim->rate);
        bt_free(optim->params);
        bt_free(optim->chunks);
        bt_free(optim->partials);
        bt_free(optim);
    }
}

float bt_optim_learning_rate(const bt_optim *optim, int64_t step) {
    return learning_rate_at(&optim->rate, step);
}

const char *bt_optim_name(const bt_optim *optim) {
    return optim->rule->type;
}

int32_t bt_optim_n_slots(const bt_optim *optim) {
    return optim->n_slots;
}

const char *bt_optim_slot_name(const bt_optim *optim, int32_t slot) {
    BT_ASSERT(slot >= 0 && slot < optim->n_slots);
    return optim->slots[slot].name;
}

float bt_optim_slot_init(const bt_optim *optim, int32_t slot) {
    BT_ASSERT(slot >= 0 && slot < optim->n_slots);
    return optim->slots[slot].init;
}

bool bt_optim_has_average(const bt_optim *optim) {
    return optim->ema.on;
}

int32_t bt_optim_n_hypers(const bt_optim *optim) {
    return optim->n_hypers;
}

const char *bt_optim_hyper(const bt_optim *optim, int32_t i, float *value) {
    BT_ASSERT(i >= 0 && i < optim->n_hypers);
    *value = optim->hypers[i].value;
    return optim->hypers[i].name;
}

bool bt_optim_needs_word_rows(const bt_optim *optim) {
    bool trains_words = false;
    for (int64_t i = 0; i < optim->table->n_params; i++) {
        const bt_param *const param = &optim->table->params[i];
        trains_words = trains_words || (param->is_word_embedding && param->has_gradient);
    }
    return trains_words && optim->options.clipvalue.is_set;
}

static double limit_of(bt_conf_opt_f64 clip) {
    return clip.is_set ? clip.value : 0;
}

bt_optim_facts bt_optim_get_facts(const bt_optim *optim) {
    const optim_options *const o = &optim->options;
    /* the old optimizers subtract in float32, the new ones in Python's double */
    const bool is_new = optim->rule->is_experimental;
    return (bt_optim_facts){
        .kind = optim->rule->kind,
        .beta_1 = (float)o->beta_1,
        .beta_2 = (float)o->beta_2,
        .one_minus_beta_1 = is_new ? (float)(1.0 - o->beta_1) : 1.0F - (float)o->beta_1,
        .one_minus_beta_2 = is_new ? (float)(1.0 - o->beta_2) : 1.0F - (float)o->beta_2,
        .epsilon = (float)o->epsilon,
        .weight_decay = (float)o->weight_decay,
        .momentum = (float)o->momentum,
        .rho = (float)o->rho,
        .eeta = (float)o->eeta,
        .amsgrad = o->amsgrad,
        .nesterov = o->nesterov,
        .centered = o->centered,
        .classic_momentum = o->classic_momentum,
        .gradient_clip_norm = o->gradient_clip_norm > 0.0 ? o->gradient_clip_norm : 0,
        .clipvalue = limit_of(o->clipvalue),
        .clipnorm = limit_of(o->clipnorm),
        .global_clipnorm = limit_of(o->global_clipnorm),
        .skips_zero_rows = optim->rule->is_lazy && o->momentum > 0.0,
    };
}

bool bt_optim_decays(const bt_optim *optim, int64_t param) {
    BT_ASSERT(param >= 0 && param < optim->table->n_params);
    return optim->params[param].decays;
}

bool bt_optim_adapts(const bt_optim *optim, int64_t param) {
    BT_ASSERT(param >= 0 && param < optim->table->n_params);
    return optim->params[param].adapts;
}

bt_status bt_optim_append_build_info(bt_str *text, bt_error *err) {
    char version[80];
    pattern_library_version(version, sizeof version);
    return bt_str_appendf(text, err, "patterns: %s\n", version);
}
