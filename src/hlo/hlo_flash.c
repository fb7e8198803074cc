/* SPDX-License-Identifier: Apache-2.0
 *
 * See hlo_flash.h. Nothing is added up by several programs at once, so that the same numbers give
 * the same bits: the backward has one program for a tile of slots, which first makes the gradient
 * of its keys and values over the queries that read them, then that of its queries. */
#include "hlo_flash.h"
#include "bt/base/size.h"

#include <math.h>

#include "hlo_ttir.h"

static const double foreign_score = -3.0e38; /* of another sequence: weight exactly 0 */
static const double lowest_max = -1.0e38;    /* above it, below every score of one's own */
static const double log2_e = 1.4426950408889634;

enum { WORD_BITS = 32, MAX_WORDS = 4, OWN_SEGMENT = -2, FOREIGN_SEGMENT = -3 };

typedef struct flash {
    ttir                   t;
    const hlo_flash_shape *shape;
    int64_t                width; /* of a head in tiles: a power of two */
    int64_t                n_queries, n_keys;
    tt_value               tile, head, row; /* this program's numbers */
    tt_value               qkv, segments, firsts, behinds, bias, bits;
    tt_value               columns;   /* [1,width] of this head in H */
    tt_value               is_column; /* [1,width], where heads are narrower */
} flash;

/* Neighbouring slots of this program's row. */
typedef struct slots {
    int64_t  n;
    tt_value slot;  /* [n] in the row */
    tt_value place; /* [n] in the batch */
    tt_value is_there;
    bool     has_end; /* some may not be there */
} slots;

static int64_t power_of_two(int64_t least, int64_t n) {
    int64_t p = least;
    while (p < n) {
        p *= 2;
    }
    return p;
}

bool hlo_flash_fits(const hlo_flash_shape *s) {
    int64_t       n = 0;
    const int64_t widest = 3 * s->head_size > s->n_words ? 3 * s->head_size : s->n_words;
    const int64_t longest =
        s->dtype == BT_DTYPE_F32 ? HLO_FLASH_MAX_HEAD_SIZE_F32 : HLO_FLASH_MAX_HEAD_SIZE;
    return s->head_size <= longest && bt_i64_mul(s->n_rows, s->n_slots, &n) &&
           bt_i64_mul(n, s->n_heads, &n) && bt_i64_mul(n, widest, &n) && n < INT32_MAX / 2 &&
           s->n_rows < 65536 && s->n_heads < 65536;
}

/* Twice the bytes, three products for one. */
static bool is_heavy(const flash *f) {
    return f->width > 128 || f->shape->dtype == BT_DTYPE_F32;
}

static void begin(flash *f, const hlo_flash_shape *shape, const char *name) {
    ttir *const t = &f->t;
    tt_init(t, name);
    f->shape = shape;
    f->width = power_of_two(16, shape->head_size);
    f->qkv = tt_argument(t, shape->dtype);
    f->segments = tt_argument(t, BT_DTYPE_I32);
    f->firsts = tt_argument(t, BT_DTYPE_I32);
    f->behinds = tt_argument(t, BT_DTYPE_I32);
    if (shape->has_bias) {
        f->bias = tt_argument(t, BT_DTYPE_F32);
    }
    if (shape->has_dropout) {
        f->bits = tt_argument(t, BT_DTYPE_I32);
    }
}

/* After all arguments. */
static void begin_body(flash *f) {
    ttir *const t = &f->t;
    f->tile = tt_program_id(t, 0);
    f->head = tt_program_id(t, 1);
    f->row = tt_program_id(t, 2);
    const tt_value column = tt_along(t, tt_range(t, f->width), 0);
    f->columns = tt_add(t, column, tt_mul(t, f->head, tt_int(t, f->shape->head_size)));
    if (f->width != f->shape->head_size) {
        f->is_column = tt_compare(t, "slt", column, tt_int(t, f->shape->head_size));
    }
}

