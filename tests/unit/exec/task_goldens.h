/* SPDX-License-Identifier: Apache-2.0
 *
 * Golden steps of Model Garden (goldens/numerics/tasks; those outside the repository are of larger
 * models) and the project's own (tests/goldens/engine): their models and batches, and what an
 * engine's numbers are held against, with the tolerances of
 * tests/goldens/model_garden/numerics/MANIFEST.md. */
#ifndef BT_TASK_GOLDENS_H
#define BT_TASK_GOLDENS_H

#include "exec_fixture.h"

typedef enum task_place {
    TASK_GARDEN,  /* goldens/model_garden/numerics/tasks */
    TASK_OUTSIDE, /* the larger case of that name in ../shared */
    TASK_OWN,     /* goldens/engine */
} task_place;

typedef struct task_row {
    const char    *name;
    bt_head_config head;
    task_place     place;
    bool           drop; /* padding dropped; squad's and tagging's losses read padded positions */
} task_row;

/* Model Garden's; the project's own */
extern const task_row task_rows[], own_rows[], tuned_rows[];
extern const size_t   n_task_rows, n_own_rows, n_tuned_rows;
/* The same case outside the repository: see task_is_here. */
task_row task_outside(const task_row *row);
/* By name; rows of our own begin with "own_". NULL: there is none. */
const task_row *task_find(const char *name);

typedef struct task_case {
    const task_row *row;
    const char     *engine; /* for messages */
    test_tensors   *golden;
    json_t         *config;
    fixture         f; /* a CPU engine with the golden's initial weights */
    fixture_batch   batch;
} task_case;

/* part_seqs: of the CPU engine; 0: whole batches. */
void task_case_open(task_case *c, const task_row *row, const char *isa, bool has_optimizer,
                    int64_t part_seqs);
void task_case_close(task_case *c);
/* false: the goldens are not here, which only those outside may be. */
bool    task_is_here(const task_row *row);
int64_t task_fact(const task_case *c, const char *key, int64_t otherwise);
/* The batch of update `step` into c->batch. */
void task_case_pack(task_case *c, int64_t step);

void task_compare_logits(const task_case *c, const float *logits);
/* Of the first batch; flat: gradients before clipping, as the parameter table has them. */
void task_compare_gradients(const task_case *c, double loss, double norm, const float *flat);
/* Loss and norm of update `step`. */
void task_compare_update(const task_case *c, int64_t step, double loss, double norm);
bool task_has_snapshot(const task_case *c, int64_t n_steps);
/* kind: "var", "m", "v", "average" */
void task_compare_state(const task_case *c, const float *flat, int64_t n_steps, const char *kind);

/* Weights and m of an engine of two replicas after n_steps of tasks/two_replicas, whose batches are
 * those of sentence_prediction_3class. */
void task_compare_replicas(const task_case *c, const test_tensors *golden, int64_t n_steps);

/* The golden's rows [B*S,H] that the batch kept, against got [T,H]; a golden may have one row in so
 * many only. */
void task_compare_rows(const fixture_batch *batch, const float *got, const test_tensors *golden,
                       const char *name, int64_t H, const char *what);
/* model.encoder of a golden's facts. */
bt_encoder_config task_read_encoder(json_t *config);
/* Through c->f.exec: every layer of the encoder for the first batch, where the golden has them; its
 * gradients; all updates. */
void task_run_layers(task_case *c);
void task_run_gradients(task_case *c);
void task_run_trajectory(task_case *c);

/* Encoders.
 * goldens/numerics/encoder: every layer's output and the pooled one. */

typedef struct encoder_row {
    const char     *name;
    bt_encoder_type type;
    int64_t         V, H, L, N, I, P, types, E, B, S;
    bt_activation   act;
    bool            norm_first;
} encoder_row;

extern const encoder_row encoder_rows[];
extern const size_t      n_encoder_rows;

typedef struct encoder_case {
    const encoder_row *row;
    const char        *engine; /* for messages */
    test_tensors      *golden;
    fixture            f; /* a CPU engine with the golden's weights */
} encoder_case;

void encoder_case_open(encoder_case *c, const encoder_row *row, const char *isa);
/* The case of that name outside the repository, of other weights; false: it is not here. */
bool encoder_case_open_outside(encoder_case *c, const encoder_row *row, const char *isa);
/* drop: the batch without padding. */
void encoder_case_run(encoder_case *c, bool drop);
void encoder_case_close(encoder_case *c);

#endif
