/* SPDX-License-Identifier: Apache-2.0
 *
 * Which kernels: cpuid says what the processor has, XGETBV what the operating system saves at a
 * context switch; both must agree before a vector kernel may run. */
#include <math.h>
#include <stdio.h>

#include "bt/base/str.h"
#include "kern_internal.h"
#include "kern_ref_decl.h"

#if defined(__x86_64__) && defined(BT_KERN_HAVE_SIMD)
#include <cpuid.h>

enum {
    XCR0_AVX = 0x6,
    XCR0_AVX512 = 0xE6,
    XCR0_TILES = 0x60000,
    AVX512_BF16_BIT = 1 << 5,     /* cpuid 7, 1: eax */
    AMX_BITS = 1 << 22 | 1 << 24, /* cpuid 7, 0: edx: BF16, TILE */
};

static const char *const built_in = "ref avx2 avx512";
static const char *const lacks_because = "machine does not have it";

static uint64_t read_xcr0(void) {
    uint32_t low = 0;
    uint32_t high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static void probe(bool *avx2, bool *avx512) {
    uint32_t a = 0, b = 0, c = 0, d = 0;
    *avx2 = false;
    *avx512 = false;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_OSXSAVE) == 0 || (c & bit_AVX) == 0) {
        return;
    }
    /* no processor with AVX2 that lacks these two is known; one that did would get ref */
    const bool     fma = (c & bit_FMA) != 0 && (c & bit_F16C) != 0;
    const uint64_t saved = read_xcr0();
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) {
        return;
    }
    *avx2 = fma && (b & bit_AVX2) != 0 && (saved & XCR0_AVX) == XCR0_AVX;
    const uint32_t needed = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
    *avx512 = *avx2 && (b & needed) == needed && (saved & XCR0_AVX512) == XCR0_AVX512;
}
/* bfloat16: AVX512_BF16, and AMX where the operating system gives the tiles. */
static bool has_bf16(void) {
    uint32_t a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & AVX512_BF16_BIT) != 0;
}

static bool has_amx(void) {
    uint32_t a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & AMX_BITS) == AMX_BITS &&
           (read_xcr0() & XCR0_TILES) == XCR0_TILES && kern_request_amx();
}
#else
static bool has_bf16(void) {
    return false;
}
static bool has_amx(void) {
    return false;
}
void kern_override_bf16(bt_kern *kern) {
    (void)kern;
}
void kern_override_amx(bt_kern *kern) {
    (void)kern;
}
static const char *const built_in = "ref";
static const char *const lacks_because = "program was built without vector kernels";

static void probe(bool *avx2, bool *avx512) {
    *avx2 = false;
    *avx512 = false;
}
void kern_override_avx2(bt_kern *kern) {
    (void)kern;
}
void kern_override_avx512(bt_kern *kern) {
    (void)kern;
}
#endif

static const bt_kern ref_table = {
    .isa = "ref",
    .add = bt_kern_add_f32__ref,
    .add3 = bt_kern_add3_f32__ref,
    .mul = bt_kern_mul_f32__ref,
    .scale = bt_kern_scale_f32__ref,
    .axpy = bt_kern_axpy_f32__ref,
    .to_bf16 = kern_to_bf16__ref,
    .from_bf16 = kern_from_bf16__ref,
    .sum_sq = bt_kern_sum_sq_f32__ref,
    .dropout_mask = bt_kern_dropout_mask_f32__ref,
    .act_forward = {[BT_ACT_GELU] = bt_kern_gelu_f32__ref,
                    [BT_ACT_GELU_ERF] = bt_kern_gelu_erf_f32__ref,
                    [BT_ACT_RELU] = bt_kern_relu_f32__ref,
                    [BT_ACT_RELU6] = bt_kern_relu6_f32__ref,
                    [BT_ACT_TANH] = bt_kern_tanh_f32__ref,
                    [BT_ACT_SWISH] = bt_kern_swish_f32__ref,
                    [BT_ACT_HARD_SWISH] = bt_kern_hard_swish_f32__ref,
                    [BT_ACT_MISH] = bt_kern_mish_f32__ref,
                    [BT_ACT_SIGMOID] = bt_kern_sigmoid_f32__ref,
                    [BT_ACT_IDENTITY] = bt_kern_identity_f32__ref},
    .act_backward = {[BT_ACT_GELU] = bt_kern_gelu_backward_f32__ref,
                     [BT_ACT_GELU_ERF] = bt_kern_gelu_erf_backward_f32__ref,
                     [BT_ACT_RELU] = bt_kern_relu_backward_f32__ref,
                     [BT_ACT_RELU6] = bt_kern_relu6_backward_f32__ref,
                     [BT_ACT_TANH] = bt_kern_tanh_backward_f32__ref,
                     [BT_ACT_SWISH] = bt_kern_swish_backward_f32__ref,
                     [BT_ACT_HARD_SWISH] = bt_kern_hard_swish_backward_f32__ref,
                     [BT_ACT_MISH] = bt_kern_mish_backward_f32__ref,
                     [BT_ACT_SIGMOID] = bt_kern_sigmoid_backward_f32__ref,
                     [BT_ACT_IDENTITY] = bt_kern_identity_backward_f32__ref},
    .bias_residual = bt_kern_bias_residual_f32__ref,
    .add_bias = bt_kern_add_bias_f32__ref,
    .column_sums = bt_kern_column_sums_f32__ref,
    .norm_forward = bt_kern_norm_forward_f32__ref,
    .norm_backward = bt_kern_norm_backward_f32__ref,
    .softmax_forward = bt_kern_softmax_forward_f32__ref,
    .softmax_again = bt_kern_softmax_again_f32__ref,
    .softmax_backward = bt_kern_softmax_backward_f32__ref,
    .tile_product = bt_kern_tile_product_f32__ref,
    .transpose = bt_kern_transpose_f32__ref,
    .products = {[BT_PRECISION_F32] = {.name = "BLAS"}},
    .optim = {.adamw = bt_kern_adamw_f32__ref,
              .adamw_idle = bt_kern_adamw_idle_f32__ref,
              .lamb = bt_kern_lamb_f32__ref,
              .sgd = bt_kern_sgd_f32__ref,
              .ema = bt_kern_ema_f32__ref},
};

