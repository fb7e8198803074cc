/* SPDX-License-Identifier: Apache-2.0
 *
 * What is true with and without plug-ins built in: the names of their kinds. */
#include "bt/pjrt.h"

static const char *const names[BT_PJRT_N_KINDS] = {
    [BT_PJRT_CPU] = "cpu", [BT_PJRT_CUDA] = "cuda", [BT_PJRT_TPU] = "tpu"};

const char *bt_pjrt_kind_name(bt_pjrt_kind kind) {
    return names[kind];
}
