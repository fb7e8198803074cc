/* SPDX-License-Identifier: Apache-2.0
 *
 * The encoder in 8 bits, for evaluations of the CPU engine. */
#ifndef BT_EXEC_CPU_INT8_H
#define BT_EXEC_CPU_INT8_H

#include "exec_cpu_internal.h"

void   exec_int8_free(exec_int8 *int8);
size_t exec_int8_bytes(const exec_int8 *int8);
/* Bytes of scratch for a thread (bt_nn.panels); 0 for NULL. */
size_t exec_int8_scratch_bytes(const exec_int8 *int8, const bt_model *model);
/* exec_encoder_forward of such an engine. */
const float *exec_int8_encoder_forward(exec_cpu *exec, const exec_pass *pass);

#endif
