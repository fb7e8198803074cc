/* SPDX-License-Identifier: Apache-2.0
 *
 * Which kernels. x86-64: cpuid says what the processor has, XGETBV what the operating system saves
 * at a context switch; both must agree before a vector kernel may run. 64-bit ARM: the operating
 * system says what there is and may be used. */
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
    AVX512_VNNI_BIT = 1 << 11,    /* cpuid 7, 0: ecx */
    AMX_BITS = 1 << 22 | 1 << 24, /* cpuid 7, 0: edx: BF16, TILE */
    AMX_INT8_BITS = 3 << 24,      /* TILE, INT8 */
};

static uint64_t read_xcr0(void) {
    uint32_t low = 0;
    uint32_t high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* no processor with AVX2 that lacks FMA or F16C is known; one that did would get ref */
static bool has_avx2(void) {
    uint32_t       a = 0, b = 0, c = 0, d = 0;
    const uint32_t needed = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & needed) == needed &&
           (read_xcr0() & XCR0_AVX) == XCR0_AVX && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 &&
           (b & bit_AVX2) != 0;
}

static bool has_avx512(void) {
    uint32_t       a = 0, b = 0, c = 0, d = 0;
    const uint32_t needed = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
    return has_avx2() && (read_xcr0() & XCR0_AVX512) == XCR0_AVX512 &&
           __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & needed) == needed;
}

/* bfloat16: AVX512_BF16, and AMX where the operating system gives the tiles. */
static bool has_bf16(void) {
    uint32_t a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & AVX512_BF16_BIT) != 0;
}

bool kern_has_vnni(void) {
    uint32_t a = 0, b = 0, c = 0, d = 0;
    return has_avx512() && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 &&
           (c & AVX512_VNNI_BIT) != 0;
}

static bool has_tiles(uint32_t needed) {
    uint32_t a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & needed) == needed &&
           (read_xcr0() & XCR0_TILES) == XCR0_TILES && kern_request_amx();
}

static bool has_amx(void) {
    return has_bf16() && has_tiles(AMX_BITS);
}

bool kern_has_amx_int8(void) {
    return has_avx512() && has_tiles(AMX_INT8_BITS);
}
#define X86(entry) entry
#define ARM(entry) NULL

#elif defined(__aarch64__) && defined(BT_KERN_HAVE_SIMD)
#include <sys/auxv.h>

static bool has_neon(void) {
    enum { ADVANCED_SIMD = 1 << 1 }; /* of AT_HWCAP */
    return (getauxval(AT_HWCAP) & ADVANCED_SIMD) != 0;
}

static bool has_bfmmla(void) {
    enum { BF16 = 1 << 14 }; /* of AT_HWCAP2 */
    return (getauxval(AT_HWCAP2) & BF16) != 0;
}

bool kern_has_dot(void) {
    enum { DOT_PRODUCTS = 1 << 20 }; /* of AT_HWCAP */
    return (getauxval(AT_HWCAP) & DOT_PRODUCTS) != 0;
}

bool kern_has_mmla(void) {
    enum { I8MM = 1 << 13 }; /* of AT_HWCAP2 */
    return (getauxval(AT_HWCAP2) & I8MM) != 0;
}
#define X86(entry) NULL
#define ARM(entry) entry

#else
#define X86(entry) NULL
#define ARM(entry) NULL
#endif

static bool has_c(void) {
    return true;
}

static void override_nothing(bt_kern *kern) {
    (void)kern;
}

/* Instruction sets; later ones are faster. NULL: not of this build. */
typedef struct isa_row {
    const char *name;
    bool (*is_here)(void);
    void (*override)(bt_kern *kern);
} isa_row;

static const isa_row isas[] = {
    {"ref", has_c, override_nothing},
    {"avx2", X86(has_avx2), X86(kern_override_avx2)},
    {"avx512", X86(has_avx512), X86(kern_override_avx512)},
    {"neon", ARM(has_neon), ARM(kern_override_neon)},
};

/* How products of bfloat16 factors are made beside rounding them first; later ones are faster. */
typedef struct bf16_row {
    const char *isa;
    bool (*is_here)(void);
    void (*override)(bt_kern *kern);
} bf16_row;

static const bf16_row bf16_rows[] = {
    {"avx512", X86(has_bf16), X86(kern_override_bf16)},
    {"avx512", X86(has_amx), X86(kern_override_amx)},
    {"neon", ARM(has_bfmmla), ARM(kern_override_bfmmla)},
};

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
    .dropout_bits = kern_dropout_bits__ref,
    .mask_of_bits = kern_mask_of_bits__ref,
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
    .act_slope = {[BT_ACT_GELU] = bt_kern_gelu_slope_f32__ref,
                  [BT_ACT_GELU_ERF] = bt_kern_gelu_erf_slope_f32__ref},
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
    .probs16_forward = kern_probs16_forward__ref,
    .probs16_backward = kern_probs16_backward__ref,
    .bias_round16 = kern_bias_round16__ref,
    .store16 = kern_store16__ref,
    .products = {[BT_PRECISION_F32] = {.name = "BLAS"}},
    .optim = {.adamw = bt_kern_adamw_f32__ref,
              .adamw_idle = bt_kern_adamw_idle_f32__ref,
              .lamb = bt_kern_lamb_f32__ref,
              .sgd = bt_kern_sgd_f32__ref,
              .ema = bt_kern_ema_f32__ref},
};

