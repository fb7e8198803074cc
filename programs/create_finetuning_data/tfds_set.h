/* SPDX-License-Identifier: Apache-2.0
 *
 * A data set that TFDS has prepared: a folder DATA_DIR/NAME[/CONFIG]/VERSION with dataset_info.json
 * (splits and their shards), features.json (classes) and TFRecord shards of tf.Examples. Nothing is
 * downloaded or prepared here. */
#ifndef BT_TFDS_SET_H
#define BT_TFDS_SET_H

#include "bt/base/bytes.h"
#include "bt/wire/example.h"

typedef struct tfds_split {
    char    *name;
    char    *path_template; /* of its shards, with {DATASET} and the like */
    int64_t *shard_rows;
    size_t   n_shards;
} tfds_split;

typedef struct tfds_set {
    char       *folder;
    char       *name; /* without configuration and version */
    tfds_split *splits;
    size_t      n_splits;
    bool        is_ordered; /* the shards are meant to be read one after the other */
} tfds_set;

/* Where data sets are when nobody says: $TFDS_DATA_DIR, else ~/tensorflow_datasets. The caller
 * bt_free()s it. */
bt_status tfds_default_folder(char **folder, bt_error *err);

/* name: "glue/cola", "imdb_reviews", "glue/cola:2.0.*"; without a version the newest one there.
 * data_dir NULL: the default one. Errors say what was looked for and what is there. */
bt_status tfds_open(tfds_set **out, const char *data_dir, const char *name, bt_error *err);
void      tfds_close(tfds_set *set); /* accepts NULL */

/* BT_E_CONFIG names the splits that there are. */
bt_status tfds_find_split(const tfds_set *set, const char *name, const tfds_split **split,
                          bt_error *err);
bt_status tfds_shard_path(const tfds_set *set, const tfds_split *split, size_t shard, char **path,
                          bt_error *err);
/* How many classes the feature of that name has; BT_E_CONFIG when it is not a ClassLabel. */
bt_status tfds_count_classes(const tfds_set *set, const char *key, int64_t *n, bt_error *err);

/* tfds_reader.c: the rows of a split. */

/* In TFDS's own order: blocks of 16 rows from 16 shards in turn. With a sort key (an integer
 * feature) in ascending order of it instead; that takes a pass over the file and 32 bytes a row. */
typedef struct tfds_reader tfds_reader;
bt_status tfds_reader_open(tfds_reader **out, const tfds_set *set, const tfds_split *split,
                           const char *sort_key, bt_error *err);
void      tfds_reader_close(tfds_reader *reader); /* accepts NULL */
/* *example is borrowed until the next call. */
bt_status tfds_reader_next(tfds_reader *reader, const bt_example **example, bool *end,
                           bt_error *err);

/* One value of the current row; BT_E_FORMAT tells the file, the record and what it has. */
bt_status tfds_reader_text(const tfds_reader *reader, const char *key, bt_bytes *text,
                           bt_error *err);
/* *is_float: the value stands as a float in the file. */
bt_status tfds_reader_number(const tfds_reader *reader, const char *key, double *value,
                             bool *is_float, bt_error *err);
/* An error at the current row: "FILE: record N at byte B: message". */
bt_status tfds_reader_fail(const tfds_reader *reader, bt_status status, const char *message,
                           bt_error *err);

#endif
