/* SPDX-License-Identifier: Apache-2.0
 *
 * The places of rows, compact. Rows of one file are of like length, so the distances of the rows of
 * a group, less the least of them, are small numbers: each has as many bits as the largest needs.
 * 82 bytes a row in the mean take 9 bits a row, where a place alone would take 64. What is finished
 * lies in memory or in a file of which a group is read when a row of it is asked for. */
#include "data_places.h"

#include <inttypes.h>
#include <string.h>

#include "bt/base/bytes.h"

enum { WHOLE_WORDS = 64, MAX_PACKED_BITS = 56, POSITION_BITS = 48 };

static unsigned bits_of(uint64_t value) {
    unsigned n = 0;
    for (; value != 0; value >>= 1) {
        n++;
    }
    return n <= MAX_PACKED_BITS ? n : WHOLE_WORDS;
}

static size_t bytes_of(size_t n, unsigned bits) {
    return (n * bits + 7) / 8;
}

/* values [n] of so many bits each, in a row. */
static bt_status append_bits(bt_str *out, const int64_t *values, size_t n, int64_t least,
                             unsigned bits, bt_error *err) {
    uint8_t  bytes[DATA_PLACES_CODED_BYTES + 8] = {0};
    uint64_t word = 0;
    unsigned n_in_word = 0;
    size_t   at = 0;
    for (size_t i = 0; i < n; i++) {
        const uint64_t value = (uint64_t)(values[i + 1] - values[i] - least);
        if (bits == WHOLE_WORDS) {
            bt_store_u64le(bytes + at, value);
            at += 8;
            continue;
        }
        word |= value << n_in_word;
        for (n_in_word += bits; n_in_word >= 8; n_in_word -= 8) {
            bytes[at++] = (uint8_t)word;
            word >>= 8;
        }
    }
    if (n_in_word > 0) {
        bytes[at++] = (uint8_t)word;
    }
    return bt_str_append_n(out, bytes, at, err);
}

static bt_status close_group(data_places *places, bt_error *err) {
    const size_t n = places->n_open - 1; /* distances */
    int64_t      least = n > 0 ? INT64_MAX : 0;
    int64_t      most = 0;
    uint8_t      entry[DATA_PLACES_ENTRY_BYTES];
    for (size_t i = 0; i < n; i++) {
        const int64_t distance = places->open[i + 1] - places->open[i];
        least = distance < least ? distance : least;
        most = distance > most ? distance : most;
    }
    const unsigned bits = bits_of((uint64_t)(most - least));
    bt_store_u64le(entry, (uint64_t)places->open[0]);
    bt_store_u64le(entry + 8, (uint64_t)least);
    bt_store_u64le(entry + 16, (uint64_t)bits << POSITION_BITS | places->distances.len);
    BT_TRY(append_bits(&places->distances, places->open, n, least, bits, err));
    places->n_open = 0;
    return bt_str_append_n(&places->groups, entry, sizeof entry, err);
}

bt_status data_places_add(data_places *places, int64_t begin, bt_error *err) {
    if (places->n_open == DATA_PLACES_GROUP) {
        BT_TRY(close_group(places, err));
    }
    places->open[places->n_open++] = begin;
    places->n++;
    return BT_OK;
}

bt_status data_places_finish(data_places *places, int64_t end, bt_error *err) {
    if (places->n_open > 0) {
        BT_TRY(close_group(places, err));
    }
    places->end = end;
    places->group = -1;
    return BT_OK;
}

static int64_t n_groups(const data_places *places) {
    return (places->n + DATA_PLACES_GROUP - 1) / DATA_PLACES_GROUP;
}

static bt_status fail_damaged(const data_places *places, int64_t group, bt_error *err) {
    return BT_FAIL(err, BT_E_FORMAT,
                   "%s: what it says of rows %" PRId64 " and after cannot be: it was changed while "
                   "it was in use; remove it, and it is made again",
                   places->file != NULL ? bt_fs_path(places->file) : "the places of the rows",
                   group * DATA_PLACES_GROUP);
}