static const isa_row *find_isa(const char *name) {
    for (size_t i = 0; i < BT_ARRAY_LEN(isas); i++) {
        if (bt_str_equal(name, isas[i].name)) {
            return &isas[i];
        }
    }
    return NULL;
}

static bool is_here(const isa_row *isa) {
    return isa->is_here != NULL && isa->is_here();
}

const char *bt_kern_isa(int i) {
    for (size_t at = 0; at < BT_ARRAY_LEN(isas); at++) {
        if (isas[at].is_here != NULL && i-- == 0) {
            return isas[at].name;
        }
    }
    return NULL;
}

bool bt_kern_has(const char *isa) {
    const isa_row *const row = find_isa(isa);
    return row != NULL && is_here(row);
}

/* " ref avx2": those of the build, or those among them that this machine runs. */
static void list_isas(char *out, size_t size, bool runs) {
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < BT_ARRAY_LEN(isas); i++) {
        if (runs ? is_here(&isas[i]) : isas[i].is_here != NULL) {
            at += (size_t)snprintf(out + at, size - at, " %s", isas[i].name);
        }
    }
}

static bool has_bf16_row(const bf16_row *row, const char *isa) {
    return bt_str_equal(row->isa, isa) && row->is_here != NULL && row->is_here();
}

enum { ISAS_BYTES = 64 };

static const isa_row *fastest_isa(void) {
    const isa_row *fastest = &isas[0];
    for (size_t i = 0; i < BT_ARRAY_LEN(isas); i++) {
        fastest = is_here(&isas[i]) ? &isas[i] : fastest;
    }
    return fastest;
}

/* What every isa starts from: products of bfloat16 and float16 by rounding. */
static bt_kern base_table(void) {
    bt_kern kern = ref_table;
    kern.products[BT_PRECISION_BF16] = bt_kern_product_bf16__ref;
    kern.products[BT_PRECISION_F16] = bt_kern_product_f16__ref;
    kern.tiles16 = kern_tiles16__ref;
    return kern;
}

bt_status bt_kern_select(const char *isa, bt_kern *out, bt_error *err) {
    const bool           is_auto = isa == NULL || bt_str_equal(isa, "auto");
    const isa_row *const row = is_auto ? fastest_isa() : find_isa(isa);
    char                 here[ISAS_BYTES];
    if (row == NULL) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "instruction set '%s' is unknown: expected auto, ref, avx2, avx512 or neon",
                       isa);
    }
    if (!is_here(row)) {
        list_isas(here, sizeof here, true);
        return BT_FAIL(err, BT_E_BACKEND,
                       "instruction set '%s' was asked for, but this %s: choose auto, or of%s", isa,
                       row->is_here != NULL ? "machine does not have it"
                                            : "program was built without kernels for it",
                       here);
    }
    *out = base_table();
    row->override(out);
    for (size_t i = 0; i < BT_ARRAY_LEN(bf16_rows); i++) {
        if (has_bf16_row(&bf16_rows[i], out->isa)) {
            bf16_rows[i].override(out);
        }
    }
    return BT_OK;
}

/* kern's isa with the i-th way to make products of bfloat16, 0: by rounding, as every isa can. */
static bool with_bf16_variant(const bt_kern *kern, int i, bt_kern *out) {
    *out = base_table();
    find_isa(kern->isa)->override(out);
    for (size_t at = 0; i > 0; at++) {
        if (at == BT_ARRAY_LEN(bf16_rows)) {
            return false;
        }
        const bf16_row *const row = &bf16_rows[at];
        if (has_bf16_row(row, kern->isa)) {
            row->override(out);
            i--;
        }
    }
    return true;
}

bool bt_kern_bf16_variant(const bt_kern *kern, int i, bt_kern_product *out) {
    bt_kern other;
    if (!with_bf16_variant(kern, i, &other)) {
        return false;
    }
    *out = other.products[BT_PRECISION_BF16];
    return true;
}

bool bt_kern_tiles16_variant(const bt_kern *kern, int i, bt_kern_tiles16 *out) {
    bt_kern other;
    if (!with_bf16_variant(kern, i, &other)) {
        return false;
    }
    *out = other.tiles16;
    return true;
}

const char *bt_kern_build_info(void) {
    static char     text[512];
    char            built[ISAS_BYTES];
    char            runs[ISAS_BYTES];
    bt_kern         kern = ref_table;
    const bt_status selected = bt_kern_select("auto", &kern, NULL);
    BT_ASSERT(selected == BT_OK); /* every machine has one */
    (void)selected;
    bt_kern_blas_choose("", 1);
    const bool has_blas = bt_kern_blas_load(NULL) == BT_OK;
    list_isas(built, sizeof built, false);
    list_isas(runs, sizeof runs, true);
    (void)snprintf(
        text, sizeof text,
        "%s; kernels built:%s; this machine runs:%s; mixed precision: %s, %s; in 8 bits: %s",
        has_blas ? bt_kern_blas_describe() : "no BLAS", built, runs,
        kern.products[BT_PRECISION_BF16].name, kern.products[BT_PRECISION_F16].name,
        bt_kern_int8_choose(kern.isa)->name);
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
