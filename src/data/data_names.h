/* SPDX-License-Identifier: Apache-2.0
 *
 * data, private: a name of 64 bits for what each row says, by which the rows of two sections are
 * compared (data_names.c). */
#ifndef BT_DATA_NAMES_H
#define BT_DATA_NAMES_H

#include "data_internal.h"

struct data_names {
    size_t    n;
    uint64_t *names; /* owned; [n - n_spilled], those that came last; 0: damaged, like no other */
    size_t    cap;
    /* The first n_spilled of many: in a file without a name, where TMPDIR has room for them. */
    bt_fs_scratch *spilled; /* owned */
    size_t         n_spilled;
    bool           is_full; /* it has none: all stay in memory */
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
enum { DATA_NAMES_BLOCK = 4096, DATA_NAMES_IN_MEMORY = 1 << 20 };
bt_status data_names_read(const data_names *names, size_t first, size_t n, uint64_t *out,
                          bt_error *err);
/* Where they come from an index: is this what it knows of the row? Else BT_E_FORMAT. */
bt_status data_names_check(const data_names *names, int64_t row, uint64_t name, bt_error *err);
/* Leaves those of which is_used [n] is true, in their order. */
bt_status data_names_keep(data_names *names, const bool *is_used, bt_error *err);
/* How many of `of` are among the others, and the place of the first (-1: none). */
bt_status data_names_shared(const data_names *of, const data_names *among, int64_t *n,
                            int64_t *first, bt_error *err);

#endif
