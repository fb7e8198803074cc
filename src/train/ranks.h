/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: several processes that train together; one alone is rank 0 of one. */
#ifndef BT_TRAIN_RANKS_H
#define BT_TRAIN_RANKS_H

#include "bt/comm.h"
#include "bt/data.h"
#include "bt/task.h"
#include "bt/train.h"

typedef struct ranks {
    bt_comm *comm;       /* the others that train with this process; NULL: it is alone */
    bool     has_parted; /* in ranks_meet: all stop, or one cannot go on */
} ranks;

/* Of them, one restores, writes model_dir and tells; so does a single process. */
static inline bool ranks_writes(const ranks *r) {
    return bt_comm_rank(r->comm) == 0;
}
/* BT_E_CONFIG where several processes were started and the run is not training together. */
BT_MUST_USE bt_status ranks_check_job(const bt_train_args *args, bt_error *err);
/* The same of something that is made by one process. what: for the sentence, "--seeds". */
BT_MUST_USE bt_status ranks_check_alone(const bt_train_args *args, const char *what, bt_error *err);
/* *out NULL: alone. */
BT_MUST_USE bt_status ranks_open(const bt_train_args *args, bt_comm **out, bt_error *err);
int32_t               ranks_on_this_host(const bt_comm *comm); /* this one among them */
int32_t               ranks_before_on_this_host(const bt_comm *comm);

/* What is known once the data are open, and must be the same on all. */
typedef struct ranks_facts {
    const bt_data_stream *train_data;
    const bt_data_stream *validation_data; /* NULL: there is none */
    const bt_task_labels *labels;
    uint64_t              vocabulary;
    int64_t               train_steps;
    const char           *isa;
} ranks_facts;
/* Rows, words, kernels are the same on all, or BT_E_CONFIG. */
BT_MUST_USE bt_status ranks_check_facts(ranks *r, const ranks_facts *facts, bt_error *err);
/* Everybody comes here with what came of its part, before each step and after whatever only one
 * did: BT_OK, or BT_E_INTERRUPTED, which then is everybody's. Who failed gets its failure back, the
 * others its sentence (which ranks_fail sends). Alone: rc. */
BT_MUST_USE bt_status ranks_meet(ranks *r, bt_status rc, bt_error *err);
/* From the writing rank to the others. */
BT_MUST_USE bt_status ranks_tell(ranks *r, void *bytes, size_t n_bytes, bt_error *err);
/* This process ends with rc: the others hear of it, unless they do the same. */
void ranks_fail(ranks *r, bt_status rc, const bt_error *err);
/* Waits until all have come to it; returns rc, or what became of the others. */
BT_MUST_USE bt_status ranks_close(ranks *r, bt_status rc, bt_error *err);

#endif
