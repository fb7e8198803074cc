/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of optimizers: for each its configuration keys, its slots and stored scalars in
 * TensorFlow's names, and its update. Adding one is one row here and one update function. */
#include <string.h>

#include "optim_internal.h"

#define FIELD(key, type, member)                                                                   \
    { key, BT_CONF_FIELD_##type, offsetof(optim_options, member) }
#define CLIP_FIELDS                                                                                \
    FIELD("clipvalue", OPT_F64, clipvalue), FIELD("clipnorm", OPT_F64, clipnorm),                  \
        FIELD("global_clipnorm", OPT_F64, global_clipnorm)
#define ADAM_FIELDS                                                                                \
    FIELD("beta_1", F64, beta_1), FIELD("beta_2", F64, beta_2), FIELD("epsilon", F64, epsilon),    \
        FIELD("amsgrad", BOOL, amsgrad), CLIP_FIELDS
#define PATTERN_FIELDS                                                                             \
    FIELD("exclude_from_weight_decay", STR_LIST, exclude_decay),                                   \
        FIELD("exclude_from_layer_adaptation", STR_LIST, exclude_adaptation)

static const bt_conf_field adam_fields[] = {ADAM_FIELDS};
static const bt_conf_field adamw_fields[] = {
    ADAM_FIELDS,
    FIELD("weight_decay_rate", F64, weight_decay),
    FIELD("gradient_clip_norm", F64, gradient_clip_norm),
    FIELD("include_in_weight_decay", STR_LIST, include_decay),
    FIELD("exclude_from_weight_decay", STR_LIST, exclude_decay),
};
static const bt_conf_field adamw_experimental_fields[] = {
    ADAM_FIELDS,
    FIELD("weight_decay", F64, weight_decay),
};
static const bt_conf_field lamb_fields[] = {
    FIELD("beta_1", F64, beta_1),
    FIELD("beta_2", F64, beta_2),
    FIELD("epsilon", F64, epsilon),
    FIELD("weight_decay_rate", F64, weight_decay),
    PATTERN_FIELDS,
    CLIP_FIELDS,
};
static const bt_conf_field sgd_fields[] = {
    FIELD("momentum", F64, momentum),
    FIELD("nesterov", BOOL, nesterov),
    FIELD("decay", F64, decay),
    CLIP_FIELDS,
};
static const bt_conf_field sgd_experimental_fields[] = {
    FIELD("momentum", F64, momentum),
    FIELD("nesterov", BOOL, nesterov),
    CLIP_FIELDS,
};
static const bt_conf_field rmsprop_fields[] = {
    FIELD("rho", F64, rho),
    FIELD("momentum", F64, momentum),
    FIELD("epsilon", F64, epsilon),
    FIELD("centered", BOOL, centered),
    CLIP_FIELDS,
};
static const bt_conf_field adagrad_fields[] = {
    FIELD("initial_accumulator_value", F64, initial_accumulator),
    FIELD("epsilon", F64, epsilon),
    CLIP_FIELDS,
};
static const bt_conf_field lars_fields[] = {
    FIELD("momentum", F64, momentum),
    FIELD("eeta", F64, eeta),
    FIELD("weight_decay_rate", F64, weight_decay),
    FIELD("nesterov", BOOL, nesterov),
    FIELD("classic_momentum", BOOL, classic_momentum),
    PATTERN_FIELDS,
    CLIP_FIELDS,
};

static void add_slot(bt_optim *optim, const char *name, float init) {
    BT_ASSERT(optim->n_slots < BT_OPTIM_MAX_SLOTS);
    optim->slots[optim->n_slots++] = (optim_slot){.name = name, .init = init};
}

void optim_add_hyper(bt_optim *optim, const char *name, double value) {
    BT_ASSERT(optim->n_hypers < OPTIM_MAX_HYPERS);
    optim->hypers[optim->n_hypers++] = (optim_hyper){.name = name, .value = (float)value};
}

static void add_moments(bt_optim *optim) {
    add_slot(optim, "m", 0.0F);
    add_slot(optim, "v", 0.0F);
    if (optim->options.amsgrad) {
        add_slot(optim, "vhat", 0.0F);
    }
}

static void describe_adam(bt_optim *optim) {
    add_moments(optim);
    optim_add_hyper(optim, "beta_1", optim->options.beta_1);
    optim_add_hyper(optim, "beta_2", optim->options.beta_2);
    optim_add_hyper(optim, "decay", optim->options.decay);
}

static void describe_adam_experimental(bt_optim *optim) {
    add_moments(optim);
}

static void describe_lamb(bt_optim *optim) {
    describe_adam(optim);
    optim_add_hyper(optim, "weight_decay_rate", optim->options.weight_decay);
}

static void describe_sgd(bt_optim *optim) {
    if (optim->options.momentum > 0.0) {
        add_slot(optim, "momentum", 0.0F);
    }
    optim_add_hyper(optim, "decay", optim->options.decay);
    optim_add_hyper(optim, "momentum", optim->options.momentum);
}

static void describe_sgd_experimental(bt_optim *optim) {
    add_slot(optim, "m", 0.0F); /* kept even without momentum */
}

static void describe_rmsprop(bt_optim *optim) {
    add_slot(optim, "rms", 0.0F);
    if (optim->options.momentum > 0.0) {
        add_slot(optim, "momentum", 0.0F);
    }
    if (optim->options.centered) {
        add_slot(optim, "mg", 0.0F);
    }
    optim_add_hyper(optim, "decay", optim->options.decay);
    optim_add_hyper(optim, "momentum", optim->options.momentum);
    optim_add_hyper(optim, "rho", optim->options.rho);
}

static void describe_adagrad(bt_optim *optim) {
    add_slot(optim, "accumulator", (float)optim->options.initial_accumulator);
    optim_add_hyper(optim, "decay", optim->options.decay);
}

static void describe_lars(bt_optim *optim) {
    add_slot(optim, "momentum", 0.0F);
    optim_add_hyper(optim, "decay", optim->options.decay);
}

#define FIELDS(table) .fields = (table), .n_fields = BT_ARRAY_LEN(table)

static const optim_rule optim_rules[] = {
    {.type = "adamw",
     .kind = BT_OPTIM_ADAM,
     FIELDS(adamw_fields),
     .describe = describe_adam,
     .update = optim_update_adam,
     .rows_can_wait = true},
    {.type = "adam",
     .kind = BT_OPTIM_ADAM,
     FIELDS(adam_fields),
     .describe = describe_adam,
     .update = optim_update_adam,
     .rows_can_wait = true},
    {.type = "adam_experimental",
     .kind = BT_OPTIM_ADAM,
     FIELDS(adam_fields),
     .is_experimental = true,
     .describe = describe_adam_experimental,
     .update = optim_update_adam,
     .rows_can_wait = true},
    {.type = "adamw_experimental",
     .kind = BT_OPTIM_ADAM,
     FIELDS(adamw_experimental_fields),
     .is_experimental = true,
     .describe = describe_adam_experimental,
     .update = optim_update_adam,
     .rows_can_wait = true},
    {.type = "lamb",
     .kind = BT_OPTIM_LAMB,
     FIELDS(lamb_fields),
     .describe = describe_lamb,
     .update = optim_update_lamb,
     .finish = optim_finish_lamb,
     .names_have_no_end = true,
     .needs_norms = true},
    {.type = "sgd",
     .kind = BT_OPTIM_SGD,
     FIELDS(sgd_fields),
     .describe = describe_sgd,
     .update = optim_update_sgd,
     .is_lazy = true},
    {.type = "sgd_experimental",
     .kind = BT_OPTIM_SGD,
     FIELDS(sgd_experimental_fields),
     .is_experimental = true,
     .describe = describe_sgd_experimental,
     .update = optim_update_sgd},
    {.type = "rmsprop",
     .kind = BT_OPTIM_RMSPROP,
     FIELDS(rmsprop_fields),
     .describe = describe_rmsprop,
     .update = optim_update_rmsprop,
     .is_lazy = true},
    {.type = "adagrad",
     .kind = BT_OPTIM_ADAGRAD,
     FIELDS(adagrad_fields),
     .describe = describe_adagrad,
     .update = optim_update_adagrad},
    {.type = "lars",
     .kind = BT_OPTIM_LARS,
     FIELDS(lars_fields),
     .describe = describe_lars,
     .update = optim_update_lars,
     .finish = optim_finish_lars,
     .ratio_has_eeta = true,
     .needs_norms = true},
};
const optim_rule *optim_find_rule(const char *type) {
    for (size_t i = 0; i < BT_ARRAY_LEN(optim_rules); i++) {
        if (strcmp(optim_rules[i].type, type) == 0) {
            return &optim_rules[i];
        }
    }
    return NULL;
}
