/* SPDX-License-Identifier: Apache-2.0
 *
 * Dropout masks of src/base/rng.c, bit for bit: Philox4x32-10 in 32-bit operations (StableHLO has
 * no product of two words whose upper half can be had), and how places are named: bt_nn_dropout in
 * bt/nn.h, the attention's rows in nn_attention.c. */
#include <inttypes.h>

#include "bt/base/rng.h"
#include "bt/kern.h"
#include "hlo_internal.h"

enum { ATTENTION_BLOCKS_LOG2 = 18 }; /* of four words; row (token, head) owns so many */

static hlo_value number(hlo *h, uint32_t value) {
    return hlo_number(h, BT_DTYPE_U32, (double)value);
}

static hlo_value shifted(hlo *h, const char *op, hlo_value x, uint32_t bits) {
    return hlo_binary(h, op, x, number(h, bits));
}

static hlo_value high(hlo *h, hlo_value x) {
    return shifted(h, "shift_right_logical", x, 16);
}

static hlo_value low(hlo *h, hlo_value x) {
    return hlo_binary(h, "and", x, number(h, 0xffff));
}

/* The upper word of m * x, from products of half words. */
static hlo_value product_high(hlo *h, uint32_t m, hlo_value x) {
    const hlo_value m_low = number(h, m & 0xffff);
    const hlo_value m_high = number(h, m >> 16);
    const hlo_value x_low = low(h, x);
    const hlo_value x_high = high(h, x);
    const hlo_value t = hlo_mul(h, x_low, m_low);
    const hlo_value u = hlo_add(h, hlo_mul(h, x_low, m_high), high(h, t));
    const hlo_value w = hlo_add(h, hlo_mul(h, x_high, m_low), low(h, u));
    return hlo_add(h, hlo_add(h, hlo_mul(h, x_high, m_high), high(h, u)), high(h, w));
}

/* Philox4x32-10 of counters of one shape, in place. */
static void philox(hlo *h, hlo_value c[4], hlo_value k0, hlo_value k1) {
    static const uint32_t mul_0 = UINT32_C(0xD2511F53);
    static const uint32_t mul_1 = UINT32_C(0xCD9E8D57);
    const hlo_value       weyl_0 = number(h, UINT32_C(0x9E3779B9));
    const hlo_value       weyl_1 = number(h, UINT32_C(0xBB67AE85));
    for (int round = 0; round < 10; round++) {
        const hlo_value high_0 = product_high(h, mul_0, c[0]);
        const hlo_value low_0 = hlo_mul(h, c[0], number(h, mul_0));
        const hlo_value high_1 = product_high(h, mul_1, c[2]);
        const hlo_value low_1 = hlo_mul(h, c[2], number(h, mul_1));
        c[0] = hlo_binary(h, "xor", hlo_binary(h, "xor", high_1, c[1]), k0);
        c[1] = low_1;
        c[2] = hlo_binary(h, "xor", hlo_binary(h, "xor", high_0, c[3]), k1);
        c[3] = low_0;
        k0 = hlo_add(h, k0, weyl_0);
        k1 = hlo_add(h, k1, weyl_1);
    }
}

static hlo_value seed_word(hlo_step *s, int64_t i) {
    return hlo_element(&s->h, s->args[BT_HLO_SEED], i);
}

/* Those of all places at once: bt_rng_key_make of (seed, step, layer, site). */
void hlo_make_keys(hlo_step *s) {
    enum { MAX_PLACES = 1024 };
    static const bt_rng_site layer_sites[HLO_PLACES_A_LAYER] = {BT_SITE_ATTENTION_PROBS_DROPOUT,
                                                                BT_SITE_ATTENTION_OUTPUT_DROPOUT,
                                                                BT_SITE_FFN_OUTPUT_DROPOUT};
    hlo *const               h = &s->h;
    const int64_t            n = HLO_PLACE_LAYERS + HLO_PLACES_A_LAYER * s->L;
    double                   layers[MAX_PLACES] = {0};
    double                   sites[MAX_PLACES] = {BT_SITE_EMBEDDING_DROPOUT, BT_SITE_HEAD_DROPOUT,
                                                  BT_SITE_HEAD_INPUT_DROPOUT};
    if (!s->dropout) {
        return;
    }
    if (n > MAX_PLACES) {
        hlo_fail(h, BT_E_UNSUPPORTED, "dropout in %" PRId64 " layers: at most %d", s->L,
                 (MAX_PLACES - HLO_PLACE_LAYERS) / HLO_PLACES_A_LAYER);
        return;
    }
    for (int64_t i = HLO_PLACE_LAYERS; i < n; i++) {
        layers[i] = (double)((i - HLO_PLACE_LAYERS) / HLO_PLACES_A_LAYER);
        sites[i] = layer_sites[(i - HLO_PLACE_LAYERS) % HLO_PLACES_A_LAYER];
    }
    s->keys.word[2] = hlo_list(h, BT_DTYPE_U32, layers, n);
    s->keys.word[3] = hlo_list(h, BT_DTYPE_U32, sites, n);
    s->keys.word[0] = hlo_broadcast(h, seed_word(s, 2), s->keys.word[2], NULL);
    s->keys.word[1] = hlo_broadcast(h, seed_word(s, 3), s->keys.word[2], NULL);
    philox(h, s->keys.word, seed_word(s, 0), seed_word(s, 1));
}

