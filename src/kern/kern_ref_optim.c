/* SPDX-License-Identifier: Apache-2.0
 *
 * The portable optimizer kernels, one float32 operation after the other as
 * docs/model_garden/numerics.md sections 4 and 5 write them: no fused multiply-add here nor in the
 * vector twins, so every isa gives the same bits. */
#include <tgmath.h>

#include "kern_ref_decl.h"

void REF(adamw)(REAL *param, REAL *m, REAL *v, REAL *v_max, const REAL *grad, int64_t n,
                const bt_kern_adamw_args *a) {
    for (int64_t i = 0; i < n; i++) {
        const REAL g = grad[i] * (REAL)a->grad_scale;
        REAL       p = param[i];
        if (a->weight_decay != 0) {
            p -= ((REAL)a->decay_lr * p) * (REAL)a->weight_decay;
        }
        const REAL m_new = m[i] + (g - m[i]) * (REAL)a->one_minus_beta_1;
        const REAL v_new = v[i] + (g * g - v[i]) * (REAL)a->one_minus_beta_2;
        REAL       w = v_new;
        if (v_max != NULL) {
            w = v_max[i] > v_new ? v_max[i] : v_new;
            v_max[i] = w;
        }
        m[i] = m_new;
        v[i] = v_new;
        param[i] = p - (m_new * (REAL)a->alpha) / (sqrt(w) + (REAL)a->epsilon);
    }
}

void REF(adamw_idle)(REAL *param, REAL *m, REAL *v, int64_t n, const bt_kern_adamw_args *a,
                     int64_t n_steps) {
    const REAL no_gradient = 0;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t s = 0; s < n_steps; s++) {
            REF(adamw)(param + i, m + i, v + i, NULL, &no_gradient, 1, &a[s]);
        }
    }
}

void REF(lamb)(REAL *u, REAL *m, REAL *v, const REAL *param, const REAL *grad, int64_t n,
               const bt_kern_lamb_args *a) {
    for (int64_t i = 0; i < n; i++) {
        const REAL g = grad[i] * (REAL)a->grad_scale;
        const REAL m_new = (REAL)a->beta_1 * m[i] + (REAL)a->one_minus_beta_1 * g;
        const REAL v_new = (REAL)a->beta_2 * v[i] + (REAL)a->one_minus_beta_2 * (g * g);
        REAL       step = (m_new / (REAL)a->correction_1) /
                    (sqrt(v_new / (REAL)a->correction_2) + (REAL)a->epsilon);
        if (a->weight_decay != 0) {
            step += (REAL)a->weight_decay * param[i];
        }
        m[i] = m_new;
        v[i] = v_new;
        u[i] = step;
    }
}

void REF(sgd)(REAL *param, REAL *accum, const REAL *grad, int64_t n, REAL lr, REAL momentum,
              bool nesterov, REAL grad_scale) {
    for (int64_t i = 0; i < n; i++) {
        const REAL lr_g = lr * (grad[i] * grad_scale);
        if (accum == NULL) {
            param[i] -= lr_g;
            continue;
        }
        accum[i] = momentum * accum[i] - lr_g;
        param[i] += nesterov ? momentum * accum[i] - lr_g : accum[i];
    }
}

void REF(ema)(REAL *average, const REAL *param, int64_t n, REAL one_minus_decay) {
    for (int64_t i = 0; i < n; i++) {
        average[i] -= (average[i] - param[i]) * one_minus_decay;
    }
}
