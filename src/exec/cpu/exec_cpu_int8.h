/* SPDX-License-Identifier: Apache-2.0
 *
 * The encoder in 8 bits, for evaluations of the CPU engine. */
#ifndef BT_EXEC_CPU_INT8_H
#define BT_EXEC_CPU_INT8_H

#include "exec_cpu_weights.h"

void   exec_int8_free(exec_int8 *int8);
size_t exec_int8_bytes(const exec_int8 *int8);
/* BT_E_INTERNAL: weights are to be in 8 bits, and not all are. */
BT_MUST_USE bt_status exec_int8_check(const exec_cpu *exec, bt_error *err);
/* All are: nothing is read of what is written now. */
bool exec_int8_is_whole(const exec_cpu *exec);
/* From here on exec->int8 is there, without weights. */
BT_MUST_USE bt_status exec_int8_begin(exec_cpu *exec, bt_error *err);
/* Is the weight one of those that are in 8 bits? */
bool exec_int8_has(const exec_cpu *exec, const exec_weight *weight);
/* From its floats, which are not needed afterwards. */
BT_MUST_USE bt_status exec_int8_round(exec_cpu *exec, const exec_weight *weight,
                                      const float *kernel, bt_error *err);
/* All parameters have their values: rounds what is floats yet, and gives those back. Nothing where
 * that was done, or nothing is to be rounded. */
BT_MUST_USE bt_status exec_int8_finish(exec_cpu *exec, bt_error *err);
/* Bytes of scratch for a thread (bt_nn.panels); 0 for NULL. */
size_t exec_int8_scratch_bytes(const exec_int8 *int8, const bt_model *model);
/* exec_encoder_forward of such an engine. */
const float *exec_int8_encoder_forward(exec_cpu *exec, const exec_pass *pass);

#endif
