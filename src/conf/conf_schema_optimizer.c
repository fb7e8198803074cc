/* SPDX-License-Identifier: Apache-2.0
 *
 * Schema tables: optimizers and moving average.
 * One row a key: name, type, flags, default, range, meaning. Names and defaults are those of Model
 * Garden 2.19.1; EXT marks keys of our own. Keys stand in sorted order. */
#include "conf_schema.h"

/* These refer to each other. */
static const conf_class conf_class_optimizer;
static const conf_class conf_class_sgd;
static const conf_class conf_class_sgd_experimental;
static const conf_class conf_class_adam;
static const conf_class conf_class_adam_experimental;
static const conf_class conf_class_adam_weight_decay;
static const conf_class conf_class_adam_weight_decay_experimental;
static const conf_class conf_class_lamb;
static const conf_class conf_class_rms_prop;
static const conf_class conf_class_lars;
static const conf_class conf_class_adagrad;
static const conf_class conf_class_slide;
static const conf_class conf_class_adafactor;
static const conf_class conf_class_adafactor_keras;
static const conf_class conf_class_ema;

static const conf_rule rule_share = {
    .lo = 0, .lo_open = true, .hi = 1, .words = "above 0 and at most 1"};
static const conf_rule rule_factor = {
    .lo = 0, .lo_open = true, .hi = HUGE_VAL, .hi_open = true, .words = "above 0, and finite"};

static const conf_key optimization_keys[] = {
    NO_SECTION("ema", &conf_class_ema,
               "moving average of the weights, used in evaluation (null = off)"),
    KEY("head_multiplier", T_FLOAT, EXT, "1.0", &rule_factor,
        "the head learns at so many times the learning rate"),
    KEY("layer_decay", T_FLOAT, EXT, "1.0", &rule_share,
        "layer l of L learns at layer_decay^(L - l) of the learning rate, the embeddings at "
        "layer_decay^(L + 1)"),
    SECTION("learning_rate", &conf_class_lr, "the learning rate"),
    SECTION("optimizer", &conf_class_optimizer, "the optimizer, one of several types"),
    SECTION("warmup", &conf_class_warmup, "warm-up of the learning rate"),
};
const conf_class conf_class_optimization = {
    "official.modeling.optimization.configs.optimization_config.OptimizationConfig", NULL,
    optimization_keys, BT_ARRAY_LEN(optimization_keys), false};

#define WHY_ONLY_A_NAME "Model Garden's open source has only its name, and fails when it is chosen"

static const conf_key optimizer_keys[] = {
    SECTION_REFUSED("adafactor", &conf_class_adafactor, "Adafactor", WHY_ONLY_A_NAME),
    SECTION_REFUSED("adafactor_keras", &conf_class_adafactor_keras, "Adafactor of Keras",
                    "its second moments are row and column means, whose shapes this version's "
                    "checkpoints do not hold; use adamw or lamb"),
    SECTION("adagrad", &conf_class_adagrad, "Adagrad"),
    SECTION("adam", &conf_class_adam, "Adam"),
    SECTION("adam_experimental", &conf_class_adam_experimental, "Adam of new Keras"),
    SECTION("adamw", &conf_class_adam_weight_decay,
            "Adam with decoupled weight decay, as BERT uses it"),
    SECTION("adamw_experimental", &conf_class_adam_weight_decay_experimental, "AdamW of new Keras"),
    SECTION("lamb", &conf_class_lamb, "LAMB"),
    SECTION("lars", &conf_class_lars, "LARS"),
    SECTION("rmsprop", &conf_class_rms_prop, "RMSprop"),
    SECTION("sgd", &conf_class_sgd, "stochastic gradient descent"),
    SECTION("sgd_experimental", &conf_class_sgd_experimental, "SGD of new Keras"),
    SECTION_REFUSED("slide", &conf_class_slide, "SLIDE", WHY_ONLY_A_NAME),
    KEY("type", T_STR, NULLABLE, NULL, RULE_NONE, "which branch is used"),
};
static const conf_class conf_class_optimizer = {
    "official.modeling.optimization.configs.optimization_config.OptimizerConfig", NULL,
    optimizer_keys, BT_ARRAY_LEN(optimizer_keys), true};