static bt_status finish(flash *f, int64_t tile, hlo_kernel *kernel, bt_error *err) {
    const hlo_flash_shape *const s = f->shape;
    *kernel = (hlo_kernel){.name = f->t.name,
                           .text = BT_STR_INIT,
                           .grid = {(s->n_slots + tile - 1) / tile, s->n_heads, s->n_rows},
                           .n_warps = f->width > 64 ? 8 : 4,
                           .n_stages = 2};
    const bt_status rc = tt_finish(&f->t, &kernel->text, err);
    tt_deinit(&f->t);
    if (rc != BT_OK) {
        bt_str_deinit(&kernel->text);
    }
    return rc;
}

static slots slots_from(flash *f, tt_value first, int64_t n) {
    ttir *const   t = &f->t;
    const int64_t S = f->shape->n_slots;
    slots         s = {.n = n, .has_end = S % n != 0};
    s.slot = tt_add(t, tt_range(t, n), first);
    s.place = tt_add(t, s.slot, tt_mul(t, f->row, tt_int(t, S)));
    if (s.has_end) {
        s.is_there = tt_compare(t, "slt", s.slot, tt_int(t, S));
    }
    return s;
}

/* [n] of an array [T] */
static tt_value load_list(flash *f, tt_value array, const slots *s, double other) {
    return tt_load(&f->t, tt_address(&f->t, array, s->place), s->has_end ? &s->is_there : NULL,
                   other);
}

/* [n] of an array [rows,heads,slots] */
static tt_value statistic_address(flash *f, tt_value array, const slots *s) {
    ttir *const    t = &f->t;
    const tt_value line = tt_add(t, tt_mul(t, f->row, tt_int(t, f->shape->n_heads)), f->head);
    return tt_address(t, array, tt_add(t, s->slot, tt_mul(t, line, tt_int(t, f->shape->n_slots))));
}

static tt_value load_statistic(flash *f, tt_value array, const slots *s) {
    return tt_load(&f->t, statistic_address(f, array, s), s->has_end ? &s->is_there : NULL, 0);
}

/* [n,width] of this head in an array [T,n_parts,H]; its mask, or NULL */
static tt_value tile_address(flash *f, tt_value array, const slots *s, int64_t n_parts,
                             int64_t part) {
    ttir *const    t = &f->t;
    const int64_t  H = f->shape->n_heads * f->shape->head_size;
    const tt_value line = tt_mul(t, s->place, tt_int(t, n_parts * H));
    const tt_value column = tt_add(t, f->columns, tt_int(t, part * H));
    return tt_address(t, array, tt_add(t, tt_along(t, line, 1), column));
}

static const tt_value *tile_mask(flash *f, const slots *s, tt_value *mask) {
    const bool is_narrow = f->width != f->shape->head_size;
    if (!s->has_end) {
        *mask = f->is_column;
        return is_narrow ? mask : NULL;
    }
    *mask = tt_along(&f->t, s->is_there, 1);
    if (is_narrow) {
        *mask = tt_binary(&f->t, "arith.andi", *mask, f->is_column);
    }
    return mask;
}

static tt_value load_tile(flash *f, tt_value array, const slots *s, int64_t n_parts, int64_t part) {
    tt_value mask;
    return tt_load(&f->t, tile_address(f, array, s, n_parts, part), tile_mask(f, s, &mask), 0);
}

static void store_tile(flash *f, tt_value array, const slots *s, int64_t n_parts, int64_t part,
                       tt_value x) {
    tt_value       mask;
    const tt_value rounded = tt_cast(&f->t, "arith.truncf", x, f->shape->dtype);
    tt_store(&f->t, tile_address(f, array, s, n_parts, part), rounded, tile_mask(f, s, &mask));
}

enum { QUERY, KEY, VALUE, N_PARTS };

/* Scaled before the product, which float16 could not hold. */
static tt_value load_query(flash *f, const slots *s) {
    ttir *const    t = &f->t;
    const tt_value q =
        tt_cast(t, "arith.extf", load_tile(f, f->qkv, s, N_PARTS, QUERY), BT_DTYPE_F32);
    const double scale = 1 / sqrt((double)f->shape->head_size);
    return tt_cast(t, "arith.truncf", tt_mul(t, q, tt_number(t, BT_DTYPE_F32, scale)),
                   f->shape->dtype);
}

/* Which keys a query has, and which queries a key. */

