/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of rows: a hash of 64 bits of their texts, eight bytes at a time, so that naming a table
 * costs less than reading it. Two rows that differ have one name in 1 of 10^19 pairs. */
#include "data_names.h"
#include "bt/base/alloc.h"
#include "bt/base/stop.h"

#include <string.h>

/* A bit that no name has; 2 is one that all have, so that none is 0. */
enum { FOUND = 1 };

static uint64_t mix(uint64_t name, uint64_t word) {
    word *= UINT64_C(0x9e3779b97f4a7c15);
    word ^= word >> 32;
    name = (name ^ word) * UINT64_C(0xd6e8feb86659fd93);
    return name ^ name >> 29;
}

uint64_t data_name_add(uint64_t name, const void *bytes, size_t n) {
    const unsigned char *const text = bytes;
    size_t                     at = 0;
    uint64_t                   word = 0;
    name = mix(name, n);
    for (; at + sizeof word <= n; at += sizeof word) {
        memcpy(&word, text + at, sizeof word);
        name = mix(name, word);
    }
    if (at < n) {
        word = 0;
        memcpy(&word, text + at, n - at);
        name = mix(name, word);
    }
    return name;
}

/* Those that are in the file come back into memory, before the others. */
static bt_status take_back(data_names *names, bt_error *err) {
    const size_t n = names->n_spilled;
    BT_TRY(bt_grow(&names->names, &names->cap, names->n, sizeof *names->names, SIZE_MAX / 16, err));
    memmove(names->names + n, names->names, (names->n - n) * sizeof *names->names);
    BT_TRY(bt_fs_scratch_read(names->spilled, 0, names->names, n * sizeof *names->names, err));
    bt_fs_scratch_close(names->spilled);
    names->spilled = NULL;
    names->n_spilled = 0;
    return BT_OK;
}

/* The names in memory go to the file, so that memory does not grow with the rows. */
static bt_status spill(data_names *names, bt_error *err) {
    const size_t n = names->n - names->n_spilled;
    bt_error     ignored = BT_ERROR_INIT;
    if (names->spilled == NULL &&
        bt_fs_scratch_create("the names of rows", &names->spilled, &ignored) != BT_OK) {
        names->is_full = true;
        return BT_OK;
    }
    if (bt_fs_scratch_append(names->spilled, names->names, n * sizeof *names->names, &ignored) !=
            BT_OK ||
        bt_fs_scratch_flush(names->spilled, &ignored) != BT_OK) {
        names->is_full = true;
        return take_back(names, err);
    }
    names->n_spilled = names->n;
    return BT_OK;
}

static bt_status put(data_names *names, uint64_t name, bt_error *err) {
    if (names->n - names->n_spilled == DATA_NAMES_IN_MEMORY && !names->is_full) {
        BT_TRY(spill(names, err));
    }
    const size_t n = names->n - names->n_spilled;
    BT_TRY(bt_grow(&names->names, &names->cap, n + 1, sizeof *names->names, SIZE_MAX / 16, err));
    names->names[n] = name;
    names->n++;
    return BT_OK;
}

static uint64_t as_put(uint64_t name) {
    return (name & ~(uint64_t)FOUND) | 2;
}

bt_status data_names_put(data_names *names, uint64_t name, bt_error *err) {
    return put(names, as_put(name), err);
}

bt_status data_names_put_damaged(data_names *names, bt_error *err) {
    return put(names, 0, err);
}

static bt_status read_made(const data_names *names, size_t first, size_t n, uint64_t *out,
                           bt_error *err) {
    const size_t left = first < names->n_spilled ? names->n_spilled - first : 0;
    const size_t n_spilled = n < left ? n : left;
    if (n_spilled > 0) {
        BT_TRY(bt_fs_scratch_read(names->spilled, (int64_t)(first * sizeof *out), out,
                                  n_spilled * sizeof *out, err));
    }
    if (n_spilled < n) {
        memcpy(out + n_spilled, names->names + (first + n_spilled - names->n_spilled),
               (n - n_spilled) * sizeof *out);
    }
    return BT_OK;
}

bt_status data_names_read(const data_names *names, size_t first, size_t n, uint64_t *out,
                          bt_error *err) {
    BT_ASSERT(n <= DATA_NAMES_BLOCK && n <= names->n && first <= names->n - n);
    if (names->file == NULL) {
        return read_made(names, first, n, out, err);
    }
    BT_TRY(bt_fs_read_at(names->file, names->at + 8 * (int64_t)first, out, 8 * n, err));
    for (size_t i = 0; i < n; i++) {
        out[i] = bt_load_u64le((const uint8_t *)&out[i]);
    }
    return BT_OK;
}

