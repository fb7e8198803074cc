/* SPDX-License-Identifier: Apache-2.0
 *
 * Golden tensors: a small reader of safetensors files that trusts them, and makes those tensors
 * that a file only names (tests/make_goldens/philox.py) (bt/wire/safetensors.h has the one for
 * users' files, and is itself tested against these). Every function fails the running test when
 * something is missing. */
#ifndef BT_TEST_TENSORS_H
#define BT_TEST_TENSORS_H

#include "test_support.h"

#include <jansson.h>

typedef struct test_tensors test_tensors;
test_tensors               *test_tensors_open(const char *path);
void                        test_tensors_close(test_tensors *tensors);
bool                        test_tensors_has(const test_tensors *tensors, const char *name);
/* The file's header with the tensors that were made: NAME -> {dtype, shape, data_offsets}. */
const json_t *test_tensors_header(const test_tensors *tensors);
/* Borrowed until close, 8-byte aligned; the dtype must be this one. n may be NULL. */
const float   *test_tensors_f32(const test_tensors *tensors, const char *name, size_t *n);
const int32_t *test_tensors_i32(const test_tensors *tensors, const char *name, size_t *n);
const int64_t *test_tensors_i64(const test_tensors *tensors, const char *name, size_t *n);

/* A whole JSON file, Python's NaN read as null; json_decref it. */
json_t *test_read_json(const char *path);

#endif
