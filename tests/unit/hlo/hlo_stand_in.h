/* SPDX-License-Identifier: Apache-2.0
 *
 * A program for GPUs made into one for processors: in place of each call of an attention kernel
 * stands a function in plain StableHLO that does what hlo_flash.h says of that kernel. So all
 * around the kernels runs where there is no GPU. */
#ifndef BT_HLO_STAND_IN_H
#define BT_HLO_STAND_IN_H

#include "bt/hlo.h"

/* Of float32, with n_longest. */
void hlo_stand_in(bt_hlo_program *program, const bt_model *model, const bt_hlo_config *config);

#endif
