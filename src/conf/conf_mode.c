/* SPDX-License-Identifier: Apache-2.0
 *
 * The modes: their names, and which sections of data each reads. */
#include <string.h>

#include "bt/base/compiler.h"
#include "bt/conf.h"

static const struct {
    const char *name;
    bool        trains;
    bool        evaluates;
} modes[] = {
    [BT_CONF_MODE_TRAIN] = {"train", true, false},
    [BT_CONF_MODE_EVAL] = {"eval", false, true},
    [BT_CONF_MODE_TRAIN_AND_EVAL] = {"train_and_eval", true, true},
    [BT_CONF_MODE_CONTINUOUS_EVAL] = {"continuous_eval", false, true},
    [BT_CONF_MODE_CONTINUOUS_TRAIN_AND_EVAL] = {"continuous_train_and_eval", true, true},
    [BT_CONF_MODE_TRAIN_AND_VALIDATE] = {"train_and_validate", true, false},
    [BT_CONF_MODE_TRAIN_AND_POST_EVAL] = {"train_and_post_eval", true, true},
    [BT_CONF_MODE_PREDICT] = {"predict", false, true},
    [BT_CONF_MODE_EXPORT] = {"export", false, false},
};

bool bt_conf_mode_parse(const char *text, bt_conf_mode *out) {
    for (size_t i = 0; i < BT_ARRAY_LEN(modes); i++) {
        if (strcmp(modes[i].name, text) == 0) {
            *out = (bt_conf_mode)i;
            return true;
        }
    }
    return false;
}

const char *bt_conf_mode_name(bt_conf_mode mode) {
    return modes[mode].name;
}

const char *bt_conf_mode_names(void) {
    return "train|eval|train_and_eval|continuous_eval|continuous_train_and_eval|train_and_validate|"
           "train_and_post_eval|predict|export";
}

bool bt_conf_mode_trains(bt_conf_mode mode) {
    return modes[mode].trains;
}

bool bt_conf_mode_evaluates(bt_conf_mode mode) {
    return modes[mode].evaluates;
}

bool bt_conf_mode_reads(bt_conf_mode mode, const char *section) {
    return strcmp(section, BT_CONF_TRAIN_DATA) == 0 ? modes[mode].trains : modes[mode].evaluates;
}
