/* SPDX-License-Identifier: Apache-2.0
 *
 * tf.Example: named lists of bytes, floats or int64, parsed in place and serialized
 * (docs/model_garden/data.md section 5). */
#ifndef BT_WIRE_EXAMPLE_H
#define BT_WIRE_EXAMPLE_H

#include "bt/base/bytes.h"
#include "bt/base/str.h"

typedef enum bt_feature_kind {
    BT_FEATURE_UNSET = 0, /* the feature is there, its value is not: counts as missing */
    BT_FEATURE_BYTES = 1,
    BT_FEATURE_F32 = 2,
    BT_FEATURE_I64 = 3,
} bt_feature_kind;
const char *bt_feature_kind_name(bt_feature_kind kind); /* "string", "float", "int64", "nothing" */

typedef struct bt_feature {
    bt_bytes        key; /* not NUL-terminated */
    bt_feature_kind kind;
    bool            split; /* bytes follow the first list, which TensorFlow does not read */
    bt_bytes        list;  /* the list message */
} bt_feature;

/* Zero-copy: points into the bytes that were parsed. Reuse one object for many records; it
 * allocates only when a record has more features than any before. */
typedef struct bt_example {
    bt_feature *features;
    size_t      n;
    size_t      cap;
} bt_example;
#define BT_EXAMPLE_INIT                                                                            \
    { .features = NULL, .n = 0, .cap = 0 }
void bt_example_deinit(bt_example *example);
/* bytes must outlive what is read from example. */
BT_MUST_USE bt_status bt_example_parse(bt_example *example, bt_bytes bytes, bt_error *err);
/* The last feature of that name; NULL when there is none or its value is unset. */
const bt_feature *bt_example_find(const bt_example *example, const char *key);

/* A feature of exactly n values. Missing, another kind, another number or a list split in several
 * chunks is BT_E_FORMAT ("feature input_ids: 128 int64 values expected, got 64"). */
BT_MUST_USE bt_status bt_example_get_i64(const bt_example *example, const char *key, int64_t *dst,
                                         size_t n, bt_error *err);
BT_MUST_USE bt_status bt_example_get_f32(const bt_example *example, const char *key, float *dst,
                                         size_t n, bt_error *err);
BT_MUST_USE bt_status bt_example_get_bytes(const bt_example *example, const char *key,
                                           bt_bytes *dst, size_t n, bt_error *err);
/* A feature of any number of values (the first chunk of a split list). *n is their number; the
 * first min(*n, cap) of them are stored. dst may be NULL with cap 0: to count. */
BT_MUST_USE bt_status bt_feature_read_i64(const bt_feature *feature, int64_t *dst, size_t cap,
                                          size_t *n, bt_error *err);
BT_MUST_USE bt_status bt_feature_read_f32(const bt_feature *feature, float *dst, size_t cap,
                                          size_t *n, bt_error *err);
BT_MUST_USE bt_status bt_feature_read_bytes(const bt_feature *feature, bt_bytes *dst, size_t cap,
                                            size_t *n, bt_error *err);

/* Serializes features in the order in which they are added (int lists packed varints, floats
 * packed little-endian), as TensorFlow's protobuf does. Reusable: bt_example_builder_clear. */
typedef struct bt_example_builder {
    struct example_texts *texts; /* owned; NULL: nothing was added */
} bt_example_builder;
#define BT_EXAMPLE_BUILDER_INIT                                                                    \
    { .texts = NULL }
void                  bt_example_builder_deinit(bt_example_builder *builder);
void                  bt_example_builder_clear(bt_example_builder *builder);
BT_MUST_USE bt_status bt_example_add_i64(bt_example_builder *builder, const char *key,
                                         const int64_t *values, size_t n, bt_error *err);
BT_MUST_USE bt_status bt_example_add_i32(bt_example_builder *builder, const char *key,
                                         const int32_t *values, size_t n, bt_error *err);
BT_MUST_USE bt_status bt_example_add_f32(bt_example_builder *builder, const char *key,
                                         const float *values, size_t n, bt_error *err);
BT_MUST_USE bt_status bt_example_add_bytes(bt_example_builder *builder, const char *key,
                                           const bt_bytes *values, size_t n, bt_error *err);
/* The whole message; borrowed until the builder changes. */
BT_MUST_USE bt_status bt_example_finish(bt_example_builder *builder, bt_bytes *out, bt_error *err);

#endif
