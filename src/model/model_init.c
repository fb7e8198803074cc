/* SPDX-License-Identifier: Apache-2.0
 *
 * Fresh weights: a pure function of (seed, name of the parameter, index in it), so a head gets the
 * same weights whatever encoder is below it, and parameters can be filled one at a time in any
 * order. The truncated normal comes from its quantile function: no re-drawing, no libm, four values
 * a block of random words. */
#include <string.h>

#include "bt/base/crc32c.h"
#include "bt/base/rng.h"
#include "bt/model.h"

/* Quantile of N(0,1) cut at +-2, as a function of u - 1/2 for u in (0,1): odd, and analytic beyond
 * the ends, so that one rational function holds it to 2e-9 everywhere (least squares over 4000
 * Chebyshev nodes; test_model.c compares it with erf). */
static double truncated_normal_quantile(double centred) {
    static const double p[6] = {2.3925760690345563, -6.788716077543909, 7.1313484083166845,
                                -3.330633142980729, 0.6312394727504594, -0.027703308203225863};
    static const double q[6] = {1.0,
                                -3.0759256041224883,
                                3.5948002996593784,
                                -1.9558334203988417,
                                0.4774443169307019,
                                -0.03845773672390429};
    const double        s = 4.0 * centred * centred;
    double              above = p[5];
    double              below = q[5];
    for (int i = 4; i >= 0; i--) {
        above = above * s + p[i];
        below = below * s + q[i];
    }
    return centred * above / below;
}

static void fill(float *out, int64_t n, float value) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = value;
    }
}

static void fill_truncated_normal(float *out, int64_t n, float stddev, bt_rng_key key) {
    for (int64_t i = 0; i < n; i += 4) {
        uint32_t words[4];
        bt_rng_block(key, (uint64_t)i / 4, words);
        for (int64_t j = 0; j < 4 && i + j < n; j++) {
            const double centred = ((double)words[j] + 0.5) * 0x1p-32 - 0.5;
            out[i + j] = (float)(truncated_normal_quantile(centred) * (double)stddev);
        }
    }
}

static void fill_uniform(float *out, int64_t n, float bound, bt_rng_key key) {
    for (int64_t i = 0; i < n; i += 4) {
        uint32_t words[4];
        bt_rng_block(key, (uint64_t)i / 4, words);
        for (int64_t j = 0; j < 4 && i + j < n; j++) {
            out[i + j] = (float)((((double)words[j] + 0.5) * 0x1p-31 - 1) * (double)bound);
        }
    }
}

void bt_model_init_param(const bt_model *model, uint64_t seed, int64_t index, float *out) {
    const bt_param *const param = &model->table.params[index];
    const uint32_t        name_hash = bt_crc32c(0, param->name, strlen(param->name));
    const bt_rng_key      key = bt_rng_key_make(seed, 0, name_hash, BT_SITE_INIT);
    switch (param->init) {
    case BT_INIT_ZERO:
        fill(out, param->n_elements, 0.0F);
        return;
    case BT_INIT_ONE:
        fill(out, param->n_elements, 1.0F);
        return;
    case BT_INIT_TRUNCATED_NORMAL:
        fill_truncated_normal(out, param->n_elements, param->init_stddev, key);
        return;
    case BT_INIT_UNIFORM:
        fill_uniform(out, param->n_elements, param->init_stddev, key);
        return;
    }
}

void bt_model_init_params(const bt_model *model, uint64_t seed, float *flat) {
    const bt_param_table *const table = &model->table;
    for (int64_t i = 0; i < table->n_params; i++) {
        const bt_param *const param = &table->params[i];
        const int64_t         end =
            i + 1 < table->n_params ? table->params[i + 1].offset : table->n_elements;
        bt_model_init_param(model, seed, i, flat + param->offset);
        /* gaps stay 0, so that sums over the whole flat buffer are sums over the parameters */
        fill(flat + param->offset + param->n_elements, end - param->offset - param->n_elements,
             0.0F);
    }
}
