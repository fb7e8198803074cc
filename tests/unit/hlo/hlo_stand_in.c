/* SPDX-License-Identifier: Apache-2.0
 *
 * See hlo_stand_in.h. */
#include "hlo_stand_in.h"
#include "bt/base/alloc.h"

#include <math.h>
#include <string.h>

#include "hlo_text.h"
#include "test_support.h"

/* A function of the module being written: what hlo_flash.h says of a kernel. Letters: r row, q and
 * k slots in it, n head, d within a head. */
typedef struct stand_in {
    hlo       h;
    int64_t   R, S, N, D, T, W;
    bool      has_dropout;
    hlo_value q, k, v; /* [R,S,N,D] */
    hlo_value visible; /* [R,N,S,S] */
    hlo_value bias;    /* [R,N,S,S] */
    hlo_value kept;    /* [R,N,S,S] 0, or what a kept probability is multiplied by */
} stand_in;

static hlo_value argument(stand_in *f, bt_dtype dtype, int32_t rank, const int64_t *dims) {
    return hlo_argument(&f->h, dtype, rank, dims, -1);
}

static hlo_value part_of(stand_in *f, hlo_value qkv, int64_t part) {
    return hlo_shape(&f->h, hlo_slice(&f->h, qkv, 1, part, part + 1, 1), f->R, f->S, f->N, f->D);
}

static hlo_value like_scores(stand_in *f, bt_dtype dtype) {
    return hlo_new(&f->h, dtype, HLO_DIMS(f->R, f->N, f->S, f->S));
}

/* [T] over scores: of queries (axis 2) or keys (axis 3) */
static hlo_value over_scores(stand_in *f, hlo_value x, int32_t axis) {
    const int32_t axes[] = {0, axis};
    return hlo_broadcast(&f->h, hlo_shape(&f->h, x, f->R, f->S), like_scores(f, x.dtype), axes);
}

/* Bit k - first of a query's words; what is not of its sequence is not asked for. */
static hlo_value kept_of(stand_in *f, hlo_value bits, hlo_value firsts, double scale) {
    static const int32_t of_words[] = {0, 1, 2, 3};
    static const int32_t of_bits[] = {0, 1, 2, 4};
    static const int32_t heads_first[] = {0, 2, 1, 3};
    static const int32_t of_places[] = {0, 1, 2, 3};
    hlo *const           h = &f->h;
    const int64_t        n_bits = 32 * f->W;
    const hlo_value      single = hlo_new(h, BT_DTYPE_U32, HLO_DIMS(f->R, f->S, f->N, f->W, 32));
    const hlo_value      words =
        hlo_broadcast(h, hlo_shape(h, bits, f->R, f->S, f->N, f->W), single, of_words);
    hlo_value bit = hlo_binary(
        h, "and", hlo_binary(h, "shift_right_logical", words, hlo_iota(h, BT_DTYPE_U32, single, 4)),
        hlo_number(h, BT_DTYPE_U32, 1));
    bit = hlo_transpose(
        h, hlo_shape(h, hlo_convert(h, bit, BT_DTYPE_F32), f->R, f->S, f->N, n_bits), heads_first);
    const hlo_value like = hlo_new(h, BT_DTYPE_F32, HLO_DIMS(f->R, f->N, f->S, f->S, n_bits));
    const hlo_value place = hlo_sub(h, hlo_iota(h, BT_DTYPE_I32, like_scores(f, BT_DTYPE_I32), 3),
                                    over_scores(f, firsts, 2));
    const hlo_value is_it = hlo_compare(h, "EQ", hlo_broadcast(h, place, like, of_places),
                                        hlo_iota(h, BT_DTYPE_I32, like, 4));
    const hlo_value own =
        hlo_select(h, is_it, hlo_broadcast(h, bit, like, of_bits), hlo_fill(h, like, 0));
    return hlo_scaled(h, hlo_reduce(h, "add", own, 16), scale);
}

