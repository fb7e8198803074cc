/* SPDX-License-Identifier: Apache-2.0
 *
 * tf.Example without copying: Example {1: Features {1: map<string, Feature>}}, Feature = one of
 * {1: BytesList, 2: FloatList, 3: Int64List}, each list {1: values}. Takes and refuses what
 * TensorFlow's parser takes and refuses (docs/model_garden/data.md section 5): the last of equal
 * keys wins, several Features messages add up, unknown fields are skipped, the first kind of a
 * feature counts. */
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/wire/example.h"
#include "proto_wire.h"

static const size_t features_max = (size_t)1 << 24;

const char *bt_feature_kind_name(bt_feature_kind kind) {
    switch (kind) {
    case BT_FEATURE_UNSET:
        return "nothing";
    case BT_FEATURE_BYTES:
        return "string";
    case BT_FEATURE_F32:
        return "float";
    case BT_FEATURE_I64:
        return "int64";
    }
    return "nothing";
}

void bt_example_deinit(bt_example *example) {
    bt_free(example->features);
    *example = (bt_example)BT_EXAMPLE_INIT;
}

static bool parse_value(bt_bytes bytes, bt_feature *feature) {
    bt_reader r = pw_open(bytes);
    while (bt_reader_left(&r) > 0) {
        pw_field field;
        if (!pw_next(&r, &field)) {
            return false;
        }
        if (field.number < BT_FEATURE_BYTES || field.number > BT_FEATURE_I64) {
            continue;
        }
        if (field.type != PW_BYTES) {
            return false;
        }
        if (feature->kind != BT_FEATURE_UNSET) {
            feature->split = true;
            continue;
        }
        feature->kind = (bt_feature_kind)field.number;
        feature->list = field.bytes;
    }
    return true;
}

/* One entry of the map: {1: key, 2: value}, in any order. */
static bool parse_entry(bt_bytes bytes, bt_feature *feature) {
    bt_reader r = pw_open(bytes);
    *feature = (bt_feature){0};
    while (bt_reader_left(&r) > 0) {
        pw_field field;
        if (!pw_next(&r, &field)) {
            return false;
        }
        if (field.number > 2) {
            continue;
        }
        if (field.type != PW_BYTES) {
            return false;
        }
        if (field.number == 1) {
            feature->key = field.bytes;
        } else if (!parse_value(field.bytes, feature)) {
            return false;
        }
    }
    return true;
}

static bt_status parse_features(bt_example *example, bt_bytes bytes, bool *good, bt_error *err) {
    bt_reader r = pw_open(bytes);
    *good = false;
    while (bt_reader_left(&r) > 0) {
        pw_field field;
        if (!pw_next(&r, &field)) {
            return BT_OK;
        }
        if (field.number != 1) {
            continue;
        }
        BT_TRY(bt_grow(&example->features, &example->cap, example->n + 1, sizeof(bt_feature),
                       features_max, err));
        if (field.type != PW_BYTES || !parse_entry(field.bytes, &example->features[example->n])) {
            return BT_OK;
        }
        example->n++;
    }
    *good = true;
    return BT_OK;
}

bt_status bt_example_parse(bt_example *example, bt_bytes bytes, bt_error *err) {
    bt_reader r = pw_open(bytes);
    example->n = 0;
    while (bt_reader_left(&r) > 0) {
        const size_t at = bytes.n_bytes - bt_reader_left(&r);
        pw_field     field;
        bool         good = pw_next(&r, &field);
        if (good && field.number == 1) {
            good = field.type == PW_BYTES;
            if (good) {
                BT_TRY(parse_features(example, field.bytes, &good, err));
            }
        }
        if (!good) {
            example->n = 0;
            return BT_FAIL(err, BT_E_FORMAT,
                           "not a tf.Example: the message of %zu bytes is damaged at byte %zu",
                           bytes.n_bytes, at);
        }
    }
    return BT_OK;
}

const bt_feature *bt_example_find(const bt_example *example, const char *key) {
    const size_t n_key = strlen(key);
    for (size_t i = example->n; i-- > 0;) { /* the last of equal keys wins */
        const bt_feature *const feature = &example->features[i];
        if (feature->key.n_bytes == n_key &&
            (n_key == 0 || memcmp(feature->key.data, key, n_key) == 0)) {
            return feature->kind == BT_FEATURE_UNSET ? NULL : feature;
        }
    }
    return NULL;
}

static bt_status fail_kind(const bt_feature *feature, bt_feature_kind want, bt_error *err) {
    return BT_FAIL(err, BT_E_FORMAT, "feature %.*s: %s expected, got %s", (int)feature->key.n_bytes,
                   (const char *)feature->key.data, bt_feature_kind_name(want),
                   bt_feature_kind_name(feature->kind));
}

static bt_status fail_list(const bt_feature *feature, bt_error *err) {
    return BT_FAIL(err, BT_E_FORMAT, "feature %.*s: its list of %s values is damaged",
                   (int)feature->key.n_bytes, (const char *)feature->key.data,
                   bt_feature_kind_name(feature->kind));
}

/* What holds the values: a packed chunk, or the unpacked list itself. *more: bytes follow. */
static bool open_list(const bt_feature *feature, bool *packed, bt_reader *values, bool *more) {
    bt_reader r = pw_open(feature->list);
    *more = feature->split;
    *packed = false;
    *values = r;
    if (bt_reader_left(&r) == 0) {
        return true;
    }
    pw_field first;
    if (!pw_next(&r, &first) || first.number != 1) {
        return false;
    }
    if (feature->kind != BT_FEATURE_BYTES && first.type == PW_BYTES) {
        *packed = true;
        *values = pw_open(first.bytes);
        *more = *more || bt_reader_left(&r) > 0;
    }
    return true;
}

