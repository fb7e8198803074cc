/* SPDX-License-Identifier: Apache-2.0
 *
 * What is true with and without plug-ins built in: names of their kinds, sizes of arrays. */
#include "bt/base/size.h"
#include "bt/pjrt.h"

static const char *const names[BT_PJRT_N_KINDS] = {
    [BT_PJRT_CPU] = "cpu", [BT_PJRT_CUDA] = "cuda", [BT_PJRT_TPU] = "tpu"};

const char *bt_pjrt_kind_name(bt_pjrt_kind kind) {
    return names[kind];
}

bool bt_pjrt_shape_bytes(const bt_pjrt_shape *shape, size_t *n_bytes) {
    const bool has_size = shape->dtype != BT_DTYPE_STRING && shape->dtype != BT_DTYPE_C64;
    int64_t    n = 0;
    return has_size && shape->rank >= 0 && shape->rank <= BT_PJRT_MAX_RANK &&
           bt_dims_count(shape->dim, shape->rank, &n) &&
           bt_size_mul((size_t)n, bt_dtype_size(shape->dtype), n_bytes);
}
