/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers for the kernel tests: reproducible floats at chosen offsets, their double twins, and a
 * guard after every output that shows a write too far. */
#ifndef BT_KERN_TEST_DATA_H
#define BT_KERN_TEST_DATA_H

#include "bt/kern.h"
#include "test_support.h"

enum { DATA_MAX = 8192, DATA_GUARD = 24 };

typedef struct data {
    float  room[DATA_MAX + DATA_GUARD];
    float *f; /* [n], at the offset asked for */
    double d[DATA_MAX];
    size_t n;
} data;

/* n values like N(0,1) * size, different for each seed; n + offset <= DATA_MAX */
void data_fill(data *x, size_t n, size_t offset, uint64_t seed, double size);
void data_constant(data *x, size_t n, size_t offset, double value);
/* |f - d| <= abs + rel |d| everywhere, and nothing after [n] was written */
void data_check(const data *x, double abs_tol, double rel_tol, const char *isa, const char *op);

/* sizes around the vector widths, odd primes, large */
extern const size_t data_sizes[];
extern const size_t data_n_sizes;

typedef void (*isa_test)(const bt_kern *kern);
void for_each_isa(isa_test test);

#endif
