/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention by our kernels (hlo_flash.h), as custom calls of XLA's CUDA plug-ins. What they need to
 * know of the rows is made once a program; dropout's bits once a layer. */
#include <inttypes.h>
#include <string.h>

#include "hlo_custom.h"
#include "hlo_flash.h"
#include "hlo_internal.h"

static const double masked_score = -1.0e9; /* as in hlo_attention.c */

static hlo_flash_shape shape_of(const bt_model *m, const bt_hlo_config *c) {
    return (hlo_flash_shape){.n_rows = c->n_rows,
                             .n_slots = c->n_slots,
                             .n_heads = m->encoder.num_attention_heads,
                             .head_size = m->encoder.hidden_size / m->encoder.num_attention_heads,
                             .dtype = hlo_dtype_of(c->precision),
                             .has_bias = c->has_key_mask,
                             .n_words = hlo_attention_words(c)};
}

static bool has_kernel(const bt_model *model, const bt_hlo_config *config) {
    const hlo_flash_shape shape = shape_of(model, config);
    return hlo_flash_fits(&shape);
}

static bool trains_with_dropout(const bt_model *model, const bt_hlo_config *config) {
    const bool trains = config->what == BT_HLO_TRAIN || config->what == BT_HLO_GRADIENTS ||
                        config->what == BT_HLO_ACCUMULATE;
    return trains && model->encoder.attention_dropout_rate > 0;
}

static bt_status check_triton(const bt_model *m, const bt_hlo_config *c, bt_error *err) {
    return has_kernel(m, c)
               ? BT_OK
               : BT_FAIL(err, BT_E_UNSUPPORTED,
                         "runtime.attention: triton: there is no kernel for %" PRId64
                         " rows of %" PRId64 " slots and %" PRId64 " attention heads of %" PRId64
                         " (at most %d, in float32 %d): set it to auto or xla",
                         c->n_rows, c->n_slots, m->encoder.num_attention_heads,
                         m->encoder.hidden_size / m->encoder.num_attention_heads,
                         (int)HLO_FLASH_MAX_HEAD_SIZE, (int)HLO_FLASH_MAX_HEAD_SIZE_F32);
}

static bt_status check_cudnn(const bt_model *m, const bt_hlo_config *c, bt_error *err) {
    enum { MAX_HEAD_SIZE = 128, HEAD_STEP = 8 };
    const int64_t head_size = m->encoder.hidden_size / m->encoder.num_attention_heads;
    if (trains_with_dropout(m, c)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "runtime.attention: cudnn: its dropout draws other masks than every other "
                       "engine: set the encoder's attention_dropout_rate to 0, or this to auto");
    }
    if (head_size > MAX_HEAD_SIZE || head_size % HEAD_STEP != 0) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "runtime.attention: cudnn: attention heads of %" PRId64
                       ", but it takes multiples of %d up to %d: set it to auto",
                       head_size, (int)HEAD_STEP, (int)MAX_HEAD_SIZE);
    }
    return c->has_key_mask ? BT_FAIL(err, BT_E_INTERNAL, "masked keys for cuDNN") : BT_OK;
}

bt_status hlo_attention_check(const bt_model *m, const bt_hlo_config *c, bt_error *err) {
    switch (c->attention) {
    case BT_ATTENTION_XLA:
        return BT_OK;
    case BT_ATTENTION_AUTO:
        break;
    case BT_ATTENTION_TRITON:
        return check_triton(m, c, err);
    case BT_ATTENTION_CUDNN:
        return check_cudnn(m, c, err);
    }
    return BT_FAIL(err, BT_E_INTERNAL, "a program for which nobody chose the attention");
}

/* What is asked for by name is for these devices and numbers. */
static bt_status check_asked(bt_attention asked, const char *platform, const bt_hlo_config *config,
                             bt_error *err) {
    if (asked != BT_ATTENTION_TRITON && asked != BT_ATTENTION_CUDNN) {
        return BT_OK;
    }
    if (strcmp(platform, "cuda") != 0) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "runtime.attention: %s: its kernels are for GPUs of the platform cuda, and "
                       "this is %s: set it to auto",
                       asked == BT_ATTENTION_TRITON ? "triton" : "cudnn", platform);
    }
    if (asked == BT_ATTENTION_CUDNN && config->precision == BT_PRECISION_F32) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "runtime.attention: cudnn: it multiplies bfloat16 or float16: set "
                       "runtime.mixed_precision_dtype to one of them, or this to auto");
    }
    return BT_OK;
}

