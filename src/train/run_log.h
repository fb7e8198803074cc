/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: metrics.jsonl, TensorBoard events, lines and progress on stderr. */
#ifndef BT_TRAIN_RUN_LOG_H
#define BT_TRAIN_RUN_LOG_H

#include "gauges.h"
#include "model_dir.h"
#include "record.h"
#include "run_figures.h"
#include "run_state.h"

typedef struct run_log run_log;

typedef struct run_log_config {
    const model_dir *dir;
    const char      *mode;      /* of a run that does not train; NULL: it trains, and nobody else */
    const char      *precision; /* that runtime.precision asked for; or NULL */
    int64_t          last_step; /* of one that trains: what lies after is taken out */
    int64_t          round; /* of continuous_train_and_eval: step of the checkpoint that it starts
                               from, and there are no event files; else -1 */
    bool    event_extras;   /* events hold more than Model Garden's values */
    gauges *gauges;         /* told of each record; or NULL */
} run_log_config;
/* The strings of config are kept, not copied, where they are not paths. */
BT_MUST_USE bt_status run_log_open(const run_log_config *config, run_log **out, bt_error *err);
BT_MUST_USE bt_status run_log_close(run_log *log, bt_error *err); /* NULL is BT_OK; frees always */
/* The run goes on from an earlier step: what was said of later ones is taken out. */
BT_MUST_USE bt_status run_log_rewind(run_log *log, int64_t last_step, bt_error *err);
/* extra values go to metrics.jsonl, after the values; some of training to the events too. seen:
 * what figures of an evaluation are drawn from, or NULL. An evaluation by a run that does not train
 * is left out where the same one is there. */
BT_MUST_USE bt_status run_log_record(run_log *log, record_kind kind, int64_t step,
                                     const bt_train_values *values, const bt_train_values *extra,
                                     const run_figures *seen, bt_error *err);
/* The evaluation of the restored step will be made again: its events go. */
BT_MUST_USE bt_status run_log_void_evaluation(run_log *log, int64_t step, bt_error *err);
/* It is in metrics.jsonl: it is in the events too, or put there. *is_whole false: they hold figures
 * of which no record knows, and it is taken out everywhere, to be made again. */
BT_MUST_USE bt_status run_log_mend_evaluation(run_log *log, int64_t step,
                                              const bt_train_values *recorded, bool *is_whole,
                                              bt_error *err);
/* The last record of a run, unless it is there and nothing was added; stopped: see train_run. */
BT_MUST_USE bt_status run_log_final(run_log *log, const bt_train_summary *summary,
                                    const char *stopped, bt_error *err);
/* Waits until disk or store have what was said so far: before a checkpoint, so that a run that goes
 * on from it misses no record. */
BT_MUST_USE bt_status run_log_sync(run_log *log, bt_error *err);
/* Of a run of n_steps, inside a chunk; loss and learning_rate: of the last step. */
void run_log_progress(const chunk_sums *chunk, int64_t step, int64_t n_steps, double loss,
                      double learning_rate);

#endif
