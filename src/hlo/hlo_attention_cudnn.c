/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention by cuDNN's flash attention with packed sequences, as XLA's CUDA plug-ins call it: what
 * the call means is what JAX's cudnn/fused_attention_stablehlo.py writes. The batch is a list of
 * G >= B sequences, each with its first element in memory, in ascending order, and its length; what
 * is of no sequence is not written. */
#include <inttypes.h>
#include <math.h>

#include "hlo_custom.h"
#include "hlo_internal.h"

/* Sequences a row; cuDNN has another form for one. */
static int64_t sequences_a_row(const hlo_step *s) {
    const int64_t n = (s->B + s->R - 1) / s->R;
    return n > 2 ? n : 2;
}

int64_t hlo_cudnn_sequences(const hlo_step *s) {
    return s->R * sequences_a_row(s);
}

/* [B] -> [n] in the order of ranks [B]; after the last one: other */
static hlo_value in_order(hlo_step *s, hlo_value x, hlo_value ranks, int64_t n, double other) {
    hlo *const      h = &s->h;
    const hlo_value like = hlo_new(h, BT_DTYPE_I32, HLO_DIMS(n, s->B));
    const hlo_value place = hlo_iota(h, BT_DTYPE_I32, like, 0);
    const hlo_value is_it = hlo_compare(h, "EQ", hlo_spread(h, ranks, like, 1), place);
    const hlo_value own = hlo_select(h, is_it, hlo_spread(h, x, like, 1), hlo_fill(h, like, 0));
    const hlo_value sum = hlo_reduce(h, "add", own, 2);
    const hlo_value is_there = hlo_compare(h, "LT", hlo_iota(h, BT_DTYPE_I32, sum, 0),
                                           hlo_fill(h, sum, (double)(s->B < n ? s->B : n)));
    return hlo_select(h, is_there, sum, hlo_fill(h, sum, other));
}

/* How many begin before each; equal ones (there is no sequence) in the order of their numbers. */
static hlo_value ranks_of(hlo_step *s, hlo_value firsts) {
    hlo *const      h = &s->h;
    const hlo_value like = hlo_new(h, BT_DTYPE_I32, HLO_DIMS(s->B, s->B));
    const hlo_value mine = hlo_spread(h, firsts, like, 0);
    const hlo_value other = hlo_spread(h, firsts, like, 1);
    const hlo_value is_tie = hlo_binary(h, "and", hlo_compare(h, "EQ", other, mine),
                                        hlo_compare(h, "LT", hlo_iota(h, BT_DTYPE_I32, like, 1),
                                                    hlo_iota(h, BT_DTYPE_I32, like, 0)));
    const hlo_value before = hlo_binary(h, "or", hlo_compare(h, "LT", other, mine), is_tie);
    return hlo_reduce(h, "add", hlo_convert(h, before, BT_DTYPE_I32), 2);
}

void hlo_cudnn_prepare(hlo_step *s) {
    hlo *const      h = &s->h;
    const int64_t   M = sequences_a_row(s);
    const int64_t   G = hlo_cudnn_sequences(s);
    const hlo_value firsts = s->args[BT_HLO_FIRST_SLOTS];
    const hlo_value ranks = ranks_of(s, firsts);
    const hlo_value lengths =
        hlo_reduce(h, "add", hlo_convert(h, hlo_is_of_sequence(s), BT_DTYPE_I32), 2);
    const hlo_value starts = in_order(s, firsts, ranks, G + s->R, (double)s->T);
    s->seq_lengths = hlo_shape(h, in_order(s, lengths, ranks, G, 0), s->R, M);
    s->seq_offsets = hlo_shape(h, hlo_scaled(h, starts, (double)s->H), s->R, M + 1);
    s->is_token = hlo_compare(h, "GE", hlo_shape(h, s->args[BT_HLO_SEGMENTS], s->T),
                              hlo_number(h, BT_DTYPE_I32, 0));
}

/* One product's axes in the texts of XLA. */
static void put_product(hlo *h, const char *name, int a, int b, int batch_a, int batch_b) {
    hlo_put(h,
            ", \\22%s_dot_dimension_numbers\\22: {\\22lhs_contracting_dimensions\\22: "
            "[\\22%d\\22], \\22rhs_contracting_dimensions\\22: [\\22%d\\22], "
            "\\22lhs_batch_dimensions\\22: [\\220\\22, \\22%d\\22], "
            "\\22rhs_batch_dimensions\\22: [\\220\\22, \\22%d\\22]}",
            name, a, b, batch_a, batch_b);
}