/* What masks are made of. */
typedef struct seen {
    tt_value segments; /* [n] */
    tt_value firsts;   /* [n] of queries, with dropout */
    tt_value bias;     /* [n] of keys, where there is one */
} seen;

static seen load_queries_seen(flash *f, const slots *s) {
    seen q = {.segments = load_list(f, f->segments, s, OWN_SEGMENT)};
    if (f->shape->has_dropout) {
        q.firsts = load_list(f, f->firsts, s, 0);
    }
    return q;
}

static seen load_keys_seen(flash *f, const slots *s) {
    seen k = {.segments = load_list(f, f->segments, s, FOREIGN_SEGMENT)};
    if (f->shape->has_bias) {
        k.bias = load_list(f, f->bias, s, 0);
    }
    return k;
}

/* From the tile where the first of these slots' sequences begins to the end of the last: nothing
 * else of the row is seen by them or sees them. */
static void other_side(flash *f, const slots *s, int64_t step, tt_value bounds[3]) {
    ttir *const    t = &f->t;
    const tt_value first =
        tt_reduce(t, "arith.minsi", load_list(f, f->firsts, s, (double)f->shape->n_slots));
    bounds[0] = tt_binary(t, "arith.andi", first, tt_int(t, -step));
    bounds[1] = tt_reduce(t, "arith.maxsi", load_list(f, f->behinds, s, 0));
    bounds[2] = tt_int(t, step);
}

/* Which axis of a tile of scores queries have: 1 as [n,1], 0 as [1,n]. Keys have the other. */
static tt_value masked(flash *f, tt_value scores, const seen *q, const seen *k, int32_t q_axis) {
    ttir *const t = &f->t;
    if (f->shape->has_bias) {
        scores = tt_add(t, scores, tt_along(t, k->bias, 1 - q_axis));
    }
    const tt_value same =
        tt_compare(t, "eq", tt_along(t, q->segments, q_axis), tt_along(t, k->segments, 1 - q_axis));
    return tt_select(t, same, scores, tt_number(t, BT_DTYPE_F32, foreign_score));
}

/* e^(x - max) */
static tt_value weights(flash *f, tt_value x, tt_value max) {
    ttir *const t = &f->t;
    return tt_unary(t, "math.exp2",
                    tt_mul(t, tt_sub(t, x, max), tt_number(t, BT_DTYPE_F32, log2_e)));
}

/* Dropout.
 * Bit k of a query's words is that of its sequence's k-th token. A tile of keys begins anywhere in
 * that sequence, or before it. */

/* The words of keys first_key, first_key + 1, ..., from bit 0 on, [n_queries] each. */
static void shifted_words(flash *f, const slots *q, const seen *queries, tt_value first_key,
                          tt_value words[MAX_WORDS], int64_t n_words) {
    ttir *const    t = &f->t;
    const int64_t  W = f->shape->n_words;
    const tt_value from = tt_sub(t, first_key, queries->firsts);
    const tt_value shift = tt_binary(t, "arith.andi", from, tt_int(t, WORD_BITS - 1));
    const tt_value word = tt_binary(t, "arith.shrsi", from, tt_int(t, 5));
    const tt_value line = tt_mul(
        t, tt_add(t, tt_mul(t, q->place, tt_int(t, f->shape->n_heads)), f->head), tt_int(t, W));
    const tt_value up = tt_sub(t, tt_int(t, WORD_BITS - 1), shift);
    tt_value       loaded[MAX_WORDS + 1];
    for (int64_t i = 0; i <= n_words; i++) {
        const tt_value at = tt_add(t, word, tt_int(t, i));
        tt_value       is_there = tt_binary(t, "arith.andi", tt_compare(t, "sge", at, tt_int(t, 0)),
                                            tt_compare(t, "slt", at, tt_int(t, W)));
        if (q->has_end) {
            is_there = tt_binary(t, "arith.andi", is_there, q->is_there);
        }
        loaded[i] = tt_load(t, tt_address(t, f->bits, tt_add(t, line, at)), &is_there, 0);
    }
    for (int64_t i = 0; i < n_words; i++) { /* a shift by 32 would not be a number */
        const tt_value next = tt_binary(t, "arith.shli", loaded[i + 1], tt_int(t, 1));
        words[i] = tt_binary(t, "arith.ori", tt_binary(t, "arith.shrui", loaded[i], shift),
                             tt_binary(t, "arith.shli", next, up));
    }
}

