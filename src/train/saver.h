/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: checkpoints written on a thread of their own, one at a time. */
#ifndef BT_TRAIN_SAVER_H
#define BT_TRAIN_SAVER_H

#include "bt/ckpt.h"
#include "bt/exec.h"
#include "bt/optim.h"

typedef struct saver saver;

/* A checkpoint to be written. */
typedef struct save_order {
    bt_ckpt_manager *manager; /* nobody else's until the save is over */
    const char      *folder;  /* for messages; lives as long as the run */
    char             name[48];
    int64_t          last;  /* step that was saved before it, or -1 */
    bt_ckpt_train    view;  /* of the engine's buffers, and of state */
    bt_str           state; /* owned */
} save_order;

/* What a save that fails takes back. */
typedef struct save_counts {
    int64_t n;    /* checkpoints saved, both kinds */
    int64_t last; /* step, or -1 */
} save_counts;

/* What a checkpoint holds: variables, slots, averages. */
size_t saver_state_bytes(const bt_param_table *table, const bt_optim *optim);
/* n_bytes: of the copy. The engine is asked for its buffers, and for the room that it kept. */
BT_MUST_USE bt_status saver_create(bt_exec *exec, const bt_param_table *table, size_t n_bytes,
                                   saver **out, bt_error *err);
/* A variable or average of a state with a number that is not finite; false: there is none. */
typedef struct saver_odd {
    const char *name;
    const char *part; /* " (its average)", or "" */
    double      value;
} saver_odd;
bool saver_find_odd(const bt_ckpt_train *view, saver_odd *out);
/* Waits for the save before, then writes this one: whole on the disk on return, unless goes_on (the
 * run has something to do meanwhile) and s is not NULL: then only its state is copied on return.
 * n_retries: more tries of a save that found no room. The order is moved or freed in any case. */
BT_MUST_USE bt_status saver_save(saver *s, save_order *order, bool goes_on, int64_t n_retries,
                                 save_counts *counts, bt_error *err);
/* Waits for the save that is under way and gives its error (*counts is then what it was before it);
 * BT_OK when there is none. One that found no room while the process was asked to stop is
 * BT_E_INTERRUPTED: what is saved then is another try. */
BT_MUST_USE bt_status saver_join(saver *s, save_counts *counts, bt_error *err);
/* Is saver_join going to give an error at once? */
bool saver_has_failed(const saver *s);
void saver_free(saver *s); /* waits; NULL: nothing */

#endif
