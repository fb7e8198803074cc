/* SPDX-License-Identifier: Apache-2.0
 *
 * The floating-point control word of a thread. x86-64: MXCSR; aarch64: FPCR; elsewhere there is
 * none that we know, and numbers below the normal ones stay what they are. */
#include "bt/base/fp.h"

#if defined(__x86_64__)

enum { DENORMALS_ARE_ZERO = 1U << 6, FLUSH_TO_ZERO = 1U << 15 };

bt_fp_state bt_fp_get(void) {
    return (bt_fp_state){.word = __builtin_ia32_stmxcsr()};
}

void bt_fp_set(bt_fp_state state) {
    __builtin_ia32_ldmxcsr((unsigned)state.word);
}

static bt_fp_state flushing(bt_fp_state state) {
    return (bt_fp_state){.word = state.word | DENORMALS_ARE_ZERO | FLUSH_TO_ZERO};
}

#elif defined(__aarch64__)

enum { FLUSH_TO_ZERO = 1U << 24 }; /* inputs too */

bt_fp_state bt_fp_get(void) {
    bt_fp_state state;
    __asm__ volatile("mrs %0, fpcr" : "=r"(state.word));
    return state;
}

void bt_fp_set(bt_fp_state state) {
    __asm__ volatile("msr fpcr, %0" : : "r"(state.word));
}

static bt_fp_state flushing(bt_fp_state state) {
    return (bt_fp_state){.word = state.word | FLUSH_TO_ZERO};
}

#else

bt_fp_state bt_fp_get(void) {
    return (bt_fp_state){.word = 0};
}

void bt_fp_set(bt_fp_state state) {
    (void)state;
}

static bt_fp_state flushing(bt_fp_state state) {
    return state;
}

#endif

bt_fp_state bt_fp_flush(void) {
    const bt_fp_state before = bt_fp_get();
    bt_fp_set(flushing(before));
    return before;
}