static void size_up(stand_in *f, const bt_model *m, const bt_hlo_config *c) {
    memset(f, 0, sizeof *f);
    hlo_init(&f->h, 1);
    f->R = c->n_rows;
    f->S = c->n_slots;
    f->T = f->R * f->S;
    f->N = m->encoder.num_attention_heads;
    f->D = m->encoder.hidden_size / f->N;
}

/* The arguments that both kernels begin with. */
static void begin(stand_in *f, const bt_model *m, const bt_hlo_config *c) {
    const float rate = c->what == BT_HLO_EVALUATE || c->what == BT_HLO_ENCODE
                           ? 0
                           : m->encoder.attention_dropout_rate;
    hlo *const  h = &f->h;
    size_up(f, m, c);
    f->W = (c->n_longest + 31) / 32;
    f->has_dropout = rate > 0;
    const hlo_value qkv = argument(f, BT_DTYPE_F32, HLO_DIMS(f->T, 3, f->N * f->D));
    const hlo_value segments = argument(f, BT_DTYPE_I32, 1, &f->T);
    const hlo_value firsts = argument(f, BT_DTYPE_I32, 1, &f->T);
    const hlo_value behinds = argument(f, BT_DTYPE_I32, 1, &f->T);
    f->q = part_of(f, qkv, 0);
    f->k = part_of(f, qkv, 1);
    f->v = part_of(f, qkv, 2);
    const hlo_value key = hlo_iota(h, BT_DTYPE_I32, like_scores(f, BT_DTYPE_I32), 3);
    f->visible = hlo_binary(
        h, "and", hlo_compare(h, "EQ", over_scores(f, segments, 2), over_scores(f, segments, 3)),
        hlo_binary(h, "and", hlo_compare(h, "GE", key, over_scores(f, firsts, 2)),
                   hlo_compare(h, "LT", key, over_scores(f, behinds, 2))));
    f->bias = c->has_key_mask ? over_scores(f, argument(f, BT_DTYPE_F32, 1, &f->T), 3)
                              : hlo_fill(h, like_scores(f, BT_DTYPE_F32), 0);
    f->kept = hlo_fill(h, like_scores(f, BT_DTYPE_F32), 1);
    if (f->has_dropout) {
        const hlo_value bits = argument(f, BT_DTYPE_U32, HLO_DIMS(f->T, f->N, f->W));
        f->kept = kept_of(f, bits, firsts, 1 / (1 - (double)rate));
    }
}

static hlo_value scores_of(stand_in *f) {
    hlo *const      h = &f->h;
    const hlo_value product = hlo_einsum(h, "rqnd,rknd->rnqk", f->q, f->k, BT_DTYPE_F32);
    const hlo_value scores = hlo_add(h, hlo_scaled(h, product, 1 / sqrt((double)f->D)), f->bias);
    return hlo_select(h, f->visible, scores, hlo_number(h, BT_DTYPE_F32, -3e38));
}

/* e^(scores - max), from [R,N,S] */
static hlo_value weights_of(stand_in *f, hlo_value max) {
    const hlo_value scores = scores_of(f);
    return hlo_unary(&f->h, "exponential",
                     hlo_sub(&f->h, scores, hlo_spread(&f->h, max, scores, 0)));
}

static void end(stand_in *f, const char *name, const hlo_value *results, size_t n, bt_str *out) {
    static const char main_name[] = "func.func public @main";
    bt_str            module = BT_STR_INIT;
    assert_ok(hlo_finish(&f->h, results, n, &module, err));
    const char *const text = bt_str_text(&module);
    const char *const start = strstr(text, main_name);
    const char *const stop = strrchr(text, '}');
    assert_non_null(start);
    assert_ok(bt_str_appendf(out, err, "  func.func private @%s%.*s", name,
                             (int)(stop - start) - (int)strlen(main_name),
                             start + strlen(main_name)));
    bt_str_deinit(&module);
    hlo_deinit(&f->h);
}

