/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: the records of a run, metrics.jsonl: written, read back, cut. */
#ifndef BT_TRAIN_RECORDS_H
#define BT_TRAIN_RECORDS_H

#include "record.h"

typedef struct run_records run_records;

/* mode: of a run that does not train; NULL: it trains, and nobody else; kept. round: of
 * continuous_train_and_eval the step of the checkpoint that it starts from, else -1. Nothing is
 * opened yet. */
BT_MUST_USE bt_status records_create(const char *model_dir, const char *mode, int64_t round,
                                     run_records **out, bt_error *err);
/* Each record says so from here on; kept. NULL: none does. */
void records_note_precision(run_records *r, const char *precision);
/* Of a run that trains, before the first record: those after last_step go (*n_cut), and what is
 * torn; then the file is open. Again when the run goes back to an earlier step. */
BT_MUST_USE bt_status records_rewind(run_records *r, int64_t last_step, int64_t *n_cut,
                                     bt_error *err);
/* The training's evaluation of the last step will be made again: its record goes, and the end. */
BT_MUST_USE bt_status records_void_evaluation(run_records *r, int64_t step, bt_error *err);
/* Of an evaluation that no training made: is the same one there already? */
BT_MUST_USE bt_status records_have(const run_records *r, record_kind kind, int64_t step,
                                   const bt_train_values *values, bool *have, bt_error *err);
BT_MUST_USE bt_status records_add(run_records *r, record_kind kind, int64_t step,
                                  const bt_train_values *values, const bt_train_values *extra,
                                  bt_error *err);
/* The last record of a run, unless it is there and nothing was added; stopped: why training ended,
 * NULL: nothing was trained. */
BT_MUST_USE bt_status records_end(run_records *r, const bt_train_summary *summary,
                                  const char *stopped, bt_error *err);
/* Waits until disk or store have them. */
BT_MUST_USE bt_status records_sync(run_records *r, bt_error *err);
BT_MUST_USE bt_status records_close(run_records *r,
                                    bt_error    *err); /* NULL is BT_OK; frees always */

/* The values of the newest record of that kind and step that training made (of this round) into
 * out; *found false: there is none, and out is as it was. */
BT_MUST_USE bt_status records_recall(const char *model_dir, int64_t round, record_kind kind,
                                     int64_t step, bt_train_values *out, bool *found,
                                     bt_error *err);

/* What is after these, for tests. Which records go: those after last_step, and the end of a run
 * or the training's evaluation at last_step where that is asked; only of this round, unless it is
 * -1. */
typedef struct record_cut {
    int64_t last_step;
    int64_t round;
    bool    without_final;
    bool    without_evaluation;
} record_cut;
/* Takes them out, and what is torn, so that the file is whole at any moment. *n_cut: how many. */
BT_MUST_USE bt_status records_cut(const char *path, const record_cut *cut, int64_t *n_cut,
                                  bt_error *err);
/* Calls visit for each record, in order, until it says true. A missing file has none. */
BT_MUST_USE bt_status records_visit(const char *path,
                                    bool (*visit)(void *context, const record_line *line),
                                    void *context, bt_error *err);
/* *torn: the file ends inside a line. */
BT_MUST_USE bt_status records_are_torn(const char *path, bool *torn, bt_error *err);

#endif
