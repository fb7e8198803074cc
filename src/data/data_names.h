/* SPDX-License-Identifier: Apache-2.0
 *
 * data, private: a name of 64 bits for what each row says, by which the rows of two sections are
 * compared (data_names.c). */
#ifndef BT_DATA_NAMES_H
#define BT_DATA_NAMES_H

#include "data_internal.h"

struct data_names {
    uint64_t *names; /* owned; [n]; 0: damaged, like no other */
    size_t    n;
    size_t    cap;
    /* Of a file that has them, in place of names; borrowed. */
    const bt_file *file;
    int64_t        at;
};

/* A name is begun with 0, takes in one text after the other ("ab","c" is not "a","bc"), and is put.
 */
uint64_t  data_name_add(uint64_t name, const void *bytes, size_t n);
bt_status data_names_put(data_names *names, uint64_t name, bt_error *err);
bt_status data_names_put_damaged(data_names *names, bt_error *err);
void      data_names_deinit(data_names *names);
/* Names first .. first + n - 1; n at most DATA_NAMES_BLOCK. */
enum { DATA_NAMES_BLOCK = 4096 };
bt_status data_names_read(const data_names *names, size_t first, size_t n, uint64_t *out,
                          bt_error *err);
/* How many of `of` are among the others, and the place of the first (-1: none). */
bt_status data_names_shared(const data_names *of, const data_names *among, int64_t *n,
                            int64_t *first, bt_error *err);

#endif
