/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: labels against predictions as a gray picture. */
#ifndef BT_TRAIN_CONFUSION_PICTURE_H
#define BT_TRAIN_CONFUSION_PICTURE_H

#include "bt/metrics.h"

typedef struct confusion_picture {
    uint8_t *pixels; /* [height,width] owned; 0: black */
    uint32_t width, height;
} confusion_picture;

/* A row a label, a column a prediction, in each cell its number, numbers of the classes beside
 * them; the more of its row a cell holds the darker it is, and a thick border marks those that are
 * right. confusion has cells. */
BT_MUST_USE bt_status confusion_picture_draw(const bt_metrics_confusion *confusion,
                                             confusion_picture *out, bt_error *err);
void                  confusion_picture_free(confusion_picture *picture);

#endif
