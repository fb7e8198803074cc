/* SPDX-License-Identifier: Apache-2.0
 *
 * The learning rate of all steps before the first: a run that changes nothing, or whose rate grows
 * without bound, is told with the numbers. Model Garden says nothing; it is no error there. */
#include "run.h"

#include <math.h>
#include <stdio.h>

enum { MAX_LOOKS = 100000 };
static const double told_share = 0.1; /* of steps without a rate */
static const double growth = 10.0;    /* over the rate at the end of the warm-up */

/* Looked at: every step, or evenly many of a long run. */
typedef struct rate_seen {
    int64_t n_looks;
    int64_t n_zero;
    int64_t first_zero; /* of those behind the last step with a rate; -1 */
    double  largest;
    double  last;
    double  start; /* at the end of the warm-up */
} rate_seen;

/* The first step behind the warm-up, or the last one. */
static int64_t warm_step(const train_run *run, int64_t n) {
    static const char warmup[] = "trainer.optimizer_config.warmup";
    int64_t           steps = run->config.warmup_steps;
    bool              is_null = true;
    if (bt_conf_type_of_oneof(run->conf, warmup) != NULL &&
        bt_conf_get_i64_or(run->conf, "trainer.optimizer_config.warmup.*.warmup_steps",
                           run->config.warmup_steps, &steps, &is_null, NULL) != BT_OK) {
        steps = run->config.warmup_steps;
    }
    return steps < n ? steps : n - 1;
}

static rate_seen look(const train_run *run) {
    const int64_t n = run->config.train_steps;
    const int64_t stride = n / MAX_LOOKS + 1;
    rate_seen     seen = {.first_zero = -1};
    for (int64_t step = 0; step < n; step += stride) {
        const double rate = (double)bt_optim_learning_rate(run->optim, step);
        seen.n_looks++;
        seen.n_zero += rate == 0 ? 1 : 0;
        seen.first_zero = rate != 0 ? -1 : seen.first_zero < 0 ? step : seen.first_zero;
        seen.largest = rate > seen.largest || isnan(rate) ? rate : seen.largest;
        seen.last = rate;
    }
    seen.start = (double)bt_optim_learning_rate(run->optim, warm_step(run, n));
    return seen;
}

bt_status rate_check(const train_run *run, bt_error *err) {
    const int64_t n = run->config.train_steps;
    if (n <= 0) {
        return BT_OK;
    }
    const rate_seen seen = look(run);
    if (!isfinite(seen.largest)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "trainer.optimizer_config.learning_rate: within the %" PRId64
                       " steps the rate becomes %g, which is no finite number",
                       n, seen.largest);
    }
    if (seen.n_zero == seen.n_looks) {
        bt_log(BT_LOG_WARNING,
               "the learning rate is 0 in all %" PRId64
               " steps, so nothing is learned: see decay_steps and warmup_steps of "
               "trainer.optimizer_config (the rate is 0 from decay_steps on)",
               n);
    } else if ((double)seen.n_zero > told_share * (double)seen.n_looks) {
        char from[64] = "";
        if (seen.first_zero >= 0) {
            (void)snprintf(from, sizeof from, ", from step %" PRId64 " on", seen.first_zero);
        }
        bt_log(BT_LOG_WARNING,
               "the learning rate is 0 in %.0f %% of the %" PRId64
               " steps%s: nothing is learned then; see decay_steps of trainer.optimizer_config",
               100.0 * (double)seen.n_zero / (double)seen.n_looks, n, from);
    }
    if (seen.start > 0 && seen.last == seen.largest && seen.last > growth * seen.start) {
        bt_log(BT_LOG_WARNING,
               "the learning rate grows without bound: from %g to %g within the %" PRId64
               " steps (trainer.optimizer_config.learning_rate)",
               seen.start, seen.last, n);
    }
    return BT_OK;
}
