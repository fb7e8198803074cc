/* SPDX-License-Identifier: Apache-2.0
 *
 * The encoder in 8 bits, for evaluations of the CPU engine. */
#ifndef BT_EXEC_CPU_INT8_H
#define BT_EXEC_CPU_INT8_H

#include "exec_cpu_internal.h"

void   exec_int8_free(exec_int8 *int8);
size_t exec_int8_bytes(const exec_int8 *int8);
/* BT_E_INTERNAL: rounding failed midway, and there are neither all floats nor all bytes. */
BT_MUST_USE bt_status exec_int8_check(const exec_cpu *exec, bt_error *err);
/* Bytes of scratch for a thread (bt_nn.panels); 0 for NULL. */
size_t exec_int8_scratch_bytes(const exec_int8 *int8, const bt_model *model);
/* exec_encoder_forward of such an engine. */
const float *exec_int8_encoder_forward(exec_cpu *exec, const exec_pass *pass);

#endif
