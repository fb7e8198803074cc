/* SPDX-License-Identifier: Apache-2.0
 *
 * Random numbers that only tests need, and what they ask of a thread's floating-point control. */
#include "test_random.h"

#include <math.h>

double test_normal(bt_rng_key key, uint64_t index) {
    /* Each index has its own 2^20 counters to re-draw from; 4.6 % of draws are rejected, so a
     * second block is rare and a thousandth cannot be seen. Box-Muller, both halves used. */
    for (uint64_t attempt = 0; attempt < UINT64_C(1) << 20; attempt++) {
        uint32_t w[4];
        bt_rng_block(key, index << 20 | attempt, w);
        const double u1 = ((double)w[0] + 0.5) * 0x1p-32;
        const double u2 = ((double)w[1] + 0.5) * 0x1p-32;
        const double radius = sqrt(-2.0 * log(u1));
        const double angle = 6.283185307179586477 * u2;
        const double z[2] = {radius * cos(angle), radius * sin(angle)};
        for (int i = 0; i < 2; i++) {
            if (fabs(z[i]) < 2.0) {
                return z[i];
            }
        }
    }
    return 0.0;
}

bool test_is_flushing(bt_fp_state state) {
    const bt_fp_state mine = bt_fp_get();
    bt_fp_set(state);
    (void)bt_fp_flush();
    const bool is_same = bt_fp_get().word == state.word;
    bt_fp_set(mine);
    return is_same;
}