bool bt_kern_has(const char *isa) {
    bool avx2 = false;
    bool avx512 = false;
    probe(&avx2, &avx512);
    return bt_str_equal(isa, "ref") || (avx2 && bt_str_equal(isa, "avx2")) ||
           (avx512 && bt_str_equal(isa, "avx512"));
}

bt_status bt_kern_select(const char *isa, bt_kern *out, bt_error *err) {
    int n_bf16_variants = 0;
    if (isa == NULL || bt_str_equal(isa, "auto")) {
        isa = bt_kern_has("avx512") ? "avx512" : bt_kern_has("avx2") ? "avx2" : "ref";
    }
    if (!bt_str_equal(isa, "ref") && !bt_str_equal(isa, "avx2") && !bt_str_equal(isa, "avx512")) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "instruction set '%s' is unknown: expected auto, ref, avx2 or avx512", isa);
    }
    if (!bt_kern_has(isa)) {
        return BT_FAIL(err, BT_E_BACKEND,
                       "instruction set '%s' was asked for, but this %s: choose auto or ref", isa,
                       lacks_because);
    }
    *out = ref_table;
    out->products[BT_PRECISION_BF16] = bt_kern_product_bf16__ref;
    out->products[BT_PRECISION_F16] = bt_kern_product_f16__ref;
    if (bt_str_equal(isa, "avx2")) {
        kern_override_avx2(out);
    } else if (bt_str_equal(isa, "avx512")) {
        kern_override_avx512(out);
        if (has_bf16()) {
            kern_override_bf16(out);
        }
    }
    while (bt_kern_bf16_variant(out, n_bf16_variants, &out->products[BT_PRECISION_BF16])) {
        n_bf16_variants++;
    }
    return BT_OK;
}

bool bt_kern_bf16_variant(const bt_kern *kern, int i, bt_kern_product *out) {
    bt_kern other = *kern;
    if (i == 0) { /* by rounding, as every isa can */
        other = ref_table;
        other.products[BT_PRECISION_BF16] = bt_kern_product_bf16__ref;
        if (bt_str_equal(kern->isa, "avx2")) {
            kern_override_avx2(&other);
        } else if (bt_str_equal(kern->isa, "avx512")) {
            kern_override_avx512(&other);
        }
    } else if (!bt_str_equal(kern->isa, "avx512") || !has_bf16()) {
        return false;
    } else if (i == 1) {
        kern_override_bf16(&other);
    } else if (i == 2 && has_amx()) {
        kern_override_amx(&other);
    } else {
        return false;
    }
    *out = other.products[BT_PRECISION_BF16];
    return true;
}

const char *bt_kern_build_info(void) {
    static char     text[512];
    bt_kern         kern = ref_table;
    const bt_status selected = bt_kern_select("auto", &kern, NULL);
    BT_ASSERT(selected == BT_OK); /* every machine has one */
    (void)selected;
    bt_kern_blas_choose("", 1);
    const bool has_blas = bt_kern_blas_load(NULL) == BT_OK;
    (void)snprintf(text, sizeof text,
                   "%s; kernels built: %s; this machine runs: ref%s%s; mixed precision: %s, %s",
                   has_blas ? bt_kern_blas_describe() : "no BLAS", built_in,
                   bt_kern_has("avx2") ? " avx2" : "", bt_kern_has("avx512") ? " avx512" : "",
                   kern.products[BT_PRECISION_BF16].name, kern.products[BT_PRECISION_F16].name);
    return text;
}

bt_kern_dropout bt_kern_dropout_make(float rate) {
    BT_ASSERT(rate >= 0 && rate <= 1);
    if (rate <= 0) {
        return (bt_kern_dropout){.on = false, .limit = 0, .scale = 1};
    }
    /* bt_rng_uniform(key, i) < rate, said in whole words: (word >> 8) < ceil(rate * 2^24). */
    const uint64_t dropped = (uint64_t)ceilf(rate * 0x1p24f) << 8;
    return (bt_kern_dropout){
        .on = true, .limit = (uint32_t)(dropped - 1), .scale = rate < 1 ? 1 / (1 - rate) : 0};
}
