/* SPDX-License-Identifier: Apache-2.0
 *
 * data, private: where each row of an input begins, in some ten bits a row (data_places.c). Places
 * are of one line through all files: a file's begin where those of the files before it end. */
#ifndef BT_DATA_PLACES_H
#define BT_DATA_PLACES_H

#include "bt/base/str.h"
#include "bt/fs.h"

enum {
    DATA_PLACES_GROUP = 128,      /* rows that are coded together */
    DATA_PLACES_ENTRY_BYTES = 24, /* of a group: first place, least distance, where its bits are */
    DATA_PLACES_CODED_BYTES = 8 * DATA_PLACES_GROUP, /* of a group's distances at most */
};

typedef struct data_places {
    int64_t n;
    int64_t end;       /* of the last row */
    bt_str  groups;    /* an entry each */
    bt_str  distances; /* of the rows of a group, as few bits each as they need */
    /* Of a file that holds the two, in place of them; borrowed. */
    const bt_file *file;
    int64_t        groups_at;
    int64_t        distances_at;
    int64_t        n_distance_bytes;
    /* The group that is filled, or was read last. */
    int64_t open[DATA_PLACES_GROUP + 1];
    size_t  n_open;
    int64_t group; /* which one open is: once finished; -1: none */
} data_places;

/* Zero-initialise. Rows are added in the order of their places, none before one that was; then all
 * of them are there to be asked for. */
bt_status data_places_add(data_places *places, int64_t begin, bt_error *err);
bt_status data_places_finish(data_places *places, int64_t end, bt_error *err);
/* Where row i begins, and the next one, or the end. BT_E_FORMAT: of a file that was damaged. */
bt_status data_places_get(data_places *places, int64_t i, int64_t *begin, int64_t *end,
                          bt_error *err);
void      data_places_deinit(data_places *places);

#endif
