/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention by our kernels (hlo_flash.h), as custom calls of XLA's CUDA plug-ins. What they need to
 * know of the rows is made once a program; dropout's bits once a layer. */
#include <string.h>

#include "hlo_flash.h"
#include "hlo_internal.h"

enum { MAX_OPERANDS = 12, MAX_RESULTS = 3 };

static const double masked_score = -1.0e9; /* as in hlo_attention.c */

static hlo_flash_shape shape_of(const bt_model *m, const bt_hlo_config *c) {
    return (hlo_flash_shape){.n_rows = c->n_rows,
                             .n_slots = c->n_slots,
                             .n_heads = m->encoder.num_attention_heads,
                             .head_size = m->encoder.hidden_size / m->encoder.num_attention_heads,
                             .has_bias = c->has_key_mask,
                             .n_words = hlo_attention_words(c)};
}

static bool has_kernel(const bt_model *model, const bt_hlo_config *config) {
    const hlo_flash_shape shape = shape_of(model, config);
    return hlo_flash_fits(&shape);
}

bt_status hlo_attention_check(const bt_model *m, const bt_hlo_config *c, bt_error *err) {
    if (c->attention == BT_ATTENTION_AUTO) {
        return BT_FAIL(err, BT_E_INTERNAL, "a program for which nobody chose the attention");
    }
    if (c->attention == BT_ATTENTION_TRITON && !has_kernel(m, c)) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "runtime.attention: triton: there is no kernel for %" PRId64
                       " rows of %" PRId64 " slots and %" PRId64 " attention heads of %" PRId64
                       " (at most %d): set it to auto or xla",
                       c->n_rows, c->n_slots, m->encoder.num_attention_heads,
                       m->encoder.hidden_size / m->encoder.num_attention_heads,
                       (int)HLO_FLASH_MAX_HEAD_SIZE);
    }
    return BT_OK;
}

/* Only dropout's bits read it, by whole words: else programs would differ by nothing. */
static void settle_longest(const bt_model *model, bt_hlo_config *config) {
    const bool drops = config->what == BT_HLO_TRAIN || config->what == BT_HLO_GRADIENTS ||
                       config->what == BT_HLO_ACCUMULATE;
    config->n_longest = drops && model->encoder.attention_dropout_rate > 0 &&
                                config->attention == BT_ATTENTION_TRITON
                            ? 32 * hlo_attention_words(config)
                            : 0;
}

bt_status bt_hlo_attention_choose(const bt_model *model, bt_attention asked, const char *platform,
                                  bt_hlo_config *config, bt_error *err) {
    const bool is_cuda = strcmp(platform, "cuda") == 0;
    if (asked == BT_ATTENTION_TRITON && !is_cuda) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "runtime.attention: triton: these kernels are for GPUs of the platform "
                       "cuda, and this is %s: set it to auto",
                       platform);
    }
    config->attention = asked != BT_ATTENTION_AUTO             ? asked
                        : is_cuda && has_kernel(model, config) ? BT_ATTENTION_TRITON
                                                               : BT_ATTENTION_XLA;
    BT_TRY(hlo_attention_check(model, config, err));
    settle_longest(model, config);
    return BT_OK;
}

static hlo_flash_shape shape_of_step(const hlo_step *s) {
    hlo_flash_shape shape = shape_of(s->model, &s->config);
    shape.dtype = s->ct;
    shape.has_dropout = hlo_drops_attention(s);
    shape.scale = (double)(1 / (1 - s->model->encoder.attention_dropout_rate));
    return shape;
}

bool hlo_attention_has_bits(const hlo_step *s) {
    return s->config.attention == BT_ATTENTION_TRITON && hlo_drops_attention(s);
}

/* ---- once a program -----------------------------------------------------------------------------
 */

/* [T]: over the slots of the same sequence, the smallest (op: minimum) or largest of slot + plus.
 */
