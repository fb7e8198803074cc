/* SPDX-License-Identifier: Apache-2.0
 *
 * Schema tables: learning rates and warm-up.
 * One row a key: name, type, flags, default, range, meaning. Names and defaults are those of Model
 * Garden 2.19.1; EXT marks keys of our own. Keys stand in sorted order. */
#include "conf_schema.h"

/* These refer to each other. */
static const conf_class conf_class_constant_lr;
static const conf_class conf_class_stepwise_lr;
static const conf_class conf_class_exponential_lr;
static const conf_class conf_class_polynomial_lr;
static const conf_class conf_class_cosine_lr;
static const conf_class conf_class_direct_power_lr;
static const conf_class conf_class_power_and_linear_decay_lr;
static const conf_class conf_class_power_decay_with_offset_lr;
static const conf_class conf_class_step_cosine_lr;
static const conf_class conf_class_linear_warmup;
static const conf_class conf_class_polynomial_warmup;

static const conf_key lr_keys[] = {
    SECTION("constant", &conf_class_constant_lr, "a constant rate"),
    SECTION("cosine", &conf_class_cosine_lr, "half a cosine"),
    SECTION("exponential", &conf_class_exponential_lr, "exponential decay"),
    SECTION("polynomial", &conf_class_polynomial_lr, "polynomial decay, linear with power 1"),
    SECTION("power", &conf_class_direct_power_lr, "a power of the step"),
    SECTION("power_linear", &conf_class_power_and_linear_decay_lr,
            "a power of the step, then linear to zero"),
    SECTION("power_with_offset", &conf_class_power_decay_with_offset_lr,
            "a power of the step after an offset"),
    SECTION("step_cosine_with_offset", &conf_class_step_cosine_lr, "cosines between boundaries"),
    SECTION("stepwise", &conf_class_stepwise_lr, "constant between boundaries"),
    KEY("type", T_STR, NULLABLE, NULL, RULE_NONE, "which branch is used"),
};
const conf_class conf_class_lr = {
    "official.modeling.optimization.configs.optimization_config.LrConfig", NULL, lr_keys,
    BT_ARRAY_LEN(lr_keys), true};

static const conf_key constant_lr_keys[] = {
    KEY("learning_rate", T_FLOAT, 0, "0.1", RULE_GE0, "learning rate"),
    KEY_IGNORED("name", T_STR, QUIET, "Constant", RULE_NONE, "name of this section", WHY_NAME),
};
static const conf_class conf_class_constant_lr = {
    "official.modeling.optimization.configs.learning_rate_config.ConstantLrConfig", NULL,
    constant_lr_keys, BT_ARRAY_LEN(constant_lr_keys), false};

static const conf_key stepwise_lr_keys[] = {
    KEY("boundaries", T_INT_LIST, NULLABLE, NULL, RULE_NONE, "steps at which the value changes"),
    KEY_IGNORED("name", T_STR, QUIET, "PiecewiseConstantDecay", RULE_NONE, "name of this section",
                WHY_NAME),
    KEY("offset", T_INT, 0, "0", RULE_NONE, "steps to subtract before the schedule is read"),
    KEY("values", T_FLOAT_LIST, NULLABLE, NULL, RULE_NONE, "learning rates of the intervals"),
};
static const conf_class conf_class_stepwise_lr = {
    "official.modeling.optimization.configs.learning_rate_config.StepwiseLrConfig", NULL,
    stepwise_lr_keys, BT_ARRAY_LEN(stepwise_lr_keys), false};

static const conf_key exponential_lr_keys[] = {
    KEY("decay_rate", T_FLOAT, NULLABLE, NULL, RULE_FINITE, "factor per decay_steps"),
    KEY("decay_steps", T_INT, NULLABLE, NULL, RULE_GE0, "steps of the decay (null = train_steps)"),
    KEY("initial_learning_rate", T_FLOAT, NULLABLE, NULL, RULE_GE0, "learning rate at step 0"),
    KEY_IGNORED("name", T_STR, QUIET, "ExponentialDecay", RULE_NONE, "name of this section",
                WHY_NAME),
    KEY("offset", T_INT, 0, "0", RULE_NONE, "steps to subtract before the schedule is read"),
    KEY("staircase", T_BOOL, NULLABLE, NULL, RULE_NONE, "decay in whole intervals"),
};
static const conf_class conf_class_exponential_lr = {
    "official.modeling.optimization.configs.learning_rate_config.ExponentialLrConfig", NULL,
    exponential_lr_keys, BT_ARRAY_LEN(exponential_lr_keys), false};

