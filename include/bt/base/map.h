/* SPDX-License-Identifier: Apache-2.0
 *
 * A map from strings to int64 (an index into the caller's own array). */
#ifndef BT_BASE_MAP_H
#define BT_BASE_MAP_H

#include "bt/base/status.h"

typedef struct bt_map bt_map;
BT_MUST_USE bt_status bt_map_create(bt_map **out, size_t expected, bt_error *err);
void                  bt_map_free(bt_map *map);
/* Copies the key. An existing key gets the new value. */
BT_MUST_USE bt_status bt_map_put(bt_map *map, const char *key, size_t key_len, int64_t value,
                                 bt_error *err);
BT_MUST_USE bool bt_map_get(const bt_map *map, const char *key, size_t key_len, int64_t *value);
size_t           bt_map_size(const bt_map *map);
/* The first word that stood before: *first < *second are its places; *second = n: none did. */
BT_MUST_USE bt_status bt_find_twice(const char *const *words, size_t n, size_t *first,
                                    size_t *second, bt_error *err);

#endif