static hlo_value slot_of_sequence(hlo_step *s, const char *op, int64_t plus, int64_t other) {
    static const int32_t of_query[] = {0, 1};
    static const int32_t of_key[] = {0, 2};
    hlo *const           h = &s->h;
    const hlo_value      segments = s->args[BT_HLO_SEGMENTS];
    const hlo_value      like = hlo_new(h, BT_DTYPE_I32, HLO_DIMS(s->R, s->S, s->S));
    const hlo_value      same = hlo_compare(h, "EQ", hlo_broadcast(h, segments, like, of_query),
                                            hlo_broadcast(h, segments, like, of_key));
    const hlo_value      slot = hlo_plus(h, hlo_iota(h, BT_DTYPE_I32, like, 2), (double)plus);
    const hlo_value      own = hlo_select(h, same, slot, hlo_fill(h, slot, (double)other));
    return hlo_shape(h, hlo_reduce(h, op, own, 4), s->T);
}

void hlo_attention_prepare(hlo_step *s) {
    hlo *const h = &s->h;
    if (s->config.attention != BT_ATTENTION_TRITON || s->config.what == BT_HLO_UPDATE) {
        return;
    }
    s->seq_first = slot_of_sequence(s, "minimum", 0, s->S);
    s->seq_behind = slot_of_sequence(s, "maximum", 1, 0);
    if (s->config.has_key_mask) {
        const hlo_value mask = hlo_f32(s, hlo_shape(h, s->args[BT_HLO_KEY_MASK], s->T));
        s->key_bias = hlo_scaled(h, hlo_sub(h, hlo_fill(h, mask, 1), mask), masked_score);
    }
}

/* ---- the call -----------------------------------------------------------------------------------
 */

typedef struct call {
    hlo_value in[MAX_OPERANDS], out[MAX_RESULTS]; /* of out, shape and dtype */
    int32_t   n_in, n_out;
} call;

static void add_operand(call *c, hlo_value x) {
    c->in[c->n_in++] = x;
}

static void add_result(hlo_step *s, call *c, bt_dtype dtype, int32_t rank, const int64_t *dims) {
    c->out[c->n_out++] = hlo_new(&s->h, dtype, rank, dims);
}

/* Text within a text of StableHLO. */
static void put_quoted(hlo *h, const char *text) {
    char   piece[256];
    size_t n = 0;
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\n' || *text == '\\') {
            static const char digits[] = "0123456789ABCDEF";
            piece[n++] = '\\';
            piece[n++] = digits[(unsigned char)*text >> 4];
            piece[n++] = digits[(unsigned char)*text & 15];
        } else {
            piece[n++] = *text;
        }
        if (n + 4 > sizeof piece || text[1] == '\0') {
            piece[n] = '\0';
            hlo_put_text(h, piece);
            n = 0;
        }
    }
}

/* "[dense<[1, 0]> : tensor<2xindex>, ...]": the last axis is that of neighbours */
static void put_layouts(hlo *h, const hlo_value *values, int32_t n) {
    hlo_put(h, "[");
    for (int32_t i = 0; i < n; i++) {
        hlo_put(h, "%sdense<[", i > 0 ? ", " : "");
        for (int32_t axis = values[i].rank - 1; axis >= 0; axis--) {
            hlo_put(h, "%" PRId32 "%s", axis, axis > 0 ? ", " : "");
        }
        hlo_put(h, "]> : tensor<%" PRId32 "xindex>", values[i].rank);
    }
    hlo_put(h, "]");
}

static void put_types(hlo *h, const hlo_value *values, int32_t n) {
    hlo_put(h, "(");
    for (int32_t i = 0; i < n; i++) {
        hlo_put(h, "%s", i > 0 ? ", " : "");
        hlo_put_type(h, values[i]);
    }
    hlo_put(h, ")");
}

static void put_attributes(hlo *h, const call *c, const hlo_kernel *k) {
    hlo_put(h,
            ") {backend_config = \"\", mhlo.backend_config = {debug = false, grid_x = %" PRId64
            " : i32, grid_y = %" PRId64 " : i32, grid_z = %" PRId64 " : i32, ir = \"",
            k->grid[0], k->grid[1], k->grid[2]);
    put_quoted(h, bt_str_text(&k->text));
    hlo_put(h,
            "\", name = \"%s\", num_stages = %" PRId32 " : i32, num_warps = %" PRId32
            " : i32}, operand_layouts = ",
            k->name, k->n_stages, k->n_warps);
    put_layouts(h, c->in, c->n_in);
    hlo_put(h, ", result_layouts = ");
    put_layouts(h, c->out, c->n_out);
    hlo_put(h, "} : ");
}