/* Where the probabilities of a tile are kept. */
static tt_value kept(flash *f, const slots *q, const seen *queries, tt_value first_key,
                     int32_t q_axis) {
    ttir *const    t = &f->t;
    const int64_t  n_words = f->n_keys / WORD_BITS;
    const tt_value key = tt_along(t, tt_range(t, f->n_keys), 1 - q_axis);
    tt_value       words[MAX_WORDS];
    shifted_words(f, q, queries, first_key, words, n_words);
    tt_value word = tt_along(t, words[0], q_axis);
    for (int64_t i = 1; i < n_words; i++) {
        word = tt_select(t, tt_compare(t, "sge", key, tt_int(t, WORD_BITS * i)),
                         tt_along(t, words[i], q_axis), word);
    }
    const tt_value shift = tt_binary(t, "arith.andi", key, tt_int(t, WORD_BITS - 1));
    const tt_value bit =
        tt_binary(t, "arith.andi", tt_binary(t, "arith.shrui", word, shift), tt_int(t, 1));
    return tt_compare(t, "ne", bit, tt_int(t, 0));
}

static tt_value where_kept(flash *f, tt_value mask, tt_value x) {
    return tt_select(&f->t, mask, x, tt_number(&f->t, BT_DTYPE_F32, 0));
}

static tt_value zeros(flash *f, int64_t n, int64_t m) {
    return tt_full(&f->t, BT_DTYPE_F32, 2, (int64_t[]){n, m}, 0);
}

static tt_value rounded(flash *f, tt_value x) {
    return tt_cast(&f->t, "arith.truncf", x, f->shape->dtype);
}

enum { CONTEXT, MAX, SUM, N_FORWARD };

/* One tile of keys. */
static void forward_step(flash *f, const slots *q, const seen *queries, tt_value query,
                         const tt_loop *loop, tt_value next[N_FORWARD]) {
    ttir *const    t = &f->t;
    const slots    k = slots_from(f, loop->counter, f->n_keys);
    const seen     keys = load_keys_seen(f, &k);
    const tt_value key = load_tile(f, f->qkv, &k, N_PARTS, KEY);
    const tt_value product =
        tt_dot(t, query, tt_transpose(t, key), zeros(f, f->n_queries, f->n_keys));
    const tt_value scores = masked(f, product, queries, &keys, 1);
    next[MAX] =
        tt_binary(t, "arith.maxnumf", loop->carry[MAX], tt_reduce(t, "arith.maxnumf", scores));
    const tt_value before = weights(f, loop->carry[MAX], next[MAX]);
    tt_value       e = weights(f, scores, tt_along(t, next[MAX], 1));
    next[SUM] = tt_add(t, tt_mul(t, loop->carry[SUM], before), tt_reduce(t, "arith.addf", e));
    if (f->shape->has_dropout) {
        e = where_kept(f, kept(f, q, queries, loop->counter, 1), e);
    }
    next[CONTEXT] = tt_dot(t, rounded(f, e), load_tile(f, f->qkv, &k, N_PARTS, VALUE),
                           tt_mul(t, loop->carry[CONTEXT], tt_along(t, before, 1)));
}

