/* SPDX-License-Identifier: Apache-2.0
 *
 * export: a trained model as other programs read it: a folder of files in one of several formats.
 * Knows of no run and no model_dir: whoever has a model fills a bt_export_source. */
#ifndef BT_EXPORT_H
#define BT_EXPORT_H

#include "bt/fs.h"
#include "bt/model.h"
#include "bt/text.h"

/* What the numbers after the encoder are. */
typedef enum bt_export_kind {
    BT_EXPORT_CLASSES, /* one class a text */
    BT_EXPORT_LABELS,  /* any number of them */
    BT_EXPORT_SCORE,
    BT_EXPORT_TAGS,    /* a class a token */
    BT_EXPORT_ANSWERS, /* where an answer begins and ends */
    BT_EXPORT_VECTORS, /* one a text: head.pooling, head.normalize */
} bt_export_kind;

/* How texts became tokens in the training. */
typedef struct bt_export_text {
    const bt_text_vocab *vocab; /* NULL: not known, the model was trained on tokens */
    const char          *vocab_file;
    bt_text_options      options;
    bt_text_rules        rules;
    int64_t              max_length; /* of a sequence, special tokens included */
} bt_export_text;

/* What the weights of products and the word table are kept as. */
typedef enum bt_export_precision {
    BT_EXPORT_FLOAT32,
    BT_EXPORT_FLOAT16, /* factors of products are rounded to it, everything else is float32 */
    BT_EXPORT_INT8,    /* 8 bits: weights by column, words by row; what they are multiplied with is
                        * rounded as it comes */
} bt_export_precision;
const char *bt_export_precision_name(bt_export_precision precision); /* "int8" */
/* NULL or "": float32. BT_E_CONFIG, with their names. */
BT_MUST_USE bt_status bt_export_find_precision(const char *name, bt_export_precision *out,
                                               bt_error *err);
/* Makes the parameters in place those that a file of that precision computes with. */
BT_MUST_USE bt_status bt_export_round(const bt_model *model, bt_export_precision precision,
                                      float *params, bt_error *err);

/* A metric of the evaluation that shows what a precision costs. */
typedef struct bt_export_cost {
    const char *name;
    double      exact, rounded; /* in float32, and as the export computes */
} bt_export_cost;

typedef struct bt_export_result {
    const char *name;
    double      value;
} bt_export_result;

/* Everything is borrowed. Texts may be NULL where nothing is known, but for those that say so. */
typedef struct bt_export_source {
    const bt_model         *model;
    const float            *params; /* flat, by model->table: the averages where there are any */
    bt_export_kind          kind;
    const char *const      *labels; /* [head.num_classes]; NULL: the classes have no names */
    bt_export_text          text;
    const char             *name;       /* of the model, for people; not NULL */
    const char             *experiment; /* not NULL */
    const char             *checkpoint; /* not NULL */
    int64_t                 step;
    bool                    are_averages;
    const char             *started_from; /* task.init_checkpoint or the module */
    const char             *data;         /* what it was trained on */
    const char             *settings;     /* params.yaml */
    const bt_export_result *results;      /* of the evaluation of that step */
    size_t                  n_results;
    double threshold;        /* from which probability on a label applies, of two classes the
                              * second; 0: the most probable class is taken */
    double      temperature; /* by which logits were divided for probabilities; 0, 1: none */
    const char *version;     /* of the program; not NULL */
    bt_export_precision   precision;
    const bt_export_cost *costs; /* of the precision */
    size_t                n_costs;
} bt_export_source;

typedef struct bt_export_folder bt_export_folder;

typedef struct bt_export_format {
    const char *name; /* "hf" */
    const char *summary;
    bool        has_precisions; /* others than float32 */
    bool        keeps_adapters; /* else they are merged into the kernels before */
    /* BT_E_UNSUPPORTED: this model has no such form, and what to do instead. */
    bt_status (*check)(const bt_export_source *source, bt_error *err);
    /* Adds the files, in the order in which they are to appear: what makes readers take the folder
     * for a model comes last. */
    bt_status (*write)(const bt_export_source *source, bt_export_folder *folder, bt_error *err);
} bt_export_format;

size_t                  bt_export_n_formats(void);
const bt_export_format *bt_export_format_at(size_t i);
/* BT_E_CONFIG, with their names. */
BT_MUST_USE bt_status bt_export_find(const char *name, const bt_export_format **out, bt_error *err);

/* BT_E_CONFIG where the format has float32 only. */
BT_MUST_USE bt_status bt_export_check_precision(const bt_export_format *format,
                                                bt_export_precision precision, bt_error *err);
/* BT_E_CONFIG where something is in the folder already; BT_E_RESOURCE where none can be made or
 * written. Unless is_dry what a killed export began there is ended or removed first. */
BT_MUST_USE bt_status bt_export_check_folder(const char *path, bool is_dry, bt_error *err);
/* Checks both, then writes all files, which appear together; after a failure there is nothing. */
BT_MUST_USE bt_status bt_export_write(const bt_export_format *format,
                                      const bt_export_source *source, const char *path,
                                      bt_error *err);

#endif