/* c->out are its results afterwards. */
static void call_kernel(hlo_step *s, call *c, hlo_kernel *k) {
    hlo *const    h = &s->h;
    const int32_t id = h->n_values++;
    hlo_put_line(h);
    hlo_put(h, "%%v%" PRId32 ":%" PRId32 " = stablehlo.custom_call @__gpu$xla.gpu.triton(", id,
            c->n_out);
    for (int32_t i = 0; i < c->n_in; i++) {
        hlo_put(h, "%s", i > 0 ? ", " : "");
        hlo_put_value(h, c->in[i]);
    }
    put_attributes(h, c, k);
    put_types(h, c->in, c->n_in);
    hlo_put(h, " -> ");
    put_types(h, c->out, c->n_out);
    for (int32_t i = 0; i < c->n_out; i++) {
        c->out[i].id = id;
        c->out[i].part = i;
    }
    bt_str_deinit(&k->text);
}

/* Those that both kernels begin with. */
static call begin_call(hlo_step *s, hlo_value qkv, hlo_value bits) {
    call c = {.n_in = 0};
    add_operand(&c, qkv);
    add_operand(&c, hlo_shape(&s->h, s->args[BT_HLO_SEGMENTS], s->T));
    add_operand(&c, s->seq_first);
    add_operand(&c, s->seq_behind);
    if (s->config.has_key_mask) {
        add_operand(&c, s->key_bias);
    }
    if (hlo_attention_has_bits(s)) {
        add_operand(&c, bits);
    }
    return c;
}

hlo_attention hlo_attention_gpu_forward(hlo_step *s, hlo_value qkv, hlo_key key) {
    const hlo_flash_shape shape = shape_of_step(s);
    hlo_attention         a = {0};
    hlo_kernel            kernel = {.text = BT_STR_INIT};
    bt_error              err = BT_ERROR_INIT;
    if (shape.has_dropout) {
        a.bits = hlo_attention_bits(s, key, s->model->encoder.attention_dropout_rate);
    }
    call            c = begin_call(s, qkv, a.bits);
    const bt_status rc = hlo_flash_forward(&shape, &kernel, &err);
    if (rc != BT_OK) {
        hlo_fail(&s->h, rc, "%s", err.msg);
    }
    add_result(s, &c, s->ct, HLO_DIMS(s->T, s->H));
    add_result(s, &c, BT_DTYPE_F32, HLO_DIMS(s->R, s->NH, s->S));
    add_result(s, &c, BT_DTYPE_F32, HLO_DIMS(s->R, s->NH, s->S));
    call_kernel(s, &c, &kernel);
    a.context = c.out[0];
    a.max = c.out[1];
    a.inv_sum = c.out[2];
    return a;
}

/* [R,NH,S]: what every gradient of a row of probabilities has in common */
static hlo_value along_context(hlo_step *s, hlo_value context, hlo_value d_context) {
    static const int32_t order[] = {0, 2, 1};
    hlo *const           h = &s->h;
    const hlo_value      both = hlo_mul(h, hlo_f32(s, context), hlo_f32(s, d_context));
    const hlo_value      sum = hlo_reduce(h, "add", hlo_shape(h, both, s->R, s->S, s->NH, s->D), 8);
    return hlo_transpose(h, sum, order);
}

hlo_value hlo_attention_gpu_backward(hlo_step *s, hlo_value d_context, hlo_value qkv,
                                     const hlo_attention *a) {
    const hlo_flash_shape shape = shape_of_step(s);
    const hlo_value       d = hlo_kept(s, d_context);
    hlo_kernel            kernel = {.text = BT_STR_INIT};
    bt_error              err = BT_ERROR_INIT;
    call                  c = begin_call(s, qkv, a->bits);
    const bt_status       rc = hlo_flash_backward(&shape, &kernel, &err);
    if (rc != BT_OK) {
        hlo_fail(&s->h, rc, "%s", err.msg);
    }
    add_operand(&c, d);
    add_operand(&c, a->max);
    add_operand(&c, a->inv_sum);
    add_operand(&c, along_context(s, a->context, d));
    add_result(s, &c, s->ct, HLO_DIMS(s->T, 3, s->H));
    call_kernel(s, &c, &kernel);
    return c.out[0];
}
