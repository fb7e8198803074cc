/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine on devices of the CPU plug-in in place of a fixture's engine. */
#ifndef BT_DEVICES_FIXTURE_H
#define BT_DEVICES_FIXTURE_H

#include "exec_fixture.h"
#include "test_pjrt_run.h"

/* Programs that take half the time to compile, with the same numbers but for rounding. */
bt_exec_devices devices_of_test(int32_t n_replicas);
/* With shares of sequences: those of Model Garden's replicas. */
void fixture_to_replicas(fixture *f, int32_t n_replicas, const bt_exec_config *config);
/* The same parameters, slots and averages, on that many devices. */
void fixture_to_devices(fixture *f, int32_t n_replicas, const bt_exec_config *config);

#endif