static const conf_key polynomial_lr_keys[] = {
    KEY("cycle", T_BOOL, 0, "false", RULE_NONE, "start again when the end is reached"),
    KEY("decay_steps", T_INT, NULLABLE, NULL, RULE_GE0, "steps of the decay (null = train_steps)"),
    KEY("end_learning_rate", T_FLOAT, 0, "0.0001", RULE_FINITE,
        "learning rate at the end of the decay"),
    KEY("initial_learning_rate", T_FLOAT, NULLABLE, NULL, RULE_GE0, "learning rate at step 0"),
    KEY_IGNORED("name", T_STR, QUIET, "PolynomialDecay", RULE_NONE, "name of this section",
                WHY_NAME),
    KEY("offset", T_INT, 0, "0", RULE_NONE, "steps to subtract before the schedule is read"),
    KEY("power", T_FLOAT, 0, "1.0", RULE_FINITE, "exponent"),
};
static const conf_class conf_class_polynomial_lr = {
    "official.modeling.optimization.configs.learning_rate_config.PolynomialLrConfig", NULL,
    polynomial_lr_keys, BT_ARRAY_LEN(polynomial_lr_keys), false};

static const conf_key cosine_lr_keys[] = {
    KEY("alpha", T_FLOAT, 0, "0.0", RULE_0_TO_1, "lowest learning rate as a share of the first"),
    KEY("decay_steps", T_INT, NULLABLE, NULL, RULE_GE0, "steps of the decay (null = train_steps)"),
    KEY("initial_learning_rate", T_FLOAT, NULLABLE, NULL, RULE_GE0, "learning rate at step 0"),
    KEY_IGNORED("name", T_STR, QUIET, "CosineDecay", RULE_NONE, "name of this section", WHY_NAME),
    KEY("offset", T_INT, 0, "0", RULE_NONE, "steps to subtract before the schedule is read"),
};
static const conf_class conf_class_cosine_lr = {
    "official.modeling.optimization.configs.learning_rate_config.CosineLrConfig", NULL,
    cosine_lr_keys, BT_ARRAY_LEN(cosine_lr_keys), false};

static const conf_key direct_power_lr_keys[] = {
    KEY("initial_learning_rate", T_FLOAT, NULLABLE, NULL, RULE_GE0, "learning rate at step 0"),
    KEY_IGNORED("name", T_STR, QUIET, "DirectPowerDecay", RULE_NONE, "name of this section",
                WHY_NAME),
    KEY("power", T_FLOAT, 0, "-0.5", RULE_FINITE, "exponent"),
};
static const conf_class conf_class_direct_power_lr = {
    "official.modeling.optimization.configs.learning_rate_config.DirectPowerLrConfig", NULL,
    direct_power_lr_keys, BT_ARRAY_LEN(direct_power_lr_keys), false};

static const conf_key power_and_linear_decay_lr_keys[] = {
    KEY("initial_learning_rate", T_FLOAT, NULLABLE, NULL, RULE_GE0, "learning rate at step 0"),
    KEY("linear_decay_fraction", T_FLOAT, 0, "0.1", RULE_FINITE,
        "share of the steps with linear decay at the end"),
    KEY_IGNORED("name", T_STR, QUIET, "PowerAndLinearDecay", RULE_NONE, "name of this section",
                WHY_NAME),
    KEY("offset", T_INT, 0, "0", RULE_NONE, "steps to subtract before the schedule is read"),
    KEY("power", T_FLOAT, 0, "-0.5", RULE_FINITE, "exponent"),
    KEY("total_decay_steps", T_INT, NULLABLE, NULL, RULE_GE0, "all steps"),
};
static const conf_class conf_class_power_and_linear_decay_lr = {
    "official.modeling.optimization.configs.learning_rate_config.PowerAndLinearDecayLrConfig", NULL,
    power_and_linear_decay_lr_keys, BT_ARRAY_LEN(power_and_linear_decay_lr_keys), false};

