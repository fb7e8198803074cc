/* SPDX-License-Identifier: Apache-2.0
 *
 * A string -> int64 map: open addressing, linear probing, keys copied into one arena. Never
 * shrinks and has no delete, because nobody here deletes. */
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/arena.h"
#include "bt/base/map.h"

typedef struct slot {
    const char *key; /* in the arena; NULL = empty */
    size_t      key_len;
    uint64_t    hash;
    int64_t     value;
} slot;

struct bt_map {
    slot    *slots; /* owned; n_slots is a power of two */
    size_t   n_slots;
    size_t   n_used;
    bt_arena keys;
};

enum { KEY_BLOCK_BYTES = 4096 };

/* FNV-1a followed by a mixer: short keys with common prefixes are the usual case here. */
static uint64_t hash_bytes(const char *key, size_t n) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++) {
        h = (h ^ (unsigned char)key[i]) * UINT64_C(0x100000001b3);
    }
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    return h ^ (h >> 32);
}

bt_status bt_map_create(bt_map **out, size_t expected, bt_error *err) {
    bt_status rc = BT_OK;
    bt_map   *map = bt_calloc_array(1, sizeof *map);
    if (map == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a map");
    }
    size_t n_slots = 16;
    while (n_slots / 2 < expected && n_slots < (SIZE_MAX >> 8)) {
        n_slots *= 2;
    }
    map->n_slots = n_slots;
    map->slots = bt_calloc_array(n_slots, sizeof *map->slots);
    if (map->slots == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for a map of %zu entries", expected);
        goto done;
    }
    BT_CHECK(bt_arena_init(&map->keys, KEY_BLOCK_BYTES, err));
    *out = map;
    map = NULL;
done:
    bt_map_free(map);
    return rc;
}

void bt_map_free(bt_map *map) {
    if (map != NULL) {
        bt_free(map->slots);
        bt_arena_deinit(&map->keys);
        bt_free(map);
    }
}

static slot *find_slot(slot *slots, size_t n_slots, const char *key, size_t key_len,
                       uint64_t hash) {
    size_t i = (size_t)hash & (n_slots - 1);
    while (slots[i].key != NULL) {
        if (slots[i].hash == hash && slots[i].key_len == key_len &&
            memcmp(slots[i].key, key, key_len) == 0) {
            break;
        }
        i = (i + 1) & (n_slots - 1);
    }
    return &slots[i];
}

static bt_status grow_slots(bt_map *map, bt_error *err) {
    const size_t n_slots = map->n_slots * 2;
    slot *const  slots = bt_calloc_array(n_slots, sizeof *slots);
    if (slots == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a map of %zu slots", n_slots);
    }
    for (size_t i = 0; i < map->n_slots; i++) {
        const slot *const old = &map->slots[i];
        if (old->key != NULL) {
            *find_slot(slots, n_slots, old->key, old->key_len, old->hash) = *old;
        }
    }
    bt_free(map->slots);
    map->slots = slots;
    map->n_slots = n_slots;
    return BT_OK;
}

bt_status bt_map_put(bt_map *map, const char *key, size_t key_len, int64_t value, bt_error *err) {
    if (map->n_used >= map->n_slots / 2) {
        BT_TRY(grow_slots(map, err));
    }
    const uint64_t hash = hash_bytes(key, key_len);
    slot *const    place = find_slot(map->slots, map->n_slots, key, key_len, hash);
    if (place->key == NULL) {
        /* Small keys would waste a 64-byte line each in the arena; the vocabulary, the largest
         * user, has 30,000. */
        char *const copy = bt_arena_strndup(&map->keys, key, key_len);
        if (copy == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for a map key");
        }
        *place = (slot){.key = copy, .key_len = key_len, .hash = hash, .value = value};
        map->n_used++;
    }
    place->value = value;
    return BT_OK;
}

bool bt_map_get(const bt_map *map, const char *key, size_t key_len, int64_t *value) {
    const slot *const place =
        find_slot(map->slots, map->n_slots, key, key_len, hash_bytes(key, key_len));
    if (place->key == NULL) {
        return false;
    }
    *value = place->value;
    return true;
}

size_t bt_map_size(const bt_map *map) {
    return map->n_used;
}

bt_status bt_find_twice(const char *const *words, size_t n, size_t *first, size_t *second,
                        bt_error *err) {
    bt_map   *places = NULL;
    bt_status rc = BT_OK;
    *first = n;
    *second = n;
    BT_TRY(bt_map_create(&places, n, err));
    for (size_t i = 0; i < n; i++) {
        int64_t place = 0;
        if (bt_map_get(places, words[i], strlen(words[i]), &place)) {
            *first = (size_t)place;
            *second = i;
            break;
        }
        BT_CHECK(bt_map_put(places, words[i], strlen(words[i]), (int64_t)i, err));
    }
done:
    bt_map_free(places);
    return rc;
}
