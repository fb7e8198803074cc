/* SPDX-License-Identifier: Apache-2.0
 *
 * What can be said of trainer.optimizer_config before there is a model. Whoever reads it (optim.c,
 * schedule.c) takes it for granted. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/str.h"
#include "optim_internal.h"

#define RATE "trainer.optimizer_config.learning_rate"
#define WARMUP "trainer.optimizer_config.warmup"
#define OPTIMIZER "trainer.optimizer_config.optimizer"
#define EMA "trainer.optimizer_config.ema"

/* The optimizer. */

/* The old optimizers clip with whatever number stands there, so that 0 stops all training; the new
 * ones read 0 as off. */
static bt_status check_clip(const bt_conf_check *c, const optim_rule *rule, const char *path) {
    double norm = 0;
    return !bt_conf_peek_f64(c->conf, path, &norm) || norm > 0 || rule->is_experimental
               ? BT_OK
               : bt_conf_check_fail(c, path, NULL,
                                    "expected a number > 0, or null for no clipping, got %g", norm);
}

static bt_status check_optimizer(const bt_conf_check *c) {
    static const char *const clips[] = {OPTIMIZER ".*.clipvalue", OPTIMIZER ".*.clipnorm",
                                        OPTIMIZER ".*.global_clipnorm"};
    const char *const        type = bt_conf_peek_type(c->conf, OPTIMIZER);
    const optim_rule *const  rule = type == NULL ? NULL : optim_find_rule(type);
    if (rule == NULL) {
        return type != NULL
                   ? BT_OK /* the schema refuses it */
                   : bt_conf_check_missing(c, OPTIMIZER ".type", "name the type of the optimizer");
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(clips); i++) {
        BT_TRY(check_clip(c, rule, clips[i]));
    }
    if (!bt_conf_peek_is_null(c->conf, EMA) && rule->is_experimental) {
        BT_TRY(bt_conf_refuse(c->conf, c->errors, EMA, type,
                              "a moving average cannot wrap this optimizer (in Model Garden "
                              "neither); use adamw, adam or sgd, or set ema to null",
                              c->err));
    }
    return bt_conf_peek_is_null(c->conf, clips[1]) || bt_conf_peek_is_null(c->conf, clips[2])
               ? BT_OK
               : bt_conf_check_fail(c, clips[1], clips[2],
                                    "set either clipnorm or global_clipnorm, not both");
}

/* The learning rate. */

/* stepwise: one value more than boundaries; step_cosine_with_offset: as many */
static bt_status check_boundaries(const bt_conf_check *c, const char *type) {
    static const char *const boundaries_path = RATE ".*.boundaries";
    static const char *const values_path = RATE ".*.values";
    const size_t             more = strcmp(type, "stepwise") == 0 ? 1 : 0;
    bt_conf_i64_list         boundaries = {0};
    if (!bt_conf_has(c->conf, boundaries_path)) {
        return BT_OK;
    }
    const size_t n_values = bt_conf_peek_n_items(c->conf, values_path);
    (void)bt_conf_peek_i64_list(c->conf, boundaries_path, &boundaries);
    if (boundaries.n == 0 || n_values == 0) {
        return bt_conf_check_missing(c, values_path,
                                     "set the values and boundaries of the '%s' rate", type);
    }
    if (boundaries.n > OPTIM_MAX_LEVELS) {
        return bt_conf_check_fail(c, boundaries_path, NULL, "expected at most %d, got %zu",
                                  (int)OPTIM_MAX_LEVELS, boundaries.n);
    }
    for (size_t i = 1; i < boundaries.n; i++) {
        if (boundaries.items[i] <= boundaries.items[i - 1]) {
            return bt_conf_check_fail(c, boundaries_path, NULL,
                                      "boundaries must grow, but %" PRId64 " follows %" PRId64,
                                      boundaries.items[i], boundaries.items[i - 1]);
        }
    }
    return n_values == boundaries.n + more
               ? BT_OK
               : bt_conf_check_fail(c, values_path, boundaries_path,
                                    "%zu values do not fit %zu boundaries: the '%s' rate wants %s",
                                    n_values, boundaries.n, type,
                                    more == 1 ? "one value more" : "as many");
}

/* Numbers of the schedule that null would leave open. */
static bt_status check_rate_numbers(const bt_conf_check *c, const char *type) {
    static const char *const rates[] = {RATE ".*.initial_learning_rate", RATE ".*.decay_rate"};
    for (size_t i = 0; i < BT_ARRAY_LEN(rates); i++) {
        if (bt_conf_has(c->conf, rates[i]) && bt_conf_peek_is_null(c->conf, rates[i])) {
            BT_TRY(bt_conf_check_missing(c, rates[i], "the '%s' rate needs this number", type));
        }
    }
    return BT_OK;
}

static bt_status check_rate(const bt_conf_check *c) {
    static const char *const steps_keys[] = {RATE ".*.decay_steps", RATE ".*.total_decay_steps"};
    const char *const        type = bt_conf_peek_type(c->conf, RATE);
    if (type == NULL) {
        return bt_conf_check_missing(c, RATE ".type", "name the type of the learning rate");
    }
    BT_TRY(check_rate_numbers(c, type));
    for (size_t i = 0; i < BT_ARRAY_LEN(steps_keys); i++) {
        int64_t steps = 1;
        if (bt_conf_peek_i64(c->conf, steps_keys[i], &steps) && steps == 0) {
            BT_TRY(bt_conf_check_fail(c, steps_keys[i], NULL,
                                      "a decay over 0 steps has no value; null means train_steps"));
        }
    }
    return check_boundaries(c, type);
}

bt_status bt_optim_check(const bt_conf_check *check) {
    BT_TRY(check_rate(check));
    return check_optimizer(check);
}
