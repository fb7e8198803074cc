/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: the folder of a run: what everything in it is called. No other file names
 * anything there. */
#ifndef BT_TRAIN_MODEL_DIR_H
#define BT_TRAIN_MODEL_DIR_H

#include "bt/conf.h"
#include "bt/fs.h"

/* NULL where nobody asks for it. */
typedef struct model_dir {
    const char *path;          /* NULL: the run has none (--benchmark) */
    const char *best_subdir;   /* trainer.best_checkpoint_export_subdir; "": no best one is kept */
    const char *events_subdir; /* trainer.validation_summary_subdir; "": the usual one */
} model_dir;

/* In the order in which a run looks at them. */
typedef enum model_file {
    MODEL_STATE,   /* which checkpoint is the latest */
    MODEL_JOURNAL, /* of a save */
    MODEL_PARAMS,
    MODEL_PARAMS_OURS, /* the keys that Model Garden does not have */
    MODEL_LABELS,
    MODEL_VOCAB,
    MODEL_TOKENIZER,
    MODEL_RECORDS,
    MODEL_RECORDS_BESIDE, /* of evaluations while a training is at work */
    MODEL_FACTS,          /* of the run, for its report */
    MODEL_DETAILS,        /* of the last evaluation, likewise */
    MODEL_REPORT,
    MODEL_TRAIN_EVENTS,
    MODEL_EVENTS, /* of evaluations */
    MODEL_BEST,   /* the folder of the best checkpoint */
    MODEL_BEST_STATE,
    MODEL_BEST_JOURNAL,
    MODEL_BEST_INFO,
    MODEL_ROUND_EVENTS, /* of continuous_train_and_eval */
    MODEL_SEEDS,        /* of --seeds, as the next */
    MODEL_BEST_SEED,    /* a link */
} model_file;

/* Things of which there are several, with a number. */
typedef enum model_series {
    SERIES_CKPT, /* of a step */
    SERIES_BEST_CKPT,
    SERIES_ROUND_METRICS, /* of continuous_train_and_eval, by the step of the pre-training */
    SERIES_SEED,          /* a folder */
    SERIES_EVENTS,        /* TensorBoard's, of the run as a whole; by the time */
} model_series;

enum { MODEL_NAME_MAX = 48 };

/* Owned by the caller. */
BT_MUST_USE bt_status model_dir_join(const model_dir *dir, model_file file, char **path,
                                     bt_error *err);
/* Of one that stands right in the folder. */
BT_MUST_USE bt_status model_dir_file(const char *folder, model_file file, char **path,
                                     bt_error *err);
/* "ckpt": how all names of the series begin. */
const char *model_series_stem(model_series series);
/* "ckpt-20"; returns name */
const char *model_series_name(model_series series, int64_t number, char name[MODEL_NAME_MAX]);

/* The files that are read from a run's folder or that of its best checkpoint, as patterns of the
 * shell; and NULL. */
enum { MODEL_OWN_NAMES_MAX = 32 };
void model_dir_own_names(const char *names[MODEL_OWN_NAMES_MAX]);

/* Is that a name of something that is right in the folder, or how such names begin? */
bool model_dir_is_taken(const char *name, size_t n);

/* What is in the folder under the names that a run of that mode uses there is what it keeps
 * under them, or BT_E_IO; and may be written, or BT_E_RESOURCE. */
BT_MUST_USE bt_status model_dir_check(const model_dir *dir, bt_conf_mode mode, bt_error *err);
/* Something that was being written, path, has been removed: BT_E_RESOURCE where the folder is gone
 * as well; else it is told that it begins again with step. */
BT_MUST_USE bt_status model_dir_tell_removed(const char *folder, const char *path, int64_t step,
                                             bt_error *err);

/* params_files.c: params.yaml and params_ours.yaml of the configuration, together. */
BT_MUST_USE bt_status params_write(const model_dir *dir, const bt_conf *conf, bt_error *err);

#endif