static bool next_i64(bt_reader *r, bool packed, int64_t *value) {
    uint64_t bits = 0;
    if (packed) {
        if (!bt_read_varint(r, &bits)) {
            return false;
        }
    } else {
        pw_field field;
        if (!pw_next(r, &field) || field.number != 1 || field.type != PW_VARINT) {
            return false;
        }
        bits = field.value;
    }
    memcpy(value, &bits, sizeof bits); /* two's complement */
    return true;
}

static bool next_f32(bt_reader *r, bool packed, float *value) {
    uint32_t bits = 0;
    if (packed) {
        if (!bt_read_u32le(r, &bits)) {
            return false;
        }
    } else {
        pw_field field;
        if (!pw_next(r, &field) || field.number != 1 || field.type != PW_FIXED32) {
            return false;
        }
        bits = (uint32_t)field.value;
    }
    *value = pw_f32(bits);
    return true;
}

bt_status bt_feature_read_i64(const bt_feature *feature, int64_t *dst, size_t cap, size_t *n,
                              bt_error *err) {
    bool      packed = false;
    bool      more = false;
    bt_reader r;
    if (feature->kind != BT_FEATURE_I64) {
        return fail_kind(feature, BT_FEATURE_I64, err);
    }
    if (!open_list(feature, &packed, &r, &more)) {
        return fail_list(feature, err);
    }
    size_t count = 0;
    while (bt_reader_left(&r) > 0) {
        int64_t value = 0;
        if (!next_i64(&r, packed, &value)) {
            return fail_list(feature, err);
        }
        if (count < cap) {
            dst[count] = value;
        }
        count++;
    }
    *n = count;
    return BT_OK;
}

bt_status bt_feature_read_f32(const bt_feature *feature, float *dst, size_t cap, size_t *n,
                              bt_error *err) {
    bool      packed = false;
    bool      more = false;
    bt_reader r;
    if (feature->kind != BT_FEATURE_F32) {
        return fail_kind(feature, BT_FEATURE_F32, err);
    }
    if (!open_list(feature, &packed, &r, &more)) {
        return fail_list(feature, err);
    }
    size_t count = 0;
    while (bt_reader_left(&r) > 0) {
        float value = 0;
        if (!next_f32(&r, packed, &value)) {
            return fail_list(feature, err);
        }
        if (count < cap) {
            dst[count] = value;
        }
        count++;
    }
    *n = count;
    return BT_OK;
}

bt_status bt_feature_read_bytes(const bt_feature *feature, bt_bytes *dst, size_t cap, size_t *n,
                                bt_error *err) {
    if (feature->kind != BT_FEATURE_BYTES) {
        return fail_kind(feature, BT_FEATURE_BYTES, err);
    }
    bt_reader r = pw_open(feature->list);
    size_t    count = 0;
    while (bt_reader_left(&r) > 0) {
        pw_field field;
        if (!pw_next(&r, &field) || field.number != 1 || field.type != PW_BYTES) {
            return fail_list(feature, err);
        }
        if (count < cap) {
            dst[count] = field.bytes;
        }
        count++;
    }
    *n = count;
    return BT_OK;
}

static bt_status require(const bt_example *example, const char *key, bt_feature_kind kind,
                         const bt_feature **out, bt_error *err) {
    const bt_feature *const feature = bt_example_find(example, key);
    if (feature == NULL) {
        return BT_FAIL(err, BT_E_FORMAT, "feature %s (%s) is required, but the record has none",
                       key, bt_feature_kind_name(kind));
    }
    if (feature->kind != kind) {
        return fail_kind(feature, kind, err);
    }
    bool      packed = false;
    bool      more = false;
    bt_reader r;
    if (!open_list(feature, &packed, &r, &more)) {
        return fail_list(feature, err);
    }
    if (more) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "feature %s: its list is split into several chunks, which TensorFlow does "
                       "not read either",
                       key);
    }
    *out = feature;
    return BT_OK;
}

static bt_status check_number(const char *key, bt_feature_kind kind, size_t want, size_t got,
                              bt_error *err) {
    if (got != want) {
        return BT_FAIL(err, BT_E_FORMAT, "feature %s: %zu %s values expected, got %zu", key, want,
                       bt_feature_kind_name(kind), got);
    }
    return BT_OK;
}

bt_status bt_example_get_i64(const bt_example *example, const char *key, int64_t *dst, size_t n,
                             bt_error *err) {
    const bt_feature *feature = NULL;
    size_t            got = 0;
    BT_TRY(require(example, key, BT_FEATURE_I64, &feature, err));
    BT_TRY(bt_feature_read_i64(feature, dst, n, &got, err));
    return check_number(key, BT_FEATURE_I64, n, got, err);
}

bt_status bt_example_get_f32(const bt_example *example, const char *key, float *dst, size_t n,
                             bt_error *err) {
    const bt_feature *feature = NULL;
    size_t            got = 0;
    BT_TRY(require(example, key, BT_FEATURE_F32, &feature, err));
    BT_TRY(bt_feature_read_f32(feature, dst, n, &got, err));
    return check_number(key, BT_FEATURE_F32, n, got, err);
}

bt_status bt_example_get_bytes(const bt_example *example, const char *key, bt_bytes *dst, size_t n,
                               bt_error *err) {
    const bt_feature *feature = NULL;
    size_t            got = 0;
    BT_TRY(require(example, key, BT_FEATURE_BYTES, &feature, err));
    BT_TRY(bt_feature_read_bytes(feature, dst, n, &got, err));
    return check_number(key, BT_FEATURE_BYTES, n, got, err);
}