static const conf_key power_decay_with_offset_lr_keys[] = {
    KEY("initial_learning_rate", T_FLOAT, NULLABLE, NULL, RULE_GE0, "learning rate at step 0"),
    KEY_IGNORED("name", T_STR, QUIET, "PowerDecayWithOffset", RULE_NONE, "name of this section",
                WHY_NAME),
    KEY("offset", T_INT, 0, "0", RULE_NONE, "steps to subtract before the schedule is read"),
    KEY("power", T_FLOAT, 0, "-0.5", RULE_FINITE, "exponent"),
    KEY("pre_offset_learning_rate", T_FLOAT, 0, "1000000.0", RULE_FINITE,
        "learning rate before offset, and its upper bound"),
};
static const conf_class conf_class_power_decay_with_offset_lr = {
    "official.modeling.optimization.configs.learning_rate_config.PowerDecayWithOffsetLrConfig",
    NULL, power_decay_with_offset_lr_keys, BT_ARRAY_LEN(power_decay_with_offset_lr_keys), false};

static const conf_key step_cosine_lr_keys[] = {
    KEY("boundaries", T_INT_LIST, NULLABLE, NULL, RULE_NONE, "steps at which the value changes"),
    KEY_IGNORED("name", T_STR, QUIET, "StepCosineDecayWithOffset", RULE_NONE,
                "name of this section", WHY_NAME),
    KEY("offset", T_INT, 0, "0", RULE_NONE, "steps to subtract before the schedule is read"),
    KEY("values", T_FLOAT_LIST, NULLABLE, NULL, RULE_NONE, "learning rates of the intervals"),
};
static const conf_class conf_class_step_cosine_lr = {
    "official.modeling.optimization.configs.learning_rate_config.StepCosineLrConfig", NULL,
    step_cosine_lr_keys, BT_ARRAY_LEN(step_cosine_lr_keys), false};

static const conf_key warmup_keys[] = {
    SECTION("linear", &conf_class_linear_warmup, "linear warm-up"),
    SECTION("polynomial", &conf_class_polynomial_warmup, "polynomial warm-up, linear with power 1"),
    KEY("type", T_STR, NULLABLE, NULL, RULE_NONE, "which branch is used"),
};
const conf_class conf_class_warmup = {
    "official.modeling.optimization.configs.optimization_config.WarmupConfig", NULL, warmup_keys,
    BT_ARRAY_LEN(warmup_keys), true};

static const conf_key linear_warmup_keys[] = {
    KEY_IGNORED("name", T_STR, QUIET, "linear", RULE_NONE, "name of this section", WHY_NAME),
    KEY("warmup_learning_rate", T_FLOAT, 0, "0", RULE_GE0, "learning rate at step 0"),
    KEY("warmup_steps", T_INT, NULLABLE, NULL, RULE_GE0,
        "steps of the warm-up (null = warmup_fraction of train_steps)"),
};
static const conf_class conf_class_linear_warmup = {
    "official.modeling.optimization.configs.learning_rate_config.LinearWarmupConfig", NULL,
    linear_warmup_keys, BT_ARRAY_LEN(linear_warmup_keys), false};

static const conf_key polynomial_warmup_keys[] = {
    KEY_IGNORED("name", T_STR, QUIET, "polynomial", RULE_NONE, "name of this section", WHY_NAME),
    KEY("power", T_FLOAT, 0, "1", RULE_FINITE, "exponent"),
    KEY("warmup_steps", T_INT, NULLABLE, NULL, RULE_GE0,
        "steps of the warm-up (null = warmup_fraction of train_steps)"),
};
static const conf_class conf_class_polynomial_warmup = {
    "official.modeling.optimization.configs.learning_rate_config.PolynomialWarmupConfig", NULL,
    polynomial_warmup_keys, BT_ARRAY_LEN(polynomial_warmup_keys), false};