static void add_forward(const bt_model *m, const bt_hlo_config *c, bt_str *out) {
    stand_in f;
    begin(&f, m, c);
    hlo *const      h = &f.h;
    const hlo_value max = hlo_reduce(h, "maximum", scores_of(&f), 8);
    const hlo_value e = weights_of(&f, max);
    const hlo_value sum = hlo_reduce(h, "add", e, 8);
    const hlo_value inverse = hlo_div(h, hlo_fill(h, sum, 1), sum);
    const hlo_value p = hlo_mul(h, hlo_mul(h, e, hlo_spread(h, inverse, e, 0)), f.kept);
    const hlo_value context = hlo_einsum(h, "rnqk,rknd->rqnd", p, f.v, BT_DTYPE_F32);
    const hlo_value results[3] = {hlo_shape(h, context, f.T, f.N * f.D), max, inverse};
    end(&f, "bert_attention_forward", results, 3, out);
}

static void add_backward(const bt_model *m, const bt_hlo_config *c, bt_str *out) {
    stand_in f;
    begin(&f, m, c);
    hlo *const      h = &f.h;
    const double    root = 1 / sqrt((double)f.D);
    const hlo_value d =
        hlo_shape(h, argument(&f, BT_DTYPE_F32, HLO_DIMS(f.T, f.N * f.D)), f.R, f.S, f.N, f.D);
    const hlo_value max = argument(&f, BT_DTYPE_F32, HLO_DIMS(f.R, f.N, f.S));
    const hlo_value inverse = argument(&f, BT_DTYPE_F32, HLO_DIMS(f.R, f.N, f.S));
    const hlo_value along = argument(&f, BT_DTYPE_F32, HLO_DIMS(f.R, f.N, f.S));
    const hlo_value e = weights_of(&f, max);
    const hlo_value p = hlo_mul(h, e, hlo_spread(h, inverse, e, 0));
    const hlo_value d_p =
        hlo_mul(h, hlo_einsum(h, "rqnd,rknd->rnqk", d, f.v, BT_DTYPE_F32), f.kept);
    const hlo_value d_scores =
        hlo_scaled(h, hlo_mul(h, p, hlo_sub(h, d_p, hlo_spread(h, along, p, 0))), root);
    const hlo_value parts[3] = {
        hlo_shape(h, hlo_einsum(h, "rnqk,rknd->rqnd", d_scores, f.k, BT_DTYPE_F32), f.T, 1,
                  f.N * f.D),
        hlo_shape(h, hlo_einsum(h, "rnqk,rqnd->rknd", d_scores, f.q, BT_DTYPE_F32), f.T, 1,
                  f.N * f.D),
        hlo_shape(h, hlo_einsum(h, "rnqk,rqnd->rknd", hlo_mul(h, p, f.kept), d, BT_DTYPE_F32), f.T,
                  1, f.N * f.D)};
    const hlo_value d_qkv = hlo_concatenate(h, parts, 3, 1);
    end(&f, "bert_attention_backward", &d_qkv, 1, out);
}

/* cuDNN.
 * Sequences are a list of G, with their first elements in ascending order and their lengths. What
 * is of no sequence is not a number in results. */

