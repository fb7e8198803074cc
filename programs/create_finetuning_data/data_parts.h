/* SPDX-License-Identifier: Apache-2.0
 *
 * A job and its parts. A part is one file of records: a split, or a split's share in one language.
 * All parts are named first, all their inputs looked for and opened and all outputs created, so
 * that what is missing is told before the work begins; then they are written one after the other.
 */
#ifndef BT_DATA_PARTS_H
#define BT_DATA_PARTS_H

#include "bt/base/pool.h"
#include "bt/cli.h"

#include "example_writer.h"
#include "output_set.h"

enum { DATA_TRAIN, DATA_EVAL, DATA_TEST, DATA_N_SPLITS };
extern const char *const data_split_names[DATA_N_SPLITS]; /* "train", "eval", "test" */

typedef struct data_part {
    int            split;
    char          *language; /* "de", "de-en"; NULL: the split has one part */
    char          *name;     /* "train", "test de": for messages and the progress line */
    char          *path;     /* of the records */
    char         **inputs;   /* paths, in the order in which they are read */
    size_t         n_inputs;
    size_t         inputs_cap;
    int64_t        n_records; /* written */
    bt_fs_writer  *writer;    /* borrowed from the outputs */
    example_source source;    /* open while there is something to read */
} data_part;

typedef struct data_job {
    const bt_flags          *flags;
    const bt_text_tokenizer *tokenizer;
    bt_pool                 *pool;
    int64_t                  max_seq_length;
    bt_text_encoding         encoding;             /* of the inputs, as --encoding says */
    const char              *input_dir;            /* NULL: not given */
    const char              *paths[DATA_N_SPLITS]; /* NULL: not wanted */
    output_set               outputs;
    data_part               *parts;
    size_t                   n_parts;
    size_t                   parts_cap;
} data_job;

/* The value of a path flag; unset and empty are the same (as to the real tool): NULL. */
const char *data_path_flag(const bt_flags *flags, const char *name);

/* Is the language among those of --languages (or are all)? */
bool data_uses_language(const data_job *job, const char *language);

/* A new part, written to the split's path; for a language {} in that path is its name, and a second
 * language needs one. *part is borrowed until the next call. */
bt_status data_add_part(data_job *job, int split, const char *language, data_part **part,
                        bt_error *err);
/* The same at a path of its own. */
bt_status data_add_part_at(data_job *job, int split, const char *language, const char *path,
                           data_part **part, bt_error *err);
/* Adds the file folder/name, which must be there; {} in name is the language. */
bt_status data_add_input(data_part *part, const char *folder, const char *name,
                         const char *language, bt_error *err);
/* The same for a folder. */
bt_status data_add_input_folder(data_part *part, const char *folder, const char *name,
                                bt_error *err);
/* Is folder/name there, or that with .gz, .bz2, .xz, .zst or .zip after it? found: its name. */
enum { DATA_NAME_BYTES = 64 };
BT_MUST_USE bt_status data_find_file(const char *folder, const char *name,
                                     char found[DATA_NAME_BYTES], bool *is_there, bt_error *err);
void                  data_free_parts(data_job *job);

/* Where a part's rows come from; context is what the caller of data_write_parts gave. */
typedef bt_status (*data_part_open)(const data_job *job, const data_part *part, const void *context,
                                    example_source *source, bt_error *err);
/* Writes every part. settings: convert and what it reads; the rest comes from the job. A split
 * (all its parts together) without records is BT_E_FORMAT. */
bt_status data_write_parts(data_job *job, const example_settings *settings, data_part_open open,
                           const void *context, bt_error *err);

int64_t data_split_records(const data_job *job, int split); /* of all its parts */

#endif
