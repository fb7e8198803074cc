/* SPDX-License-Identifier: Apache-2.0
 *
 * Every kernel on arrays that end where a page without access begins, in all sizes around those of
 * vectors: a read or a write too far ends the program. The same arrays at the start of a page must
 * then hold the same bits: where numbers lie changes nothing. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bt/base/bf16.h"
#include "bt/kern.h"
#include "bt/kern/int8.h"
#include "kern_test_data.h"

enum { N_SLOTS = 10, MOST = 70, ROWS = 3, DEEP = 37 };

/* Arrays of one call, the first to be asked for in the first slot; they are filled alike each time.
 */
typedef struct room {
    unsigned char *slots[N_SLOTS];
    size_t         sizes[N_SLOTS];
    int            n_used;
    bool           is_at_end;
} room;

static size_t slot_bytes, page_bytes;

static void open_room(room *r) {
    memset(r, 0, sizeof *r);
    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    slot_bytes = (sizeof(float) * 96 * 192 / page_bytes + 1) * page_bytes;
    for (int i = 0; i < N_SLOTS; i++) {
        r->slots[i] = mmap(NULL, slot_bytes + page_bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(r->slots[i] != MAP_FAILED);
        assert_int_equal(mprotect(r->slots[i] + slot_bytes, page_bytes, PROT_NONE), 0);
    }
}

static void close_room(room *r) {
    for (int i = 0; i < N_SLOTS; i++) {
        assert_int_equal(munmap(r->slots[i], slot_bytes + page_bytes), 0);
    }
}

static void *bytes_at(const room *r, int slot) {
    return r->slots[slot] + (r->is_at_end ? slot_bytes - r->sizes[slot] : 0);
}

static void *take(room *r, size_t n_bytes) {
    assert_true(r->n_used < N_SLOTS && n_bytes <= slot_bytes);
    r->sizes[r->n_used] = n_bytes;
    return bytes_at(r, r->n_used++);
}

static float number(const room *r, int64_t i) {
    const bt_rng_key key = bt_rng_key_make(6, (uint64_t)r->n_used, 0, 0);
    return 0.1F + 0.8F * bt_rng_uniform(key, (uint64_t)i);
}

static float *floats(room *r, int64_t n) {
    float *const x = take(r, (size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) {
        x[i] = number(r, i);
    }
    return x;
}

static uint16_t *halves(room *r, int64_t n) {
    uint16_t *const x = take(r, (size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) {
        x[i] = bt_bf16_round(number(r, i));
    }
    return x;
}

static void *zeros(room *r, int64_t n_bytes) {
    void *const x = take(r, (size_t)n_bytes);
    memset(x, 0, (size_t)n_bytes);
    return x;
}

static void vectors(const bt_kern *k, room *r, int64_t n) {
    float *const a = floats(r, n), *const b = floats(r, n), *const c = floats(r, n);
    float *const out = floats(r, n), *const wide = floats(r, n);
    uint16_t *const narrow = halves(r, n);
    double *const   sum = zeros(r, sizeof *sum);
    k->add(out, a, b, n);
    k->add3(out, out, b, c, n);
    k->mul(out, a, out, n);
    k->scale(out, 0.3F, n);
    k->axpy(out, b, 0.7F, n);
    k->from_bf16(wide, narrow, n);
    k->to_bf16(narrow, out, n);
    *sum = k->sum_sq(c, n);
}

static void activations(const bt_kern *k, room *r, int64_t n) {
    float *const in = floats(r, n), *const d_out = floats(r, n);
    float *const out = floats(r, n), *const d_in = floats(r, n), *const slope = floats(r, n);
    for (int i = 0; i < BT_N_ACTIVATIONS; i++) {
        k->act_forward[i](out, in, n);
        k->act_backward[i](d_in, d_out, in, n);
        if (k->act_slope[i] != NULL) {
            k->act_slope[i](out, slope, in, n);
        }
        k->axpy(in, out, 0.1F, n);
    }
}

static void dropout(const bt_kern *k, room *r, int64_t n) {
    const bt_rng_key      key = bt_rng_key_make(4, 2, 1, 0);
    const bt_kern_dropout drop = bt_kern_dropout_make(0.3F);
    const int64_t         words = (n + 15) / 16;
    uint16_t *const       bits = zeros(r, ROWS * words * (int64_t)sizeof *bits);
    float *const mult = floats(r, n), *const again = floats(r, n);
    k->dropout_mask(mult, n, key, 5, drop.limit, drop.scale);
    k->dropout_bits(bits, words, ROWS, n, key, 5, 100, drop.limit);
    k->mask_of_bits(again, bits + (ROWS - 1) * words, n, drop.scale);
}

static void rows(const bt_kern *k, room *r, int64_t n) {
    float *const x = floats(r, ROWS * n), *const y = floats(r, ROWS * n);
    float *const d = floats(r, ROWS * n), *const gain = floats(r, n), *const bias = floats(r, n);
    float *const mean = floats(r, ROWS), *const rstd = floats(r, ROWS), *const sums = floats(r, n);
    k->bias_residual(x, x, bias, gain, y, n);
    k->bias_residual(y, y, bias, NULL, NULL, n);
    k->add_bias(x, bias, ROWS, n);
    k->column_sums(sums, x, ROWS, n);
    k->norm_forward(y, mean, rstd, x, gain, bias, ROWS, n, 1e-6F);
    k->norm_backward(d, gain, bias, d, x, sums, mean, rstd, ROWS, n);
    k->softmax_forward(y, mean, rstd, x, n);
    k->softmax_again(d, x, *mean, *rstd, n);
    k->softmax_backward(d, d, y, n);
    k->bias_round16(y, bias, n);
}

static void optimizers(const bt_kern *k, room *r, int64_t n) {
    const bt_kern_adamw_args adamw = {0.5F, 0.1F, 0.01F, 0.1F, 0.001F, 0.01F, 1e-6F};
    const bt_kern_adamw_args idle[] = {adamw, adamw};
    const bt_kern_lamb_args  lamb = {0.5F, 0.9F, 0.1F, 0.99F, 0.01F, 0.3F, 0.2F, 1e-6F, 0.01F};
    float *const p = floats(r, n), *const m = floats(r, n), *const v = floats(r, n);
    float *const most = floats(r, n), *const g = floats(r, n), *const u = floats(r, n);
    k->optim.adamw(p, m, v, NULL, g, n, &adamw);
    k->optim.adamw(p, m, v, most, g, n, &adamw);
    k->optim.adamw_idle(p, m, v, n, idle, 2);
    k->optim.lamb(u, m, v, p, g, n, &lamb);
    k->optim.sgd(p, NULL, g, n, 0.1F, 0.9F, false, 0.5F);
    k->optim.sgd(p, m, g, n, 0.1F, 0.9F, true, 0.5F);
    k->optim.ema(u, p, n, 0.1F);
}

static void small_products(const bt_kern *k, room *r, int64_t n) {
    enum { M = 5, K = 7 };
    float *const a = floats(r, M * K), *const b = floats(r, K * n), *const c = floats(r, M * n);
    float *const left = floats(r, M * n), *const right = floats(r, n * K);
    float *const out = floats(r, M * K), *const turned = floats(r, n * M);
    uint16_t *const narrow = halves(r, M * n);
    k->tile_product(c, n, a, K, 1, b, n, M, n, K, 0.5F, false);
    k->tile_product(c, n, a, 1, M, b, n, M, n, K, 0.5F, true);
    k->tile_product(out, K, left, n, 1, right, K, M, K, n, 0.5F, true);
    k->tile_product(out, K, left, 1, M, right, K, M, K, n, 0.5F, true);
    k->transpose(turned, M, c, n, M, n);
    k->transpose(left, n, turned, M, n, M);
    k->store16(narrow, n, c, n, M, n, 0.25F);
}

static void probabilities(const bt_kern *k, room *r, int64_t n) {
    enum { WHOLE = (ROWS + 15) / 16 * 16 };
    const int64_t         row = bt_kern_tiles16_row(n);
    const int64_t         words = (n + 15) / 16;
    const bt_kern_probs16 x = {.scores = floats(r, WHOLE * row),
                               .d_p = floats(r, WHOLE * row),
                               .scale = 0.25F,
                               .mask = floats(r, n),
                               .kept = halves(r, ROWS * words),
                               .kept_step = words,
                               .kept_scale = 1.5F,
                               .max = floats(r, ROWS),
                               .inv_sum = floats(r, ROWS),
                               .stat_step = 1,
                               .p = halves(r, WHOLE * row),
                               .d_s = halves(r, WHOLE * row),
                               .n_rows = ROWS,
                               .n = n};
    k->probs16_forward(&x);
    k->probs16_backward(&x);
}

static int64_t up_to(int64_t n, int64_t step) {
    return (n + step - 1) / step * step;
}

/* deep: how many numbers are summed */
static void tiles16(const bt_kern_tiles16 *t, room *r, int64_t M, int64_t N, int64_t deep) {
    r->n_used = 0;
    uint16_t *const a = halves(r, M * deep), *const b = halves(r, deep * N);
    uint16_t *const left = zeros(r, up_to(M, 16) * bt_kern_tiles16_row(deep) * 2);
    uint32_t *const right = zeros(r, bt_kern_tiles16_row(deep) / 2 * bt_kern_tiles16_row(N) * 4);
    float *const    c = floats(r, up_to(M, 16) * bt_kern_tiles16_row(N));
    t->left_transposed(left, a, M, deep, M);
    t->left(left, a, deep, M, deep);
    t->right_transposed(right, b, deep, N, deep);
    t->right(right, b, N, deep, N);
    if (t->start != NULL) {
        t->start();
    }
    t->product(c, left, right, M, N, deep, true);
    if (t->stop != NULL) {
        t->stop();
    }
}

static void attention(const bt_kern *k, room *r, int64_t n) {
    bt_kern_tiles16 t;
    for (int i = 0; bt_kern_tiles16_variant(k, i, &t); i++) {
        tiles16(&t, r, n, DEEP, ROWS);
        tiles16(&t, r, ROWS, n, DEEP);
        tiles16(&t, r, DEEP, ROWS, n);
    }
}

static void panels(const bt_kern_product *p, room *r, int64_t n, int64_t deep) {
    r->n_used = 0;
    const int64_t filled = up_to(deep, p->depth_step);
    const int64_t bytes = filled * (int64_t)p->element_bytes;
    const int64_t n_a = n < p->rows ? n : p->rows;
    const int64_t n_b = n < p->cols ? n : p->cols;
    float *const x = floats(r, n * deep), *const c = floats(r, n_a * n_b);
    void *const a = zeros(r, up_to(n, p->rows) * bytes);
    void *const b = zeros(r, up_to(n, p->cols) * bytes);
    p->pack_a(a, x, 1, n, n, n, deep);
    p->pack_b(b, x, deep, 1, n, n, deep);
    p->pack_a(a, x, deep, 1, n, n, deep);
    p->pack_b(b, x, 1, n, n, n, deep);
    if (p->start != NULL) {
        p->start();
    }
    p->tile(c, n_b, a, b, n_a, n_b, filled, 0.5F, false);
    p->tile(c, n_b, a, b, n_a, n_b, filled, 0.5F, true);
    if (p->tile_in_place != NULL && n >= p->rows) {
        p->tile_in_place(c, n_b, x, deep, b, n_b, deep, 0.5F, true);
    }
    if (p->stop != NULL) {
        p->stop();
    }
}

static void panels16(const bt_kern_product *p, room *r, int64_t n, int64_t deep) {
    const int64_t bytes = deep * (int64_t)p->element_bytes;
    const int64_t n_b = n < p->cols ? n : p->cols;
    r->n_used = 0;
    uint16_t *const x = halves(r, n * deep);
    void *const     a = zeros(r, up_to(n, p->rows) * bytes);
    void *const     b = zeros(r, up_to(n, p->cols) * bytes);
    float *const    c = floats(r, p->rows * n_b);
    p->pack_a16(a, x, 1, n, n, n, deep);
    p->pack_b16(b, x, deep, 1, n, n, deep);
    p->pack_a16(a, x, deep, 1, n, n, deep);
    p->pack_b16(b, x, 1, n, n, n, deep);
    if (p->start != NULL) {
        p->start();
    }
    if (p->tile_in_place16 != NULL && n >= p->rows) {
        p->tile_in_place16(c, n_b, x, deep, b, n_b, deep, 0.5F, true);
    }
    if (p->stop != NULL) {
        p->stop();
    }
}

static void every_form(const bt_kern_product *p, room *r, int64_t n) {
    if (p->rows == 0) { /* a BLAS's */
        return;
    }
    panels(p, r, n, DEEP);
    panels(p, r, n, n);
    if (p->pack_a16 != NULL) {
        panels16(p, r, n, up_to(DEEP, p->depth_step));
    }
}

static void large_products(const bt_kern *k, room *r, int64_t n) {
    bt_kern_product p;
    every_form(&k->products[BT_PRECISION_F32], r, n);
    every_form(&k->products[BT_PRECISION_F16], r, n);
    for (int i = 0; bt_kern_bf16_variant(k, i, &p); i++) {
        every_form(&p, r, n);
    }
}

static void in_8_bits_by(const bt_kern_int8 *kern, room *r, int64_t n) {
    r->n_used = 0;
    const int64_t n_cols = n < BT_KERN_INT8_COLS ? n : BT_KERN_INT8_COLS;
    const int64_t n_rows = n < kern->rows ? n : kern->rows;
    const int64_t depth = bt_kern_int8_depth(n);
    float *const in = floats(r, n), *const w = floats(r, n * n_cols);
    float *const steps = floats(r, BT_KERN_INT8_COLS), *const c = floats(r, n_rows * n_cols);
    bt_kern_int8_row *const found = zeros(r, kern->rows * (int64_t)sizeof *found);
    uint8_t *const          q = zeros(r, kern->rows * depth);
    int8_t *const           weights = zeros(r, depth * BT_KERN_INT8_COLS);
    int32_t *const          sums = zeros(r, BT_KERN_INT8_COLS * (int64_t)sizeof *sums);
    const bt_kern_int8_tile tile = {.c = c,
                                    .ld_c = n_cols,
                                    .a = q,
                                    .ld_a = depth,
                                    .rows = found,
                                    .panel = {weights, sums, steps, floats(r, BT_KERN_INT8_COLS)},
                                    .n_rows = n_rows,
                                    .n_cols = n_cols,
                                    .depth = depth,
                                    .accumulate = n % 2 == 0};
    assert_true(bt_kern_int8_pack(weights, sums, steps, w, n_cols, n, n_cols));
    for (int64_t i = 0; i < kern->rows; i++) {
        kern->quantize(q + i * depth, &found[i], in, n);
    }
    if (kern->start != NULL) {
        kern->start();
    }
    kern->multiply(&tile);
    if (kern->stop != NULL) {
        kern->stop();
    }
}

static void in_8_bits(const bt_kern *k, room *r, int64_t n) {
    (void)k;
    for (int i = 0; bt_kern_int8_variant(i) != NULL; i++) {
        in_8_bits_by(bt_kern_int8_variant(i), r, n);
    }
}

static const struct {
    const char *name;
    void (*call)(const bt_kern *k, room *r, int64_t n);
} groups[] = {
    {"vectors", vectors},
    {"activations", activations},
    {"dropout", dropout},
    {"rows", rows},
    {"optimizers", optimizers},
    {"small products", small_products},
    {"probabilities", probabilities},
    {"attention", attention},
    {"large products", large_products},
    {"in 8 bits", in_8_bits},
};

static void compare(const room *end, const room *start, const char *name, int64_t n) {
    assert_int_equal(end->n_used, start->n_used);
    for (int i = 0; i < end->n_used; i++) {
        assert_int_equal(end->sizes[i], start->sizes[i]);
        if (memcmp(bytes_at(end, i), bytes_at(start, i), end->sizes[i]) != 0) {
            fail_msg("%s, n = %d: array %d has other bits where it ends a page", name, (int)n, i);
        }
    }
}

static void stays_inside(const bt_kern *kern) {
    room end, start;
    open_room(&end);
    open_room(&start);
    end.is_at_end = true;
    for (size_t g = 0; g < BT_ARRAY_LEN(groups); g++) {
        print_message("%s: %s\n", kern->isa, groups[g].name); /* the last one is at fault */
        for (int64_t n = 1; n <= MOST; n++) {
            end.n_used = start.n_used = 0;
            groups[g].call(kern, &end, n);
            groups[g].call(kern, &start, n);
            compare(&end, &start, groups[g].name, n);
        }
    }
    close_room(&end);
    close_room(&start);
}

static void test_no_kernel_leaves_its_arrays(void **state) {
    (void)state;
    for_each_isa(stays_inside);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_kernel_leaves_its_arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
