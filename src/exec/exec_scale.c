/* SPDX-License-Identifier: Apache-2.0
 *
 * The loss scale of float16 (docs/model_garden/numerics.md section 10) from step to step. */
#include <math.h>

#include "exec_shared.h"

enum { GROWTH_STEPS = 2000 };

static const double first_scale = 0x1p15;

void exec_scale_init(exec_scale *scale, bt_precision precision, double fixed) {
    const bool is_on = precision == BT_PRECISION_F16;
    *scale = (exec_scale){.is_on = is_on,
                          .is_dynamic = is_on && fixed <= 0,
                          .now = {.factor = !is_on      ? 1
                                            : fixed > 0 ? fixed
                                                        : first_scale}};
}

/* Not below 1, not beyond float32. */
bool exec_scale_update(exec_scale *scale, bool is_finite) {
    bt_loss_scale *const now = &scale->now;
    if (!scale->is_dynamic) {
        return false;
    }
    if (!is_finite) {
        const bool can_shrink = now->factor > 1;
        now->factor = fmax(now->factor / 2, 1);
        now->n_good = 0;
        return can_shrink;
    }
    now->n_good++;
    if (now->n_good >= GROWTH_STEPS) {
        now->n_good = 0;
        if (isfinite((float)(now->factor * 2))) {
            now->factor *= 2;
        }
    }
    return false;
}