bt_status bt_hlo_attention_choose(const bt_model *model, bt_attention asked, const char *platform,
                                  bt_hlo_config *config, bt_error *err) {
    /* float32 is chosen to get the matrix products of the other engines */
    const bool has_better = strcmp(platform, "cuda") == 0 &&
                            config->precision != BT_PRECISION_F32 && has_kernel(model, config);
    BT_TRY(check_asked(asked, platform, config, err));
    config->attention = asked;
    if (asked == BT_ATTENTION_AUTO) {
        config->attention = has_better ? BT_ATTENTION_TRITON : BT_ATTENTION_XLA;
    } else if (asked == BT_ATTENTION_CUDNN && config->has_key_mask) {
        config->attention = BT_ATTENTION_TRITON; /* cuDNN's packed form has no place for masks */
    }
    BT_TRY(hlo_attention_check(model, config, err));
    /* only dropout's bits read it, by whole words: else programs would differ by nothing */
    const bool has_bits =
        config->attention == BT_ATTENTION_TRITON && trains_with_dropout(model, config);
    config->n_longest = has_bits ? 32 * hlo_attention_words(config) : 0;
    return BT_OK;
}

static hlo_flash_shape shape_of_step(const hlo_step *s) {
    hlo_flash_shape shape = shape_of(s->model, &s->config);
    shape.has_dropout = hlo_drops_attention(s);
    shape.scale = (double)(1 / (1 - s->model->encoder.attention_dropout_rate));
    return shape;
}

bool hlo_attention_has_bits(const hlo_step *s) {
    return s->config.attention == BT_ATTENTION_TRITON && hlo_drops_attention(s);
}

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
    if (s->config.attention == BT_ATTENTION_CUDNN && s->config.what != BT_HLO_UPDATE) {
        hlo_cudnn_prepare(s);
    }
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

/* call->out are its results afterwards. */
static void call_kernel(hlo_step *s, hlo_call *c, hlo_kernel *k) {
    hlo *const h = &s->h;
    hlo_call_begin(h, c, "__gpu$xla.gpu.triton");
    hlo_put(h,
            "backend_config = \"\", mhlo.backend_config = {debug = false, grid_x = %" PRId64
            " : i32, grid_y = %" PRId64 " : i32, grid_z = %" PRId64 " : i32, ir = \"",
            k->grid[0], k->grid[1], k->grid[2]);
    hlo_put_quoted(h, bt_str_text(&k->text));
    hlo_put(h, "\", name = \"%s\", num_stages = %" PRId32 " : i32, num_warps = %" PRId32 " : i32}",
            k->name, k->n_stages, k->n_warps);
    hlo_call_end(h, c);
    bt_str_deinit(&k->text);
}

/* Those that both kernels begin with. */
static hlo_call begin_call(hlo_step *s, hlo_value qkv, hlo_value bits) {
    hlo_call c = {.n_in = 0};
    hlo_call_operand(&c, qkv);
    hlo_call_operand(&c, hlo_shape(&s->h, s->args[BT_HLO_SEGMENTS], s->T));
    hlo_call_operand(&c, s->seq_first);
    hlo_call_operand(&c, s->seq_behind);
    if (s->config.has_key_mask) {
        hlo_call_operand(&c, s->key_bias);
    }
    if (hlo_attention_has_bits(s)) {
        hlo_call_operand(&c, bits);
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
    hlo_call        c = begin_call(s, qkv, a.bits);
    const bt_status rc = hlo_flash_forward(&shape, &kernel, &err);
    if (rc != BT_OK) {
        hlo_fail(&s->h, rc, "%s", err.msg);
    }
    hlo_call_result(&s->h, &c, s->ct, HLO_DIMS(s->T, s->H));
    hlo_call_result(&s->h, &c, BT_DTYPE_F32, HLO_DIMS(s->R, s->NH, s->S));
    hlo_call_result(&s->h, &c, BT_DTYPE_F32, HLO_DIMS(s->R, s->NH, s->S));
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
    hlo_call              c = begin_call(s, qkv, a->bits);
    const bt_status       rc = hlo_flash_backward(&shape, &kernel, &err);
    if (rc != BT_OK) {
        hlo_fail(&s->h, rc, "%s", err.msg);
    }
    hlo_call_operand(&c, d);
    hlo_call_operand(&c, a->max);
    hlo_call_operand(&c, a->inv_sum);
    hlo_call_operand(&c, along_context(s, a->context, d));
    hlo_call_result(&s->h, &c, s->ct, HLO_DIMS(s->T, 3, s->H));
    call_kernel(s, &c, &kernel);
    return c.out[0];
}
