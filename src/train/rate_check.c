/* SPDX-License-Identifier: Apache-2.0
 *
 * The learning rate of all steps before the first: a run that changes nothing, that unlearns, or
 * whose rate grows, is told with the numbers. Model Garden says nothing; it is not an error there.
 */
#include "run_checks.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "bt/base/log.h"

#define RATE "trainer.optimizer_config.learning_rate"
#define WARMUP "trainer.optimizer_config.warmup"

enum { MAX_LOOKS = 100000 };
static const double told_share = 0.1; /* of steps without a rate */
static const double growth = 10.0;    /* over the rate at the end of the warm-up, and the key's */
static const double nothing = 1e-15;  /* no weight in float32 is moved by less */

/* Looked at: every step, or evenly many of a long run, and the last. */
typedef struct rate_seen {
    int64_t n_looks;
    int64_t n_zero;
    int64_t first_zero; /* of those after the last step with a rate; -1 */
    int64_t n_negative;
    int64_t first_negative;
    double  largest;
    double  smallest;
    double  last;
    double  start;        /* at the end of the warm-up */
    int64_t warmup_steps; /* 0: no warm-up */
} rate_seen;

static int64_t warmup_steps(const bt_conf *conf, int64_t derived) {
    int64_t steps = derived;
    bool    is_null = true;
    if (bt_conf_type_of_oneof(conf, WARMUP) == NULL) {
        return 0;
    }
    return bt_conf_get_i64_or(conf, WARMUP ".*.warmup_steps", steps, &steps, &is_null, NULL) ==
                   BT_OK
               ? steps
               : derived;
}

static void look_at(rate_seen *seen, double rate, int64_t step) {
    const bool is_zero = rate >= 0 && rate < nothing;
    seen->n_looks++;
    seen->n_zero += is_zero ? 1 : 0;
    seen->first_zero = !is_zero ? -1 : seen->first_zero < 0 ? step : seen->first_zero;
    seen->first_negative = rate < 0 && seen->n_negative == 0 ? step : seen->first_negative;
    seen->n_negative += rate < 0 ? 1 : 0;
    seen->largest = rate > seen->largest || isnan(rate) ? rate : seen->largest;
    seen->smallest = rate < seen->smallest ? rate : seen->smallest;
    seen->last = rate;
}

static rate_seen look(const bt_conf *conf, const run_config *config, const bt_optim *optim) {
    const int64_t n = config->train_steps;
    const int64_t stride = n / MAX_LOOKS + 1;
    rate_seen seen = {.first_zero = -1, .warmup_steps = warmup_steps(conf, config->warmup_steps)};
    for (int64_t step = 0; step < n - 1; step += stride) {
        look_at(&seen, (double)bt_optim_learning_rate(optim, step), step);
    }
    look_at(&seen, (double)bt_optim_learning_rate(optim, n - 1), n - 1);
    const int64_t warm = seen.warmup_steps < n ? seen.warmup_steps : n - 1;
    seen.start = (double)bt_optim_learning_rate(optim, warm);
    return seen;
}

static double percent(int64_t n, const rate_seen *seen) {
    return 100.0 * (double)n / (double)seen->n_looks;
}

/* true: it was said. */
static bool tell_zero(const rate_seen *seen, int64_t n) {
    char from[64] = "";
    if (seen->n_zero == seen->n_looks) {
        bt_log(BT_LOG_WARNING,
               "the learning rate is 0 in all %" PRId64
               " steps, so nothing is learned: see decay_steps and warmup_steps of "
               "trainer.optimizer_config (the rate is 0 from decay_steps on)",
               n);
        return true;
    }
    if ((double)seen->n_zero <= told_share * (double)seen->n_looks) {
        return false;
    }
    if (seen->first_zero >= 0) {
        (void)snprintf(from, sizeof from, ", from step %" PRId64 " on", seen->first_zero);
    }
    bt_log(BT_LOG_WARNING,
           "the learning rate is 0 in %.0f %% of the %" PRId64
           " steps%s: nothing is learned then; see decay_steps of trainer.optimizer_config",
           percent(seen->n_zero, seen), n, from);
    return true;
}

/* A step against the gradient's direction unlearns. */
static bool tell_negative(const rate_seen *seen, int64_t n) {
    if (seen->n_negative == 0) {
        return false;
    }
    bt_log(BT_LOG_WARNING,
           "the learning rate is negative in %.0f %% of the %" PRId64 " steps, from step %" PRId64
           " on, down to %g: what was learned is unlearned then (" RATE ")",
           percent(seen->n_negative, seen), n, seen->first_negative, seen->smallest);
    return true;
}

static bool tell_warmup(const rate_seen *seen, int64_t n) {
    if (seen->warmup_steps < n) {
        return false;
    }
    bt_log(BT_LOG_WARNING,
           "the warm-up takes %" PRId64 " steps and the training ends after %" PRId64
           ": the learning rate reaches %g and never falls (" WARMUP ".*.warmup_steps)",
           seen->warmup_steps, n, seen->last);
    return true;
}

/* Schedules that grow by their form, however slowly, and others only where it is much. */
static bool tell_growth(const bt_conf *conf, const rate_seen *seen, int64_t n) {
    const char *const type = bt_conf_type_of_oneof(conf, RATE);
    const bool has_bound = !bt_str_equal(type, "exponential") && !bt_str_equal(type, "power");
    const bool is_sloped = !has_bound || bt_str_equal(type, "polynomial");
    double     initial = 0;
    if (seen->start > 0 && seen->last == seen->largest &&
        seen->last > (is_sloped ? 1.001 : growth) * seen->start) {
        bt_log(BT_LOG_WARNING,
               "the learning rate grows%s: from %g to %g within the %" PRId64 " steps (" RATE ")",
               has_bound ? "" : " without bound", seen->start, seen->last, n);
        return true;
    }
    if (bt_conf_get_f64(conf, RATE ".*.initial_learning_rate", &initial, NULL) == BT_OK &&
        initial > 0 && seen->largest > growth * initial) {
        bt_log(BT_LOG_WARNING,
               "the learning rate is up to %g, %.0f times the %g of " RATE
               ".*.initial_learning_rate: see its offset, power and warm-up",
               seen->largest, seen->largest / initial, initial);
        return true;
    }
    return false;
}

bt_status rate_check(const bt_conf *conf, const run_config *config, const bt_optim *optim,
                     bt_error *err) {
    const int64_t n = config->train_steps;
    if (n <= 0) {
        return BT_OK;
    }
    const rate_seen seen = look(conf, config, optim);
    if (!isfinite(seen.largest) || !isfinite(seen.smallest)) {
        const double bad = isfinite(seen.largest) ? seen.smallest : seen.largest;
        return BT_FAIL(err, BT_E_CONFIG,
                       RATE ": within the %" PRId64
                            " steps the rate becomes %g, which is not a finite number",
                       n, isnan(bad) ? fabs(bad) : bad);
    }
    /* one sentence: the first that explains the others */
    (void)(tell_zero(&seen, n) || tell_negative(&seen, n) || tell_warmup(&seen, n) ||
           tell_growth(conf, &seen, n));
    return BT_OK;
}