hlo_key hlo_key_at(hlo_step *s, hlo_place place) {
    hlo_key key = {0};
    for (int i = 0; s->dropout && i < 4; i++) {
        key.word[i] = hlo_element(&s->h, s->keys.word[i], (int64_t)place);
    }
    return key;
}

hlo_key hlo_layer_key(hlo_step *s, hlo_value layer, int32_t which) {
    hlo_key key = {0};
    if (!s->dropout) {
        return key;
    }
    const hlo_value at =
        hlo_plus(&s->h, hlo_scaled(&s->h, layer, HLO_PLACES_A_LAYER), HLO_PLACE_LAYERS + which);
    for (int i = 0; i < 4; i++) {
        key.word[i] = hlo_row(&s->h, s->keys.word[i], at);
    }
    return key;
}

/* The words of counters (low, high) of shape [...,M] as [...,4M]: true where they are kept. */
static hlo_value kept_words(hlo *h, hlo_key key, hlo_value low_words, hlo_value high_words,
                            uint32_t limit) {
    hlo_value c[4] = {low_words, high_words, hlo_broadcast(h, key.word[2], low_words, NULL),
                      hlo_broadcast(h, key.word[3], low_words, NULL)};
    int64_t   dims[HLO_MAX_RANK];
    philox(h, c, key.word[0], key.word[1]);
    for (int32_t i = 0; i < low_words.rank; i++) {
        dims[i] = low_words.dim[i];
    }
    dims[low_words.rank] = 1;
    for (int i = 0; i < 4; i++) {
        c[i] =
            hlo_reshape(h, hlo_compare(h, "GT", c[i], number(h, limit)), low_words.rank + 1, dims);
    }
    const hlo_value words = hlo_concatenate(h, c, 4, low_words.rank);
    dims[low_words.rank - 1] *= 4;
    return hlo_reshape(h, words, low_words.rank, dims);
}

hlo_value hlo_slot_tokens(hlo_step *s) {
    return s->dropout ? hlo_shape(&s->h, s->args[BT_HLO_TOKENS], s->T) : (hlo_value){0};
}

hlo_value hlo_dropout(hlo_step *s, hlo_value x, hlo_key key, hlo_value rows, float rate) {
    hlo *const            h = &s->h;
    const bt_kern_dropout dropout = bt_kern_dropout_make(s->dropout ? rate : 0);
    if (!dropout.on) {
        return x;
    }
    const int64_t   n_cols = x.dim[1];
    const int64_t   n_blocks = (n_cols + 3) / 4;
    const hlo_value blocks = hlo_new(h, BT_DTYPE_U32, 2, (int64_t[]){x.dim[0], n_blocks});
    const hlo_value first = hlo_scaled(h, hlo_convert(h, rows, BT_DTYPE_U32), (double)n_blocks);
    const hlo_value counter =
        hlo_add(h, hlo_spread(h, first, blocks, 0), hlo_iota(h, BT_DTYPE_U32, blocks, 1));
    const hlo_value words = kept_words(h, key, counter, hlo_fill(h, blocks, 0), dropout.limit);
    const hlo_value mask = hlo_slice(h, words, 1, 0, n_cols, 1);
    return hlo_select(h, mask, hlo_scaled(h, x, (double)dropout.scale), hlo_number(h, x.dtype, 0));
}

/* [R,S] where in its row the sequence of each slot begins; empty slots: anything. */
static hlo_value sequence_starts(hlo_step *s) {
    hlo *const      h = &s->h;
    const hlo_value first = hlo_take(h, s->args[BT_HLO_FIRST_SLOTS], s->args[BT_HLO_SEGMENTS]);
    const hlo_value row = hlo_iota(h, BT_DTYPE_I32, first, 0);
    return hlo_sub(h, first, hlo_scaled(h, row, (double)s->S));
}

/* Row (token, head) owns words from its number << 20 on, one for each place in the sequence. Blocks
 * of four words are made for slots 4g - start mod 4 and following, one group more than the row has,
 * and the four possible remainders are four slices of them. */