static const conf_key sgd_keys[] = {
    KEY("clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each variable's gradient to this norm (null = off)"),
    KEY("clipvalue", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each gradient element to this size (null = off)"),
    KEY("decay", T_FLOAT, 0, "0.0", RULE_GE0, "learning rate is divided by 1 + decay * step"),
    KEY("global_clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip all gradients together to this norm (null = off)"),
    KEY("momentum", T_FLOAT, 0, "0.0", RULE_0_TO_1, "momentum"),
    KEY_IGNORED("name", T_STR, QUIET, "SGD", RULE_NONE, "name of this section", WHY_NAME),
    KEY("nesterov", T_BOOL, 0, "false", RULE_NONE, "Nesterov's momentum"),
};
static const conf_class conf_class_sgd = {
    "official.modeling.optimization.configs.optimizer_config.SGDConfig", NULL, sgd_keys,
    BT_ARRAY_LEN(sgd_keys), false};

static const conf_key sgd_experimental_keys[] = {
    KEY("clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each variable's gradient to this norm (null = off)"),
    KEY("clipvalue", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each gradient element to this size (null = off)"),
    KEY("global_clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip all gradients together to this norm (null = off)"),
    KEY_IGNORED("jit_compile", T_BOOL, QUIET, "false", RULE_NONE, "compile the update with XLA",
                "updates are compiled here in any case"),
    KEY("momentum", T_FLOAT, 0, "0.0", RULE_0_TO_1, "momentum"),
    KEY_IGNORED("name", T_STR, QUIET, "SGD", RULE_NONE, "name of this section", WHY_NAME),
    KEY("nesterov", T_BOOL, 0, "false", RULE_NONE, "Nesterov's momentum"),
};
static const conf_class conf_class_sgd_experimental = {
    "official.modeling.optimization.configs.optimizer_config.SGDExperimentalConfig", NULL,
    sgd_experimental_keys, BT_ARRAY_LEN(sgd_experimental_keys), false};

static const conf_key adam_keys[] = {
    KEY("amsgrad", T_BOOL, 0, "false", RULE_NONE, "keep the largest second moment"),
    KEY("beta_1", T_FLOAT, 0, "0.9", RULE_RATE, "decay of the first moment"),
    KEY("beta_2", T_FLOAT, 0, "0.999", RULE_RATE, "decay of the second moment"),
    KEY("clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each variable's gradient to this norm (null = off)"),
    KEY("clipvalue", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each gradient element to this size (null = off)"),
    KEY("epsilon", T_FLOAT, 0, "1.0e-07", RULE_GE0, "added to the root of the second moment"),
    KEY("global_clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip all gradients together to this norm (null = off)"),
    KEY_IGNORED("name", T_STR, QUIET, "Adam", RULE_NONE, "name of this section", WHY_NAME),
};
static const conf_class conf_class_adam = {
    "official.modeling.optimization.configs.optimizer_config.AdamConfig", NULL, adam_keys,
    BT_ARRAY_LEN(adam_keys), false};

static const conf_key adam_experimental_keys[] = {
    KEY("amsgrad", T_BOOL, 0, "false", RULE_NONE, "keep the largest second moment"),
    KEY("beta_1", T_FLOAT, 0, "0.9", RULE_RATE, "decay of the first moment"),
    KEY("beta_2", T_FLOAT, 0, "0.999", RULE_RATE, "decay of the second moment"),
    KEY("clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each variable's gradient to this norm (null = off)"),
    KEY("clipvalue", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each gradient element to this size (null = off)"),
    KEY("epsilon", T_FLOAT, 0, "1.0e-07", RULE_GE0, "added to the root of the second moment"),
    KEY("global_clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip all gradients together to this norm (null = off)"),
    KEY_IGNORED("jit_compile", T_BOOL, QUIET, "false", RULE_NONE, "compile the update with XLA",
                "updates are compiled here in any case"),
    KEY_IGNORED("name", T_STR, QUIET, "Adam", RULE_NONE, "name of this section", WHY_NAME),
};
static const conf_class conf_class_adam_experimental = {
    "official.modeling.optimization.configs.optimizer_config.AdamExperimentalConfig", NULL,
    adam_experimental_keys, BT_ARRAY_LEN(adam_experimental_keys), false};

static const conf_key adam_weight_decay_keys[] = {
    KEY("amsgrad", T_BOOL, 0, "false", RULE_NONE, "keep the largest second moment"),
    KEY("beta_1", T_FLOAT, 0, "0.9", RULE_RATE, "decay of the first moment"),
    KEY("beta_2", T_FLOAT, 0, "0.999", RULE_RATE, "decay of the second moment"),
    KEY("clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each variable's gradient to this norm (null = off)"),
    KEY("clipvalue", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each gradient element to this size (null = off)"),
    KEY("epsilon", T_FLOAT, 0, "1.0e-07", RULE_GE0, "added to the root of the second moment"),
    KEY("exclude_from_weight_decay", T_STR_LIST, NULLABLE, NULL, RULE_NONE,
        "regular expressions of variables that are not decayed"),
    KEY("global_clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip all gradients together to this norm (null = off)"),
    KEY("gradient_clip_norm", T_FLOAT, 0, "1.0", RULE_GE0,
        "clip all gradients together to this norm (0 = off)"),
    KEY("include_in_weight_decay", T_STR_LIST, NULLABLE, NULL, RULE_NONE,
        "regular expressions of variables that are decayed in any case"),
    KEY_IGNORED("name", T_STR, QUIET, "AdamWeightDecay", RULE_NONE, "name of this section",
                WHY_NAME),
    KEY("weight_decay_rate", T_FLOAT, 0, "0.0", RULE_GE0,
        "weight decay per step, times the learning rate"),
};
static const conf_class conf_class_adam_weight_decay = {
    "official.modeling.optimization.configs.optimizer_config.AdamWeightDecayConfig", NULL,
    adam_weight_decay_keys, BT_ARRAY_LEN(adam_weight_decay_keys), false};

static const conf_key adam_weight_decay_experimental_keys[] = {
    KEY("amsgrad", T_BOOL, 0, "false", RULE_NONE, "keep the largest second moment"),
    KEY("beta_1", T_FLOAT, 0, "0.9", RULE_RATE, "decay of the first moment"),
    KEY("beta_2", T_FLOAT, 0, "0.999", RULE_RATE, "decay of the second moment"),
    KEY("clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each variable's gradient to this norm (null = off)"),
    KEY("clipvalue", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each gradient element to this size (null = off)"),
    KEY("epsilon", T_FLOAT, 0, "1.0e-07", RULE_GE0, "added to the root of the second moment"),
    KEY("global_clipnorm", T_FLOAT, 0, "1.0", RULE_GE0,
        "clip all gradients together to this norm (null = off)"),
    KEY_IGNORED("jit_compile", T_BOOL, QUIET, "false", RULE_NONE, "compile the update with XLA",
                "updates are compiled here in any case"),
    KEY_IGNORED("name", T_STR, QUIET, "AdamWeightDecayExperimental", RULE_NONE,
                "name of this section", WHY_NAME),
    KEY("weight_decay", T_FLOAT, 0, "0.0", RULE_GE0,
        "weight decay per step, times the learning rate"),
};
static const conf_class conf_class_adam_weight_decay_experimental = {
    "official.modeling.optimization.configs.optimizer_config.AdamWeightDecayExperimentalConfig",
    NULL, adam_weight_decay_experimental_keys, BT_ARRAY_LEN(adam_weight_decay_experimental_keys),
    false};

static const conf_key lamb_keys[] = {
    KEY("beta_1", T_FLOAT, 0, "0.9", RULE_RATE, "decay of the first moment"),
    KEY("beta_2", T_FLOAT, 0, "0.999", RULE_RATE, "decay of the second moment"),
    KEY("clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each variable's gradient to this norm (null = off)"),
    KEY("clipvalue", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each gradient element to this size (null = off)"),
    KEY("epsilon", T_FLOAT, 0, "1.0e-06", RULE_GE0, "added to the root of the second moment"),
    KEY("exclude_from_layer_adaptation", T_STR_LIST, NULLABLE, NULL, RULE_NONE,
        "regular expressions of variables whose step is not scaled by layer"),
    KEY("exclude_from_weight_decay", T_STR_LIST, NULLABLE, NULL, RULE_NONE,
        "regular expressions of variables that are not decayed"),
    KEY("global_clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip all gradients together to this norm (null = off)"),
    KEY_IGNORED("name", T_STR, QUIET, "LAMB", RULE_NONE, "name of this section", WHY_NAME),
    KEY("weight_decay_rate", T_FLOAT, 0, "0.0", RULE_GE0,
        "weight decay per step, times the learning rate"),
};
static const conf_class conf_class_lamb = {
    "official.modeling.optimization.configs.optimizer_config.LAMBConfig", NULL, lamb_keys,
    BT_ARRAY_LEN(lamb_keys), false};

static const conf_key rms_prop_keys[] = {
    KEY("centered", T_BOOL, 0, "false", RULE_NONE, "normalise by the variance"),
    KEY("clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each variable's gradient to this norm (null = off)"),
    KEY("clipvalue", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each gradient element to this size (null = off)"),
    KEY("epsilon", T_FLOAT, 0, "1.0e-07", RULE_GE0, "added to the root of the second moment"),
    KEY("global_clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip all gradients together to this norm (null = off)"),
    KEY("momentum", T_FLOAT, 0, "0.0", RULE_0_TO_1, "momentum"),
    KEY_IGNORED("name", T_STR, QUIET, "RMSprop", RULE_NONE, "name of this section", WHY_NAME),
    KEY("rho", T_FLOAT, 0, "0.9", RULE_0_TO_1, "decay of the mean square"),
};
static const conf_class conf_class_rms_prop = {
    "official.modeling.optimization.configs.optimizer_config.RMSPropConfig", NULL, rms_prop_keys,
    BT_ARRAY_LEN(rms_prop_keys), false};

static const conf_key lars_keys[] = {
    KEY("classic_momentum", T_BOOL, 0, "true", RULE_NONE, "learning rate inside the momentum"),
    KEY("clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each variable's gradient to this norm (null = off)"),
    KEY("clipvalue", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each gradient element to this size (null = off)"),
    KEY("eeta", T_FLOAT, 0, "0.001", RULE_FINITE, "trust coefficient"),
    KEY("exclude_from_layer_adaptation", T_STR_LIST, NULLABLE, NULL, RULE_NONE,
        "regular expressions of variables whose step is not scaled by layer"),
    KEY("exclude_from_weight_decay", T_STR_LIST, NULLABLE, NULL, RULE_NONE,
        "regular expressions of variables that are not decayed"),
    KEY("global_clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip all gradients together to this norm (null = off)"),
    KEY("momentum", T_FLOAT, 0, "0.9", RULE_0_TO_1, "momentum"),
    KEY_IGNORED("name", T_STR, QUIET, "LARS", RULE_NONE, "name of this section", WHY_NAME),
    KEY("nesterov", T_BOOL, 0, "false", RULE_NONE, "Nesterov's momentum"),
    KEY("weight_decay_rate", T_FLOAT, 0, "0.0", RULE_GE0,
        "weight decay per step, times the learning rate"),
};
static const conf_class conf_class_lars = {
    "official.modeling.optimization.configs.optimizer_config.LARSConfig", NULL, lars_keys,
    BT_ARRAY_LEN(lars_keys), false};

static const conf_key adagrad_keys[] = {
    KEY("clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each variable's gradient to this norm (null = off)"),
    KEY("clipvalue", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each gradient element to this size (null = off)"),
    KEY("epsilon", T_FLOAT, 0, "1.0e-07", RULE_GE0, "added to the root of the second moment"),
    KEY("global_clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip all gradients together to this norm (null = off)"),
    KEY("initial_accumulator_value", T_FLOAT, 0, "0.1", RULE_GE0, "start of the sum of squares"),
    KEY_IGNORED("name", T_STR, QUIET, "Adagrad", RULE_NONE, "name of this section", WHY_NAME),
};
static const conf_class conf_class_adagrad = {
    "official.modeling.optimization.configs.optimizer_config.AdagradConfig", NULL, adagrad_keys,
    BT_ARRAY_LEN(adagrad_keys), false};

static const conf_key slide_keys[] = {
    KEY("beta_1", T_FLOAT, 0, "0.9", RULE_RATE, "decay of the first moment"),
    KEY("beta_2", T_FLOAT, 0, "0.999", RULE_RATE, "decay of the second moment"),
    KEY("clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each variable's gradient to this norm (null = off)"),
    KEY("clipvalue", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each gradient element to this size (null = off)"),
    KEY("do_gradient_rescaling", T_BOOL, 0, "true", RULE_NONE,
        "rescale gradients of sparse layers"),
    KEY("epsilon", T_FLOAT, 0, "1.0e-06", RULE_GE0, "added to the root of the second moment"),
    KEY("exclude_from_layer_adaptation", T_STR_LIST, NULLABLE, NULL, RULE_NONE,
        "regular expressions of variables whose step is not scaled by layer"),
    KEY("exclude_from_weight_decay", T_STR_LIST, NULLABLE, NULL, RULE_NONE,
        "regular expressions of variables that are not decayed"),
    KEY("global_clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip all gradients together to this norm (null = off)"),
    KEY("include_in_sparse_layer_adaptation", T_STR_LIST, NULLABLE, NULL, RULE_NONE,
        "variables with sparse adaptation"),
    KEY_IGNORED("name", T_STR, QUIET, "SLIDE", RULE_NONE, "name of this section", WHY_NAME),
    KEY("norm_type", T_STR, 0, "layer", RULE_NONE, "norm of the layer adaptation"),
    KEY("ratio_clip_norm", T_FLOAT, 0, "100000.0", RULE_NONE, "largest ratio"),
    KEY("sparse_layer_learning_rate", T_FLOAT, 0, "0.1", RULE_NONE,
        "learning rate of sparse layers"),
    KEY("weight_decay_rate", T_FLOAT, 0, "0.0", RULE_GE0,
        "weight decay per step, times the learning rate"),
    KEY("weight_decay_type", T_STR, 0, "inner", RULE_NONE, "inner or outer"),
};
static const conf_class conf_class_slide = {
    "official.modeling.optimization.configs.optimizer_config.SLIDEConfig", NULL, slide_keys,
    BT_ARRAY_LEN(slide_keys), false};

static const conf_key adafactor_keys[] = {
    KEY("beta1", T_FLOAT, NULLABLE, NULL, RULE_NONE, "decay of the first moment (null = none)"),
    KEY("clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each variable's gradient to this norm (null = off)"),
    KEY("clipping_threshold", T_FLOAT, 0, "1.0", RULE_NONE,
        "clip updates to this root mean square"),
    KEY("clipvalue", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each gradient element to this size (null = off)"),
    KEY("decay_rate", T_FLOAT, 0, "0.8", RULE_NONE, "exponent of the second moment's decay"),
    KEY("epsilon1", T_FLOAT, 0, "1.0e-30", RULE_NONE, "added to squared gradients"),
    KEY("epsilon2", T_FLOAT, 0, "0.001", RULE_NONE, "lower bound of the parameter scale"),
    KEY("factored", T_BOOL, 0, "true", RULE_NONE, "factor the second moment"),
    KEY("global_clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip all gradients together to this norm (null = off)"),
    KEY("include_in_weight_decay", T_STR, NULLABLE, NULL, RULE_NONE,
        "regular expressions of variables that are decayed in any case"),
    KEY("min_dim_size_to_factor", T_INT, 0, "128", RULE_NONE,
        "smallest dimension that is factored"),
    KEY("multiply_by_parameter_scale", T_BOOL, 0, "true", RULE_NONE,
        "scale updates by the parameters"),
    KEY_IGNORED("name", T_STR, QUIET, "Adafactor", RULE_NONE, "name of this section", WHY_NAME),
    KEY("step_offset", T_INT, 0, "0", RULE_NONE, "steps to subtract"),
    KEY("weight_decay", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "weight decay per step, times the learning rate"),
};
static const conf_class conf_class_adafactor = {
    "official.modeling.optimization.configs.optimizer_config.AdafactorConfig", NULL, adafactor_keys,
    BT_ARRAY_LEN(adafactor_keys), false};

static const conf_key adafactor_keras_keys[] = {
    KEY("beta_2_decay", T_FLOAT, 0, "-0.8", RULE_NONE, "exponent of the second moment's decay"),
    KEY("clip_threshold", T_FLOAT, 0, "1.0", RULE_NONE, "clip updates to this root mean square"),
    KEY("clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each variable's gradient to this norm (null = off)"),
    KEY("clipvalue", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip each gradient element to this size (null = off)"),
    KEY("epsilon_1", T_FLOAT, 0, "1.0e-30", RULE_NONE, "added to squared gradients"),
    KEY("epsilon_2", T_FLOAT, 0, "0.001", RULE_NONE, "lower bound of the parameter scale"),
    KEY("global_clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
        "clip all gradients together to this norm (null = off)"),
    KEY("learning_rate", T_FLOAT, 0, "0.001", RULE_GE0, "learning rate"),
    KEY_IGNORED("name", T_STR, QUIET, "Adafactor", RULE_NONE, "name of this section", WHY_NAME),
    KEY("relative_step", T_BOOL, 0, "true", RULE_NONE, "learning rate falls with the step"),
};
static const conf_class conf_class_adafactor_keras = {
    "official.modeling.optimization.configs.optimizer_config.AdafactorKerasConfig", NULL,
    adafactor_keras_keys, BT_ARRAY_LEN(adafactor_keras_keys), false};

#define WHY_NO_CLIP                                                                                \
    "it has no effect (Model Garden never reads it); clip in the section of the optimizer"

static const conf_key ema_keys[] = {
    KEY("average_decay", T_FLOAT, 0, "0.99", RULE_0_TO_1, "decay of the average"),
    KEY_REFUSED("clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
                "clip each variable's gradient to this norm (null = off)", WHY_NO_CLIP),
    KEY_REFUSED("clipvalue", T_FLOAT, NULLABLE, NULL, RULE_GE0,
                "clip each gradient element to this size (null = off)", WHY_NO_CLIP),
    KEY("dynamic_decay", T_BOOL, 0, "true", RULE_NONE, "start with a smaller decay"),
    KEY_REFUSED("global_clipnorm", T_FLOAT, NULLABLE, NULL, RULE_GE0,
                "clip all gradients together to this norm (null = off)", WHY_NO_CLIP),
    KEY_IGNORED("name", T_STR, QUIET, "ExponentialMovingAverage", RULE_NONE, "name of this section",
                WHY_NAME),
    KEY("start_step", T_INT, 0, "0", RULE_NONE, "first step that is averaged"),
    KEY_IGNORED("trainable_weights_only", T_BOOL, 0, "true", RULE_NONE,
                "average trainable weights only",
                "weights that are not trained are their own average"),
};
static const conf_class conf_class_ema = {
    "official.modeling.optimization.configs.optimizer_config.EMAConfig", NULL, ema_keys,
    BT_ARRAY_LEN(ema_keys), false};
