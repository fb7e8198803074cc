/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of programs share: batches laid out in rows of slots, and programs run on a
 * plug-in with the CPU engine's state, so that the two can be compared. */
#ifndef BT_HLO_FIXTURE_H
#define BT_HLO_FIXTURE_H

#include "bt/hlo.h"
#include "exec_fixture.h"
#include "test_pjrt_run.h"

enum { HLO_TEST_MAX_SLOTS = 2048 };

/* A batch as a program's arguments have it. */
typedef struct hlo_layout {
    int64_t  R, S, B;
    int32_t  ids[HLO_TEST_MAX_SLOTS], types[HLO_TEST_MAX_SLOTS], positions[HLO_TEST_MAX_SLOTS];
    int32_t  tokens[HLO_TEST_MAX_SLOTS], segments[HLO_TEST_MAX_SLOTS];
    uint8_t  key_mask[HLO_TEST_MAX_SLOTS];
    int32_t  first_slots[HLO_TEST_MAX_SLOTS], sequences[HLO_TEST_MAX_SLOTS];
    int32_t  int_labels[HLO_TEST_MAX_SLOTS];
    float    float_labels[HLO_TEST_MAX_SLOTS];
    float    weights[HLO_TEST_MAX_SLOTS];
    uint32_t seed[4];
    int32_t  n_layers;
    float    numbers[BT_HLO_N_NUMBERS];
    int64_t  slots[HLO_TEST_MAX_SLOTS]; /* of each token of the batch */
} hlo_layout;

/* Into rows of S slots, two sequences of full length and a bit; what a batch of these lengths can
 * need at most, and a row that stays empty. B: two places more than there are sequences. */
void hlo_lay_out(hlo_layout *l, const bt_model *model, const bt_batch *batch, bool training);

/* A program's logits as an engine hands them out: of the batch's own sequences, pairs or tokens. */
void hlo_own_logits(float *own, const float *logits, const hlo_layout *l, const bt_model *model,
                    const bt_batch *batch);

/* A program compiled for the CPU plug-in, with arrays for all of its arguments and results. */
typedef struct hlo_run {
    bt_hlo_program  *program;
    int32_t          n_replicas;
    void           **args, **results; /* owned; [n_replicas * n] */
    bt_pjrt_program *compiled;
} hlo_run;

/* What is done to every program before it is compiled; NULL: nothing. */
extern void (*hlo_run_change)(bt_hlo_program *program, const bt_model *model,
                              const bt_hlo_config *config);

void hlo_run_open(hlo_run *run, const bt_model *model, const bt_optim *optim,
                  const bt_hlo_config *config);
void hlo_run_close(hlo_run *run);
/* Arrays of variables from a flat buffer of a role (slot: of BT_HLO_SLOT); zeros for NULL. */
void hlo_run_set_state(hlo_run *run, const bt_model *model, bt_hlo_role role, int32_t slot,
                       const float *flat);
void hlo_run_set_layout(hlo_run *run, int32_t replica, hlo_layout *l);
/* Executes; results that take an argument's place become that argument's array. */
void         hlo_run_step(hlo_run *run);
const float *hlo_run_result(const hlo_run *run, int32_t replica, bt_hlo_role role, size_t *n);
/* The results of a variable role into a flat buffer. */
void hlo_run_get_state(const hlo_run *run, const bt_model *model, bt_hlo_role role, int32_t slot,
                       float *flat);

#endif
