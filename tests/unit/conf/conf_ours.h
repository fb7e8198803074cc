/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of params_ours.yaml: each key that Model Garden does not have, with another value. */
#ifndef CONF_OURS_H
#define CONF_OURS_H

#include "bt/conf.h"

/* Changes every key of ours that the configuration has, in the branches that are selected, and
 * writes their paths to names, a line each. */
BT_MUST_USE bt_status conf_change_ours(bt_conf *conf, bt_str *names, bt_error *err);

#endif