static void put_config(hlo_step *s, bool is_backward) {
    hlo *const h = &s->h;
    hlo_put(h, "api_version = 2 : i32, backend_config = \"{\\22operation_queue_id\\22: "
               "\\220\\22, \\22cudnn_fmha_backend_config\\22: {\\22algorithm\\22: "
               "{\\22algo_id\\22: \\220\\22, \\22math_type\\22: \\22TENSOR_OP_MATH\\22, "
               "\\22tuning_knobs\\22: {\\2217\\22: \\221\\22, \\2224\\22: \\220\\22}, "
               "\\22is_cudnn_frontend\\22: true, \\22workspace_size\\22: \\220\\22}, ");
    hlo_put(h,
            "\\22fmha_scale\\22: %.9g, \\22intermediate_tensor_shape\\22: "
            "{\\22element_type\\22: \\22%s\\22, \\22dimensions\\22: [\\22%" PRId64
            "\\22, \\22%" PRId64 "\\22, \\22%" PRId64 "\\22, \\22%" PRId64 "\\22], ",
            1 / sqrt((double)s->D), s->ct == BT_DTYPE_F16 ? "F16" : "BF16", s->R, s->NH, s->S,
            s->S);
    hlo_put(h, "\\22tuple_shapes\\22: [], \\22layout\\22: {\\22dim_level_types\\22: [], "
               "\\22dim_unique\\22: [], \\22dim_ordered\\22: [], \\22minor_to_major\\22: "
               "[\\223\\22, \\222\\22, \\221\\22, \\220\\22], \\22tiles\\22: [], "
               "\\22element_size_in_bits\\22: \\220\\22, \\22memory_space\\22: \\220\\22, "
               "\\22index_primitive_type\\22: \\22PRIMITIVE_TYPE_INVALID\\22, "
               "\\22pointer_primitive_type\\22: \\22PRIMITIVE_TYPE_INVALID\\22, "
               "\\22dynamic_shape_metadata_prefix_bytes\\22: \\220\\22}, "
               "\\22is_dynamic_dimension\\22: [false, false, false, false]}, ");
    hlo_put(h, "\\22is_flash_attention\\22: true, \\22mask_type\\22: \\22PADDING\\22");
    if (is_backward) {
        put_product(h, "bmm1_grad_gemm1", 2, 1, 1, 2);
        put_product(h, "bmm1_grad_gemm2", 3, 1, 1, 2);
        put_product(h, "bmm2_grad_gemm1", 2, 1, 1, 2);
        put_product(h, "bmm2_grad_gemm2", 3, 3, 2, 2);
    } else {
        put_product(h, "bmm1", 3, 3, 2, 2);
        put_product(h, "bmm2", 3, 1, 1, 2);
    }
    hlo_put(h,
            ", \\22dropout_rate\\22: 0.0, \\22seed\\22: 42, \\22sliding_window_length\\22: 0, "
            "\\22max_seg_per_batch\\22: %" PRId64 ", \\22is_paged_attention\\22: false}}\"",
            sequences_a_row(s));
}

/* [T,H] -> [R,S,NH,D] */
static hlo_value with_heads(hlo_step *s, hlo_value x) {
    return hlo_shape(&s->h, x, s->R, s->S, s->NH, s->D);
}

static void add_sequences(hlo_step *s, hlo_call *c) {
    hlo_call_operand(c, s->seq_lengths);
    hlo_call_operand(c, s->seq_lengths);
    hlo_call_operand(c, s->seq_offsets);
    hlo_call_operand(c, s->seq_offsets);
}

/* [R,NH,S,D], in memory [R,S,NH,D] */
static void add_heads_result(hlo_step *s, hlo_call *c) {
    c->is_swapped[c->n_out] = true;
    hlo_call_result(&s->h, c, s->ct, HLO_DIMS(s->R, s->NH, s->S, s->D));
}

static hlo_call begin_call(hlo_step *s, hlo_value qkv) {
    hlo_call c = {.n_in = 0};
    for (int64_t i = 0; i < 3; i++) {
        const hlo_value part = hlo_slice(&s->h, qkv, 1, i, i + 1, 1);
        hlo_call_operand(&c, with_heads(s, hlo_shape(&s->h, part, s->T, s->H)));
    }
    return c;
}

static void end_call(hlo_step *s, hlo_call *c, bool is_backward) {
    hlo_call_result(&s->h, c, BT_DTYPE_U8, HLO_DIMS(0));
    hlo_call_begin(&s->h, c, is_backward ? "__cudnn$fmhaSoftmaxBackward" : "__cudnn$fmhaSoftmax");
    put_config(s, is_backward);
    hlo_call_end(&s->h, c);
}

/* A result as [T,H], 0 where there is no token. */
static hlo_value tokens_of(hlo_step *s, hlo_value result) {
    static const int32_t order[] = {0, 2, 1, 3};
    hlo *const           h = &s->h;
    const hlo_value      x = hlo_shape(h, hlo_transpose(h, result, order), s->T, s->H);
    return hlo_select(h, hlo_spread(h, s->is_token, x, 0), x, hlo_number(h, x.dtype, 0));
}

hlo_attention hlo_cudnn_forward(hlo_step *s, hlo_value qkv) {
    hlo_call c = begin_call(s, qkv);
    add_sequences(s, &c);
    add_heads_result(s, &c);
    hlo_call_result(&s->h, &c, BT_DTYPE_F32, HLO_DIMS(hlo_cudnn_sequences(s), s->NH, s->S));
    end_call(s, &c, false);
    return (hlo_attention){.context = tokens_of(s, c.out[0]), .max = c.out[1]};
}

hlo_value hlo_cudnn_backward(hlo_step *s, hlo_value d_context, hlo_value qkv,
                             const hlo_attention *a) {
    hlo *const h = &s->h;
    hlo_call   c = begin_call(s, qkv);
    hlo_value  parts[3];
    hlo_call_operand(&c, a->max);
    hlo_call_operand(&c, with_heads(s, hlo_kept(s, d_context)));
    hlo_call_operand(&c, with_heads(s, a->context));
    add_sequences(s, &c);
    for (int i = 0; i < 3; i++) {
        add_heads_result(s, &c);
    }
    end_call(s, &c, true);
    for (int i = 0; i < 3; i++) {
        parts[i] = hlo_shape(h, tokens_of(s, c.out[i]), s->T, 1, s->H);
    }
    return hlo_concatenate(h, parts, 3, 1);
}