/* [R,M] lengths twice, [R,M+1] first elements twice: where slots see each other */
static void read_sequences(stand_in *f, int64_t M) {
    hlo *const      h = &f->h;
    const int64_t   G = f->R * M;
    const hlo_value lengths = hlo_shape(h, argument(f, BT_DTYPE_I32, HLO_DIMS(f->R, M)), G);
    (void)argument(f, BT_DTYPE_I32, HLO_DIMS(f->R, M));
    const hlo_value offsets =
        hlo_shape(h, argument(f, BT_DTYPE_I32, HLO_DIMS(f->R, M + 1)), G + f->R);
    (void)argument(f, BT_DTYPE_I32, HLO_DIMS(f->R, M + 1));
    const hlo_value starts =
        hlo_div(h, offsets, hlo_fill(h, offsets, (double)(f->N * f->D))); /* slots */
    const hlo_value like = hlo_new(h, BT_DTYPE_I32, HLO_DIMS(G, f->T));
    const hlo_value slot = hlo_iota(h, BT_DTYPE_I32, like, 1);
    const hlo_value from = hlo_spread(h, hlo_slice(h, starts, 0, 0, G, 1), like, 0);
    const hlo_value is_in =
        hlo_binary(h, "and", hlo_compare(h, "GE", slot, from),
                   hlo_compare(h, "LT", slot, hlo_add(h, from, hlo_spread(h, lengths, like, 0))));
    const hlo_value numbers = hlo_plus(h, hlo_iota(h, BT_DTYPE_I32, like, 0), 1);
    const hlo_value own =
        hlo_reduce(h, "add", hlo_select(h, is_in, numbers, hlo_fill(h, numbers, 0)), 1);
    f->visible = hlo_compare(h, "EQ", over_scores(f, own, 2), over_scores(f, own, 3));
    f->bias = hlo_fill(h, like_scores(f, BT_DTYPE_F32), 0);
    const hlo_value n = hlo_shape(h, starts, G + f->R);
    const hlo_value is_ascending =
        hlo_reduce(h, "and",
                   hlo_compare(h, "LE", hlo_slice(h, n, 0, 0, G + f->R - 1, 1),
                               hlo_slice(h, n, 0, 1, G + f->R, 1)),
                   1);
    const hlo_value zero = hlo_fill_as(h, BT_DTYPE_F32, own, 0);
    const hlo_value is_known = hlo_binary(h, "and", hlo_compare(h, "GT", own, hlo_fill(h, own, 0)),
                                          hlo_broadcast(h, is_ascending, own, NULL));
    f->kept = hlo_select(h, is_known, zero, hlo_div(h, zero, zero)); /* [T] 0, or no number */
}

/* [R,S,N,D] as [R,N,S,D], and no numbers where nothing is written */
static hlo_value written(stand_in *f, hlo_value x) {
    static const int32_t order[] = {0, 2, 1, 3};
    static const int32_t of_slots[] = {0, 1};
    hlo *const           h = &f->h;
    const hlo_value      none = hlo_shape(h, f->kept, f->R, f->S);
    return hlo_transpose(h, hlo_add(h, x, hlo_broadcast(h, none, x, of_slots)), order);
}

static hlo_value heads_argument(stand_in *f) {
    return argument(f, BT_DTYPE_F32, HLO_DIMS(f->R, f->S, f->N, f->D));
}

static hlo_value softmax(stand_in *f) {
    hlo *const      h = &f->h;
    const hlo_value e = weights_of(f, hlo_reduce(h, "maximum", scores_of(f), 8));
    return hlo_div(h, e, hlo_spread(h, hlo_reduce(h, "add", e, 8), e, 0));
}

static hlo_value workspace(stand_in *f) {
    return hlo_zeros(&f->h, BT_DTYPE_U8, HLO_DIMS(0));
}

static const double some_statistic = 7;

static void add_cudnn_forward(const bt_model *m, const bt_hlo_config *c, int64_t M, bt_str *out) {
    stand_in f;
    size_up(&f, m, c);
    hlo *const h = &f.h;
    f.q = heads_argument(&f);
    f.k = heads_argument(&f);
    f.v = heads_argument(&f);
    read_sequences(&f, M);
    const hlo_value context = hlo_einsum(h, "rnqk,rknd->rqnd", softmax(&f), f.v, BT_DTYPE_F32);
    const hlo_value statistics =
        hlo_fill(h, hlo_new(h, BT_DTYPE_F32, HLO_DIMS(f.R * M, f.N, f.S)), some_statistic);
    const hlo_value results[3] = {written(&f, context), statistics, workspace(&f)};
    end(&f, "cudnn_forward", results, 3, out);
}

