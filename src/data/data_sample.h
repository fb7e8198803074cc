/* SPDX-License-Identifier: Apache-2.0
 *
 * data, private: what the first records of an input are (data_sample.c). */
#ifndef BT_DATA_SAMPLE_H
#define BT_DATA_SAMPLE_H

#include "data_internal.h"

/* So many rows, and fewer of long ones: a few milliseconds. */
enum { DATA_SAMPLE_ROWS = 1000, DATA_SAMPLE_TOKENS = DATA_SAMPLE_ROWS * 128 };

enum { DATA_SAMPLE_BEYOND = 8 };

typedef struct data_sample {
    int64_t *counts; /* owned; [n_classes] rows, or words of taggers; NULL: nothing was read */
    int64_t  n_classes;
    int64_t  n_rows;
    int64_t  n_wrong; /* that the run will not take */
    bt_error first_wrong;
    int32_t  beyond[DATA_SAMPLE_BEYOND]; /* labels that no class has */
    size_t   n_beyond;
} data_sample;

/* Nothing is read where labels are known already, or there are no classes; what is wrong is told.
 * So many damaged ones may be skipped. schema is as before afterwards; the slot is used. */
bt_status data_sample_read(data_sample *sample, data_rows *rows, bt_data_schema *schema,
                           const bt_data_config *config, data_slot *slot, bt_error *err);
void      data_sample_deinit(data_sample *sample);

#endif
