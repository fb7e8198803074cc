/* SPDX-License-Identifier: Apache-2.0
 *
 * report, private: the rows that an evaluation keeps. */
#ifndef BT_REPORT_ROWS_H
#define BT_REPORT_ROWS_H

#include "bt/report.h"

/* Pointers into the arrays of bt_report_rows. */
typedef struct kept_row {
    int64_t  place;   /* in the stream */
    double   wrong;   /* the confidence of its worst mistake; of a score the distance */
    int64_t  n;       /* tokens */
    int32_t *ids;     /* [n] */
    int32_t *types;   /* [n] */
    int32_t *labels;  /* CLASSES [1]; LABEL_SETS [C] 0 or 1; TAGS [n] */
    int32_t *found;   /* likewise: what was predicted */
    double  *chances; /* CLASSES: of the prediction, of the label; SCORES: prediction, label;
                       * LABEL_SETS [C]; TAGS [n]: of the prediction */
} kept_row;

struct bt_report_rows {
    bt_report_rows_config config;
    kept_row             *kept; /* [n_most] */
    int64_t               n_kept;
    int32_t              *numbers;
    double               *chances;
    int64_t              *lengths; /* [seq_length + 1] rows of so many tokens */
    int64_t               n_rows;
    int64_t               n_wrong;
};

#endif