/* The entries of the group and of the next one; of the last group only its own. */
static bt_status read_entries(const data_places *places, int64_t group, bool is_last,
                              uint8_t entries[2 * DATA_PLACES_ENTRY_BYTES], bt_error *err) {
    const size_t n = (is_last ? 1 : 2) * (size_t)DATA_PLACES_ENTRY_BYTES;
    if (places->file != NULL) {
        return bt_fs_read_at(places->file, places->groups_at + group * DATA_PLACES_ENTRY_BYTES,
                             entries, n, err);
    }
    memcpy(entries, places->groups.data + group * DATA_PLACES_ENTRY_BYTES, n);
    return BT_OK;
}

static bt_status read_distances(const data_places *places, uint64_t at, size_t n, uint8_t *bytes,
                                bt_error *err) {
    if (places->file != NULL) {
        return bt_fs_read_at(places->file, places->distances_at + (int64_t)at, bytes, n, err);
    }
    if (n > 0) {
        memcpy(bytes, places->distances.data + at, n);
    }
    return BT_OK;
}

static uint64_t distance_at(const uint8_t *bytes, size_t i, unsigned bits) {
    if (bits == WHOLE_WORDS) {
        return bt_load_u64le(bytes + 8 * i);
    }
    const size_t bit = i * bits;
    return bt_load_u64le(bytes + bit / 8) >> bit % 8 & (((uint64_t)1 << bits) - 1);
}

static bt_status read_group(data_places *places, int64_t group, bt_error *err) {
    const bool    is_last = group + 1 == n_groups(places);
    const size_t  n = is_last ? (size_t)(places->n - group * DATA_PLACES_GROUP) : DATA_PLACES_GROUP;
    const int64_t n_all =
        places->file != NULL ? places->n_distance_bytes : (int64_t)places->distances.len;
    uint8_t entries[2 * DATA_PLACES_ENTRY_BYTES] = {0};
    uint8_t bytes[DATA_PLACES_CODED_BYTES + 8] = {0};
    places->group = -1;
    BT_TRY(read_entries(places, group, is_last, entries, err));
    const uint64_t word = bt_load_u64le(entries + 16);
    const uint64_t at = word & (((uint64_t)1 << POSITION_BITS) - 1);
    const unsigned bits = (unsigned)(word >> POSITION_BITS);
    const uint64_t least = bt_load_u64le(entries + 8);
    const int64_t  next =
        is_last ? places->end : (int64_t)bt_load_u64le(entries + DATA_PLACES_ENTRY_BYTES);
    if ((bits > MAX_PACKED_BITS && bits != WHOLE_WORDS) || at > (uint64_t)n_all ||
        bytes_of(n - 1, bits) > (uint64_t)n_all - at) {
        return fail_damaged(places, group, err);
    }
    BT_TRY(read_distances(places, at, bytes_of(n - 1, bits), bytes, err));
    uint64_t place = bt_load_u64le(entries);
    for (size_t i = 0; i < n; i++) {
        if (place > (uint64_t)next || next < 0) {
            return fail_damaged(places, group, err);
        }
        places->open[i] = (int64_t)place;
        place += i + 1 < n ? least + distance_at(bytes, i, bits) : 0;
        if (place < (uint64_t)places->open[i]) {
            return fail_damaged(places, group, err);
        }
    }
    places->open[n] = next;
    places->group = group;
    return BT_OK;
}

bt_status data_places_get(data_places *places, int64_t i, int64_t *begin, int64_t *end,
                          bt_error *err) {
    BT_ASSERT(i >= 0 && i < places->n);
    if (places->group != i / DATA_PLACES_GROUP) {
        BT_TRY(read_group(places, i / DATA_PLACES_GROUP, err));
    }
    *begin = places->open[i % DATA_PLACES_GROUP];
    *end = places->open[i % DATA_PLACES_GROUP + 1];
    return BT_OK;
}

void data_places_deinit(data_places *places) {
    bt_str_deinit(&places->groups);
    bt_str_deinit(&places->distances);
    *places = (data_places){0};
}
