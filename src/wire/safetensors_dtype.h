/* SPDX-License-Identifier: Apache-2.0
 *
 * What a safetensors file calls element types. */
#ifndef BT_SAFETENSORS_DTYPE_H
#define BT_SAFETENSORS_DTYPE_H

#include "bt/tensor.h"

bt_dtype    safetensors_dtype(const char *name);    /* BT_DTYPE_INVALID: none that is read here */
const char *safetensors_dtype_name(bt_dtype dtype); /* NULL: that format has no such type */

#endif
