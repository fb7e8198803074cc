/* SPDX-License-Identifier: Apache-2.0
 *
 * The weights of an engine that only evaluates, in panels in place of floats. */
#ifndef BT_EXEC_CPU_PANELS_H
#define BT_EXEC_CPU_PANELS_H

#include "exec_cpu_internal.h"

/* Which they are, before there is memory for them. */
BT_MUST_USE bt_status exec_panels_list(exec_cpu *exec, bt_error *err);
/* By how much an engine with them takes less than its parameters as floats. */
int64_t               exec_panels_saved_bytes(const exec_cpu *exec);
BT_MUST_USE bt_status exec_panels_create(exec_cpu *exec, bt_error *err);
void                  exec_panels_deinit(exec_panels *panels);
/* BT_E_INTERNAL: there are some; there are, and their floats are gone. */
BT_MUST_USE bt_status exec_panels_check_none(const exec_cpu *exec, bt_error *err);
BT_MUST_USE bt_status exec_panels_check_open(const exec_cpu *exec, bt_error *err);
/* Takes what was not taken yet; nothing where that was done before. Weights in floats cannot fail.
 */
BT_MUST_USE bt_status exec_panels_close(exec_cpu *exec, bt_error *err);

#endif