bt_status data_names_check(const data_names *names, int64_t row, uint64_t name, bt_error *err) {
    uint64_t kept = 0;
    if (names->file == NULL || (uint64_t)row >= names->n) {
        return BT_OK;
    }
    BT_TRY(data_names_read(names, (size_t)row, 1, &kept, err));
    return kept == as_put(name)
               ? BT_OK
               : BT_FAIL(err, BT_E_FORMAT,
                         "this is not what the index was made of, though the file's state (size, "
                         "times) is the same: it was changed in a way that does not show (mapped "
                         "into memory, or below the file system); remove %s and start again",
                         bt_fs_path(names->file));
}

static size_t block_size(const data_names *names, size_t first) {
    const size_t left = names->n - first;
    return left < DATA_NAMES_BLOCK ? left : DATA_NAMES_BLOCK;
}

void data_names_deinit(data_names *names) {
    bt_free(names->names);
    bt_fs_scratch_close(names->spilled);
    *names = (data_names){0};
}

bt_status data_names_keep(data_names *names, const bool *is_used, bt_error *err) {
    uint64_t   block[DATA_NAMES_BLOCK];
    data_names kept = {0};
    bt_status  rc = BT_OK;
    for (size_t first = 0; rc == BT_OK && first < names->n; first += DATA_NAMES_BLOCK) {
        const size_t n = block_size(names, first);
        rc = data_names_read(names, first, n, block, err);
        for (size_t i = 0; rc == BT_OK && i < n; i++) {
            rc = is_used[first + i] ? put(&kept, block[i], err) : BT_OK;
        }
    }
    data_names_deinit(rc == BT_OK ? names : &kept);
    if (rc == BT_OK) {
        *names = kept;
    }
    return rc;
}

/* Where the name is in a table of a power of two places, or the free place for it. */
static uint64_t *find(uint64_t *table, size_t mask, uint64_t name) {
    size_t at = (size_t)(name >> 8) & mask;
    while (table[at] != 0 && (table[at] | FOUND) != (name | FOUND)) {
        at = (at + 1) & mask;
    }
    return &table[at];
}

/* The table, and what is marked in it. */
typedef struct shared_run {
    uint64_t *table;
    size_t    mask;
    uint64_t  block[DATA_NAMES_BLOCK];
} shared_run;

static bt_status put_all(shared_run *run, const data_names *of, bt_error *err) {
    for (size_t first = 0; first < of->n; first += DATA_NAMES_BLOCK) {
        const size_t n = block_size(of, first);
        BT_TRY(data_names_read(of, first, n, run->block, err));
        for (size_t i = 0; i < n; i++) {
            *find(run->table, run->mask, run->block[i]) = run->block[i]; /* 0 stays free */
        }
    }
    return BT_OK;
}

static bt_status mark_all(shared_run *run, const data_names *among, bt_error *err) {
    for (size_t first = 0; first < among->n; first += DATA_NAMES_BLOCK) {
        const size_t n = block_size(among, first);
        BT_TRY(bt_stop_check(err));
        BT_TRY(data_names_read(among, first, n, run->block, err));
        for (size_t i = 0; i < n; i++) {
            uint64_t *const place = find(run->table, run->mask, run->block[i]);
            *place |= *place != 0 ? FOUND : 0;
        }
    }
    return BT_OK;
}

static bt_status count_marked(shared_run *run, const data_names *of, int64_t *n, int64_t *first,
                              bt_error *err) {
    for (size_t begin = 0; begin < of->n; begin += DATA_NAMES_BLOCK) {
        const size_t n_block = block_size(of, begin);
        BT_TRY(data_names_read(of, begin, n_block, run->block, err));
        for (size_t i = 0; i < n_block; i++) {
            const uint64_t name = run->block[i];
            const bool is_shared = name != 0 && (*find(run->table, run->mask, name) & FOUND) != 0;
            *first = is_shared && *n == 0 ? (int64_t)(begin + i) : *first;
            *n += is_shared ? 1 : 0;
        }
    }
    return BT_OK;
}

bt_status data_names_shared(const data_names *of, const data_names *among, int64_t *n,
                            int64_t *first, bt_error *err) {
    size_t n_places = 16;
    *n = 0;
    *first = -1;
    if (of->n == 0 || among->n == 0) {
        return BT_OK;
    }
    while (n_places < 2 * of->n) {
        n_places *= 2;
    }
    shared_run run = {.table = bt_calloc_array(n_places, sizeof *run.table), .mask = n_places - 1};
    if (run.table == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a comparison of %zu rows", of->n);
    }
    bt_status rc = put_all(&run, of, err);
    rc = rc == BT_OK ? mark_all(&run, among, err) : rc;
    rc = rc == BT_OK ? count_marked(&run, of, n, first, err) : rc;
    bt_free(run.table);
    return rc;
}