hlo_value hlo_attention_mask(hlo_step *s, hlo_key key, float rate) {
    hlo *const            h = &s->h;
    const bt_kern_dropout dropout = bt_kern_dropout_make(rate);
    const int64_t         groups = (s->S + 3) / 4 + 1;
    const hlo_value like = hlo_new(h, BT_DTYPE_U32, 4, (int64_t[]){s->R, s->NH, s->S, groups});
    const hlo_value rows = hlo_new(h, BT_DTYPE_U32, 3, (int64_t[]){s->R, s->NH, s->S});
    const hlo_value starts = sequence_starts(s);
    const int32_t   of_rows[] = {0, 2};
    const int32_t   of_like[] = {0, 2};
    const hlo_value tokens = hlo_convert(h, s->args[BT_HLO_TOKENS], BT_DTYPE_U32);
    const hlo_value x =
        hlo_add(h, hlo_broadcast(h, hlo_scaled(h, tokens, (double)s->NH), rows, of_rows),
                hlo_iota(h, BT_DTYPE_U32, rows, 1));
    /* group g of the row is block g - start / 4 of the sequence; the first one is -1 */
    const hlo_value base =
        hlo_plus(h, shifted(h, "shift_right_logical", hlo_convert(h, starts, BT_DTYPE_U32), 2), 1);
    const hlo_value block = hlo_binary(
        h, "and",
        hlo_sub(h, hlo_iota(h, BT_DTYPE_U32, like, 3), hlo_broadcast(h, base, like, of_like)),
        number(h, (UINT32_C(1) << ATTENTION_BLOCKS_LOG2) - 1));
    const hlo_value low_words = hlo_binary(
        h, "or", hlo_spread(h, shifted(h, "shift_left", x, ATTENTION_BLOCKS_LOG2), like, 0), block);
    const hlo_value high_words =
        hlo_spread(h, shifted(h, "shift_right_logical", x, 32 - ATTENTION_BLOCKS_LOG2), like, 0);
    const hlo_value words = kept_words(h, key, low_words, high_words, dropout.limit);
    const hlo_value remainder = hlo_binary(h, "and", starts, hlo_number(h, BT_DTYPE_I32, 3));
    hlo_value       mask = hlo_slice(h, words, 3, 4, 4 + s->S, 1);
    for (int32_t i = 1; i < 4; i++) {
        const hlo_value is = hlo_compare(h, "EQ", remainder, hlo_number(h, BT_DTYPE_I32, i));
        mask = hlo_select(h, hlo_broadcast(h, is, mask, of_like),
                          hlo_slice(h, words, 3, 4 - i, 4 - i + s->S, 1), mask);
    }
    return mask;
}

int64_t hlo_attention_words(const bt_hlo_config *config) {
    const int64_t S = config->n_slots;
    const int64_t longest = config->n_longest;
    return ((longest > 0 && longest < S ? longest : S) + 31) / 32;
}

/* Each block of four words is made once, and is four bits of a result's word. */
hlo_value hlo_attention_bits(hlo_step *s, hlo_key key, float rate) {
    enum { BLOCKS_A_WORD = 8 };
    static const int32_t  of_token[] = {0};
    hlo *const            h = &s->h;
    const bt_kern_dropout dropout = bt_kern_dropout_make(rate);
    const hlo_value       like = hlo_new(
              h, BT_DTYPE_U32, HLO_DIMS(s->T, s->NH, hlo_attention_words(&s->config), BLOCKS_A_WORD));
    const hlo_value rows = hlo_new(h, BT_DTYPE_U32, HLO_DIMS(s->T, s->NH));
    const hlo_value tokens = hlo_convert(h, hlo_slot_tokens(s), BT_DTYPE_U32);
    const hlo_value x =
        hlo_add(h, hlo_broadcast(h, hlo_scaled(h, tokens, (double)s->NH), rows, of_token),
                hlo_iota(h, BT_DTYPE_U32, rows, 1));
    const hlo_value in_word = hlo_iota(h, BT_DTYPE_U32, like, 3);
    const hlo_value block =
        hlo_add(h, hlo_scaled(h, hlo_iota(h, BT_DTYPE_U32, like, 2), BLOCKS_A_WORD), in_word);
    hlo_value c[4] = {
        hlo_binary(h, "or",
                   hlo_spread(h, shifted(h, "shift_left", x, ATTENTION_BLOCKS_LOG2), like, 0),
                   block),
        hlo_spread(h, shifted(h, "shift_right_logical", x, 32 - ATTENTION_BLOCKS_LOG2), like, 0),
        hlo_broadcast(h, key.word[2], like, NULL), hlo_broadcast(h, key.word[3], like, NULL)};
    philox(h, c, key.word[0], key.word[1]);
    hlo_value four = {0};
    for (int i = 0; i < 4; i++) {
        const hlo_value bit = hlo_scaled(
            h, hlo_convert(h, hlo_compare(h, "GT", c[i], number(h, dropout.limit)), BT_DTYPE_U32),
            (double)(1U << i));
        four = i == 0 ? bit : hlo_binary(h, "or", four, bit);
    }
    const hlo_value placed = hlo_binary(h, "shift_left", four, hlo_scaled(h, in_word, 4));
    return hlo_reduce(h, "or", placed, 8);
}