static void add_cudnn_backward(const bt_model *m, const bt_hlo_config *c, int64_t M, bt_str *out) {
    stand_in f;
    size_up(&f, m, c);
    hlo *const   h = &f.h;
    const double root = 1 / sqrt((double)f.D);
    f.q = heads_argument(&f);
    f.k = heads_argument(&f);
    f.v = heads_argument(&f);
    const hlo_value statistics = argument(&f, BT_DTYPE_F32, HLO_DIMS(f.R * M, f.N, f.S));
    const hlo_value is_forwards = hlo_reduce(
        h, "and", hlo_compare(h, "EQ", statistics, hlo_fill(h, statistics, some_statistic)), 7);
    const hlo_value given = heads_argument(&f);
    const hlo_value d = hlo_select(h, is_forwards, given, hlo_fill(h, given, 0));
    const hlo_value context = heads_argument(&f);
    read_sequences(&f, M);
    const hlo_value p = softmax(&f);
    const hlo_value along = hlo_transpose(h, hlo_reduce(h, "add", hlo_mul(h, d, context), 8),
                                          (const int32_t[]){0, 2, 1});
    const hlo_value d_p = hlo_einsum(h, "rqnd,rknd->rnqk", d, f.v, BT_DTYPE_F32);
    const hlo_value d_scores =
        hlo_scaled(h, hlo_mul(h, p, hlo_sub(h, d_p, hlo_spread(h, along, p, 0))), root);
    const hlo_value results[4] = {
        written(&f, hlo_einsum(h, "rnqk,rknd->rqnd", d_scores, f.k, BT_DTYPE_F32)),
        written(&f, hlo_einsum(h, "rnqk,rqnd->rknd", d_scores, f.q, BT_DTYPE_F32)),
        written(&f, hlo_einsum(h, "rnqk,rqnd->rknd", p, d, BT_DTYPE_F32)), workspace(&f)};
    end(&f, "cudnn_backward", results, 4, out);
}

/* The function that stands for a target: one of Triton's has its name among the attributes. */
static void put_name(bt_str *out, const char *target, const char *attributes) {
    static const char named[] = "name = \"";
    if (strncmp(target, "__cudnn$fmhaSoftmax", 19) == 0) {
        assert_ok(bt_str_append(out, target[19] == '(' ? "cudnn_forward" : "cudnn_backward", err));
        return;
    }
    const char *const name = strstr(attributes, named) + strlen(named);
    assert_ok(bt_str_appendf(out, err, "%.*s", (int)strcspn(name, "\""), name));
}

/* The text with calls of functions in place of custom calls. */
static int replace_calls(const char *text, bt_str *out) {
    static const char call[] = "stablehlo.custom_call @";
    static const char layouts[] = "result_layouts = [";
    int               n = 0;
    for (;; n++) {
        const char *const at = strstr(text, call);
        if (at == NULL) {
            assert_ok(bt_str_append(out, text, err));
            return n;
        }
        const char *const target = at + strlen(call);
        const char *const operands = strchr(target, '(');
        const char *const close = strchr(operands, ')');
        assert_ok(bt_str_appendf(out, err, "%.*sfunc.call @", (int)(at - text), text));
        put_name(out, target, close);
        assert_ok(bt_str_appendf(out, err, "%.*s)", (int)(close - operands), operands));
        text = strstr(strstr(close, layouts), "]} : ") + 2;
    }
}

void hlo_stand_in(bt_hlo_program *program, const bt_model *model, const bt_hlo_config *config) {
    bt_str        functions = BT_STR_INIT;
    bt_str        text = BT_STR_INIT;
    const int64_t M = (config->n_seqs + config->n_rows - 1) / config->n_rows;
    assert_true(replace_calls(program->text, &text) > 0);
    if (config->attention == BT_ATTENTION_CUDNN) {
        add_cudnn_forward(model, config, M > 2 ? M : 2, &functions);
        add_cudnn_backward(model, config, M > 2 ? M : 2, &functions);
    } else {
        add_forward(model, config, &functions);
        add_backward(model, config, &functions);
    }
    text.len = (size_t)(strrchr(text.data, '}') - text.data);
    text.data[text.len] = '\0';
    assert_ok(bt_str_appendf(&text, err, "%s}\n", bt_str_text(&functions)));
    bt_free(program->text);
    program->n_bytes = text.len;
    program->text = bt_str_take(&text);
    bt_str_deinit(&functions);
}
