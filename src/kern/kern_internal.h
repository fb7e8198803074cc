/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files of kern/: the instruction sets' entries into the table, and the unroll pragma
 * that gcc and clang spell differently. */
#ifndef BT_KERN_INTERNAL_H
#define BT_KERN_INTERNAL_H

#include "bt/kern.h"
#include "bt/kern/int8.h"

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* Each puts its kernels over the ones that are there. Only call where the processor has it. */
void kern_override_avx2(bt_kern *kern);
void kern_override_avx512(bt_kern *kern);
void kern_override_bf16(bt_kern *kern);
void kern_override_amx(bt_kern *kern);
void kern_override_neon(bt_kern *kern);
void kern_override_amx_model(bt_kern *kern); /* of tests: kern_amx_tiles.h */
void kern_override_bfmmla(bt_kern *kern);
/* Asks the operating system for AMX's tiles, for this process and the threads that it will start.
 */
bool kern_request_amx(void);

/* Has this machine these, as well as all of avx512? */
bool kern_has_vnni(void);
bool kern_has_amx_int8(void);
/* FEAT_DotProd, FEAT_I8MM? */
bool kern_has_dot(void);
bool kern_has_mmla(void);

/* kern_int8_*.c: variants of kern_int8.c */
extern const bt_kern_int8 kern_int8_avx2;
extern const bt_kern_int8 kern_int8_vnni;
extern const bt_kern_int8 kern_int8_amx;
extern const bt_kern_int8 kern_int8_dot;
extern const bt_kern_int8 kern_int8_mmla;

/* kern_ref_product.c */
extern const bt_kern_product bt_kern_product_bf16__ref;
extern const bt_kern_product bt_kern_product_f16__ref;
void                         kern_round_to_bf16(float *x, int64_t n);
void                         kern_to_bf16__ref(uint16_t *out, const float *in, int64_t n);
void                         kern_from_bf16__ref(float *out, const uint16_t *in, int64_t n);
/* Panels of float32, `width` wide each, from bfloat16 numbers: they are widened, then packed. */
enum { KERN_MAX_WIDTH = 64 };
typedef void kern_pack_fn(void *panels, const float *x, int64_t wide_step, int64_t deep_step,
                          int64_t n_wide, int64_t n_there, int64_t depth);
typedef void kern_pack16_fn(void *panels, const uint16_t *x, int64_t wide_step, int64_t deep_step,
                            int64_t n_wide, int64_t n_there, int64_t depth);
void         kern_pack_widened(kern_pack_fn *pack, int64_t width, void *panels, const uint16_t *x,
                               int64_t wide_step, int64_t deep_step, int64_t n_wide, int64_t n_there,
                               int64_t depth);
/* kern_bf16.c, kern_neon_bf16.c: where the numbers of a panel come from. */
typedef struct kern_pack_source {
    const float    *x;   /* the panel's first element, */
    const uint16_t *x16; /* or this, in bfloat16: the other is NULL */
    int64_t         wide_step, deep_step;
    int64_t         n_there; /* in the wide direction, from here */
    int64_t         depth;
} kern_pack_source;

/* kern_ref16.c */
extern const bt_kern_tiles16 kern_tiles16__ref;
void kern_dropout_bits__ref(uint16_t *bits, int64_t bits_step, int64_t n_rows, int64_t n,
                            bt_rng_key key, uint64_t first_block, uint64_t block_step,
                            uint32_t limit);
void kern_mask_of_bits__ref(float *mult, const uint16_t *bits, int64_t n, float scale);
void kern_probs16_forward__ref(const bt_kern_probs16 *x);
void kern_probs16_backward__ref(const bt_kern_probs16 *x);
void kern_bias_round16__ref(float *x, const float *bias, int64_t n);
void kern_store16__ref(uint16_t *out, int64_t ld_out, const float *in, int64_t ld_in,
                       int64_t n_rows, int64_t n_cols, float alpha);

/* kern_tiles16.c */
void kern_left16__avx512(uint16_t *left, const uint16_t *x, int64_t ld, int64_t n_rows,
                         int64_t n_cols);
void kern_left16_transposed__avx512(uint16_t *left, const uint16_t *x, int64_t ld, int64_t n_rows,
                                    int64_t n_cols);
void kern_right16__avx512(uint32_t *right, const uint16_t *x, int64_t ld, int64_t n_rows,
                          int64_t n_cols);
void kern_right16_transposed__avx512(uint32_t *right, const uint16_t *x, int64_t ld, int64_t n_rows,
                                     int64_t n_cols);
/* Each takes the place of the products that are there. */
void kern_tiles16_bf16(bt_kern_tiles16 *tiles);
void kern_tiles16_amx(bt_kern_tiles16 *tiles);
void kern_tiles16_bfdot(bt_kern_tiles16 *tiles);
void kern_tiles16_amx_model(bt_kern_tiles16 *tiles); /* of tests */

#endif