bt_status hlo_flash_forward(const hlo_flash_shape *shape, hlo_kernel *kernel, bt_error *err) {
    flash       f;
    ttir *const t = &f.t;
    tt_loop     loop;
    tt_value    bounds[3];
    tt_value    carry[N_FORWARD];
    begin(&f, shape, "bert_attention_forward");
    f.n_queries = shape->n_slots > 64 && !is_heavy(&f) ? 128 : 64;
    f.n_keys = is_heavy(&f) ? 32 : 64;
    const tt_value context = tt_argument(t, shape->dtype);
    const tt_value max = tt_argument(t, BT_DTYPE_F32);
    const tt_value inv_sum = tt_argument(t, BT_DTYPE_F32);
    begin_body(&f);
    const slots    q = slots_from(&f, tt_mul(t, f.tile, tt_int(t, f.n_queries)), f.n_queries);
    const seen     queries = load_queries_seen(&f, &q);
    const tt_value query = load_query(&f, &q);
    other_side(&f, &q, f.n_keys, bounds);
    carry[CONTEXT] = zeros(&f, f.n_queries, f.width);
    carry[MAX] = tt_full(t, BT_DTYPE_F32, 1, &f.n_queries, lowest_max);
    carry[SUM] = tt_full(t, BT_DTYPE_F32, 1, &f.n_queries, 0);
    tt_loop_begin(t, &loop, bounds, carry, N_FORWARD);
    forward_step(&f, &q, &queries, query, &loop, carry);
    tt_loop_end(t, &loop, carry);
    const tt_value inverse =
        tt_binary(t, "arith.divf", tt_full(t, BT_DTYPE_F32, 1, &f.n_queries, 1), loop.carry[SUM]);
    const tt_value factor =
        shape->has_dropout ? tt_mul(t, inverse, tt_number(t, BT_DTYPE_F32, shape->scale)) : inverse;
    store_tile(&f, context, &q, 1, 0, tt_mul(t, loop.carry[CONTEXT], tt_along(t, factor, 1)));
    const tt_value *const is_there = q.has_end ? &q.is_there : NULL;
    tt_store(t, statistic_address(&f, max, &q), loop.carry[MAX], is_there);
    tt_store(t, statistic_address(&f, inv_sum, &q), inverse, is_there);
    return finish(&f, f.n_queries, kernel, err);
}

typedef struct backward {
    flash    f;
    tt_value d_context, max, inv_sum, along;
} backward;

/* What is known of a tile of queries. */
typedef struct query_tile {
    slots    at;
    seen     seen;
    tt_value query, d_context;    /* [n,width] */
    tt_value max, inv_sum, along; /* [n] */
} query_tile;

static query_tile load_query_tile(backward *b, tt_value first) {
    flash *const f = &b->f;
    query_tile   q = {.at = slots_from(f, first, f->n_queries)};
    q.seen = load_queries_seen(f, &q.at);
    q.query = load_query(f, &q.at);
    q.d_context = load_tile(f, b->d_context, &q.at, 1, 0);
    q.max = load_statistic(f, b->max, &q.at);
    q.inv_sum = load_statistic(f, b->inv_sum, &q.at);
    q.along = load_statistic(f, b->along, &q.at);
    return q;
}

typedef struct key_tile {
    slots    at;
    seen     seen;
    tt_value first;      /* slot */
    tt_value key, value; /* [n,width] */
} key_tile;

static key_tile load_key_tile(backward *b, tt_value first) {
    flash *const f = &b->f;
    key_tile     k = {.at = slots_from(f, first, f->n_keys), .first = first};
    k.seen = load_keys_seen(f, &k.at);
    k.key = load_tile(f, f->qkv, &k.at, N_PARTS, KEY);
    k.value = load_tile(f, f->qkv, &k.at, N_PARTS, VALUE);
    return k;
}

/* The probabilities that counted, and the gradient of the scores: in the dtype of factors. */
typedef struct score_gradient {
    tt_value p, d_scores;
} score_gradient;

static score_gradient scores_backward(backward *b, const query_tile *q, const key_tile *k,
                                      tt_value product, tt_value d_p, int32_t q_axis) {
    flash *const   f = &b->f;
    ttir *const    t = &f->t;
    const tt_value scores = masked(f, product, &q->seen, &k->seen, q_axis);
    const tt_value p =
        tt_mul(t, weights(f, scores, tt_along(t, q->max, q_axis)), tt_along(t, q->inv_sum, q_axis));
    tt_value p_kept = p;
    if (f->shape->has_dropout) {
        const tt_value mask = kept(f, &q->at, &q->seen, k->first, q_axis);
        const tt_value scale = tt_number(t, BT_DTYPE_F32, f->shape->scale);
        p_kept = where_kept(f, mask, tt_mul(t, p, scale));
        d_p = where_kept(f, mask, tt_mul(t, d_p, scale));
    }
    const tt_value d = tt_mul(t, p, tt_sub(t, d_p, tt_along(t, q->along, q_axis)));
    return (score_gradient){.p = rounded(f, p_kept), .d_scores = rounded(f, d)};
}

