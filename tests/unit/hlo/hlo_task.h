/* SPDX-License-Identifier: Apache-2.0
 *
 * A golden step of a task as programs run it: its batches in rows, the numbers of an update, and
 * the state that came out, compared. */
#ifndef BT_HLO_TASK_H
#define BT_HLO_TASK_H

#include "hlo_fixture.h"
#include "task_goldens.h"

/* For the first batch as it was laid out. */
bt_hlo_config hlo_task_config(const task_case *c, const hlo_layout *l, bt_hlo_what what);
/* The batch of update `step`. */
void hlo_task_lay_out(hlo_layout *l, task_case *c, int64_t step);
/* The part of c's batch that begins at a sequence, with the whole's numbers of tokens and
 * sequences. */
void hlo_task_lay_part(hlo_layout *l, const task_case *c, int64_t first, int64_t n);
/* What the optimizer says of update `step`. */
void hlo_task_set_numbers(hlo_layout *l, const task_case *c, int64_t step);
void hlo_task_load(hlo_run *run, const task_case *c); /* the golden's first weights; slots 0 */
/* Variables, slots and averages that the golden has after that many updates. */
void hlo_task_compare(const hlo_run *run, const task_case *c, int64_t n_steps);

#endif
