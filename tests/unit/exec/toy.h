/* SPDX-License-Identifier: Apache-2.0
 *
 * Small models with a batch, for tests of the engine without goldens. */
#ifndef BT_EXEC_TOY_H
#define BT_EXEC_TOY_H

#include "exec_fixture.h"

enum { TOY_SEQS = 3, TOY_LENGTH = 9 };

typedef struct toy {
    fixture       f;
    fixture_batch batch;
} toy;

bt_encoder_config toy_encoder(void);
bt_head_config    toy_head(bt_head_kind kind, bt_loss_kind loss, int64_t C);
/* A dual encoder's three pairs are six sequences. drop: masked tokens are left out. */
void    toy_pack(fixture_batch *batch, const bt_head_config *head, bool drop);
json_t *toy_optimizer(void);
/* Its parameters, none of which is 0 or 1. */
void toy_fill(toy *t);
void toy_open(toy *t, const bt_encoder_config *encoder, const bt_head_config *head, bool with_optim,
              int32_t n_threads);
/* n training steps from 0 on; param gets the parameters. */
void toy_run_steps(toy *t, int64_t n, float *param);

#endif
