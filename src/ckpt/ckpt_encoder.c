/* SPDX-License-Identifier: Apache-2.0
 *
 * What kind of encoder a file holds, told by the canonical names that its layout was mapped to. */
#include <stdio.h>

#include "ckpt_internal.h"

const char *bt_ckpt_encoder_name(bt_ckpt_encoder encoder) {
    switch (encoder) {
    case BT_CKPT_NO_ENCODER:
        return "no";
    case BT_CKPT_BERT:
        return "BERT";
    case BT_CKPT_ALBERT:
        return "ALBERT";
    }
    return "unknown";
}

void ckpt_find_encoder(bt_ckpt *ckpt) {
    ckpt->encoder = BT_CKPT_NO_ENCODER;
    ckpt->n_layers = 0;
    if (ckpt_find_place(ckpt, "transformer/self_attention/query/kernel", NULL) != NULL) {
        ckpt->encoder = BT_CKPT_ALBERT;
        ckpt->n_layers = 1;
        return;
    }
    for (;; ckpt->n_layers++) {
        char name[CKPT_NAME_MAX];
        (void)snprintf(name, sizeof name,
                       "transformer/layer_%" PRId64 "/self_attention/query/kernel", ckpt->n_layers);
        if (ckpt_find_place(ckpt, name, NULL) == NULL) {
            return;
        }
        ckpt->encoder = BT_CKPT_BERT;
    }
}

bt_ckpt_encoder bt_ckpt_get_encoder(const bt_ckpt *ckpt) {
    return ckpt->encoder;
}

int64_t bt_ckpt_n_layers(const bt_ckpt *ckpt) {
    return ckpt->n_layers;
}