/* Tiles of scores as [keys, queries] here, so that they are the left factors of both sums. */
static void backward_of_keys(backward *b, tt_value first, tt_value d_qkv) {
    enum { D_KEY, D_VALUE, N_SUMS };
    flash *const   f = &b->f;
    ttir *const    t = &f->t;
    const key_tile k = load_key_tile(b, first);
    const tt_value none = zeros(f, f->n_keys, f->n_queries);
    tt_value       carry[N_SUMS] = {zeros(f, f->n_keys, f->width), zeros(f, f->n_keys, f->width)};
    tt_value       bounds[3];
    tt_loop        loop;
    other_side(f, &k.at, f->n_queries, bounds);
    tt_loop_begin(t, &loop, bounds, carry, N_SUMS);
    const query_tile     q = load_query_tile(b, loop.counter);
    const tt_value       product = tt_dot(t, k.key, tt_transpose(t, q.query), none);
    const tt_value       d_p = tt_dot(t, k.value, tt_transpose(t, q.d_context), none);
    const score_gradient g = scores_backward(b, &q, &k, product, d_p, 0);
    carry[D_KEY] = tt_dot(t, g.d_scores, q.query, loop.carry[D_KEY]);
    carry[D_VALUE] = tt_dot(t, g.p, q.d_context, loop.carry[D_VALUE]);
    tt_loop_end(t, &loop, carry);
    store_tile(f, d_qkv, &k.at, N_PARTS, KEY, loop.carry[D_KEY]);
    store_tile(f, d_qkv, &k.at, N_PARTS, VALUE, loop.carry[D_VALUE]);
}

static void backward_of_queries(backward *b, tt_value first, tt_value d_qkv) {
    flash *const     f = &b->f;
    ttir *const      t = &f->t;
    const query_tile q = load_query_tile(b, first);
    const tt_value   none = zeros(f, f->n_queries, f->n_keys);
    tt_value         sum = zeros(f, f->n_queries, f->width);
    tt_value         bounds[3];
    tt_loop          loop;
    other_side(f, &q.at, f->n_keys, bounds);
    tt_loop_begin(t, &loop, bounds, &sum, 1);
    const key_tile       k = load_key_tile(b, loop.counter);
    const tt_value       product = tt_dot(t, q.query, tt_transpose(t, k.key), none);
    const tt_value       d_p = tt_dot(t, q.d_context, tt_transpose(t, k.value), none);
    const score_gradient g = scores_backward(b, &q, &k, product, d_p, 1);
    sum = tt_dot(t, g.d_scores, k.key, loop.carry[0]);
    tt_loop_end(t, &loop, &sum);
    const double scale = 1 / sqrt((double)f->shape->head_size);
    store_tile(f, d_qkv, &q.at, N_PARTS, QUERY,
               tt_mul(t, loop.carry[0], tt_number(t, BT_DTYPE_F32, scale)));
}

bt_status hlo_flash_backward(const hlo_flash_shape *shape, hlo_kernel *kernel, bt_error *err) {
    backward     b;
    flash *const f = &b.f;
    ttir *const  t = &f->t;
    begin(f, shape, "bert_attention_backward");
    f->n_queries = is_heavy(f) ? 32 : 64;
    f->n_keys = f->n_queries;
    b.d_context = tt_argument(t, shape->dtype);
    b.max = tt_argument(t, BT_DTYPE_F32);
    b.inv_sum = tt_argument(t, BT_DTYPE_F32);
    b.along = tt_argument(t, BT_DTYPE_F32);
    const tt_value d_qkv = tt_argument(t, shape->dtype);
    begin_body(f);
    const tt_value first = tt_mul(t, f->tile, tt_int(t, f->n_keys));
    backward_of_keys(&b, first, d_qkv);
    backward_of_queries(&b, first, d_qkv);
    return finish(f, f->n_keys, kernel, err);
}
