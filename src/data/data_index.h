/* SPDX-License-Identifier: Apache-2.0
 *
 * data, private: what was learned by reading an input through, kept in a file for the next start
 * (docs/formats.md). The container: where it lies, whether it is whole and answers the question
 * that is asked now. What the facts in it mean is known to the kind of input. */
#ifndef BT_DATA_INDEX_H
#define BT_DATA_INDEX_H

#include "data_names.h"
#include "data_places.h"

/* One input for which an index may be kept. */
typedef struct data_index {
    const char *section; /* borrowed, for messages */
    char       *beside;  /* owned; where it may lie: NULL: not there */
    char       *cached;
    bt_str      question; /* all that the facts depend on, but the bytes of the files */
    bool        may_write;
} data_index;

/* One that is there. */
typedef struct data_index_file {
    bt_file *file; /* owned; NULL: there is none */
    bt_str   facts;
    int64_t  n_rows;
    int64_t  end; /* of places */
    int64_t  groups_at;
    int64_t  n_group_bytes;
    int64_t  n_distance_bytes;
    int64_t  n_names;
    uint32_t crc; /* of all after the facts */
} data_index_file;

/* Is one to be looked for: does config want any, and is the input (parts of rows, n_bytes in all)
 * large enough? Then the places and the question, which is taken over. Zero-initialise index. */
bt_status data_index_init(data_index *index, const bt_data_config *config, const data_rows *rows,
                          int64_t n_bytes, bt_str *question, bt_error *err);
bool      data_index_is_used(const data_index *index);
void      data_index_deinit(data_index *index);

/* out->file NULL: there is none. One that is damaged is told, and is none. */
bt_status data_index_find(const data_index *index, data_index_file *out, bt_error *err);
void      data_index_file_deinit(data_index_file *file);
/* places and names stay as they are. That it cannot be kept is told, and no failure. */
bt_status data_index_keep(const data_index *index, const bt_str *facts, const data_places *places,
                          const data_names *names, bt_error *err);
/* The same as the file with other facts. */
bt_status data_index_renew(const data_index *index, const data_index_file *file,
                           const bt_str *facts, bt_error *err);
/* The one that was just kept, if it is there, in place of what is in memory. */
bt_status data_index_use_kept(const data_index *index, const bt_str *facts, data_index_file *file,
                              data_places *places, data_names *names, bt_error *err);
void      data_index_tell_known(const data_index *index, const data_index_file *file);
/* From here on they are read from the file, which lives as long as they do. */
void data_index_use(const data_index_file *file, data_places *places, data_names *names);

/* A file of the input: its state now, and the checksum of its bytes where it was read whole. */
typedef struct data_index_state {
    bt_fs_stamp stamp;
    bool        has_crc;
    uint32_t    crc;
} data_index_state;
/* The states of all parts (states + i * stride bytes), and the bytes of all. *ok false: that of
 * some cannot be told, so that no index can be kept. */
bt_status data_index_take_states(const data_rows *rows, data_index_state *states, size_t stride,
                                 int64_t *n_bytes, bool *ok, bt_error *err);
bt_status data_index_put_state(bt_str *facts, const data_index_state *state, bt_error *err);
/* The next fact is what an index knows of the file at path, *state what it is now (the checksum is
 * filled in). *ok: it is the file that was read. *is_new: yes, though its state is another one; a
 * local file was read through for that. */
bt_status data_index_check_state(bt_reader *facts, const char *path, data_index_state *state,
                                 bool *ok, bool *is_new, bt_error *err);
/* The paths of the parts, as any process would name them. */
bt_status data_index_ask_paths(const data_rows *rows, bt_str *question, bt_error *err);

/* Facts: numbers and texts one after the other. take: false: there is no more, or it is out of
 * range. A text is borrowed from the facts. */
bt_status data_index_put(bt_str *facts, int64_t value, bt_error *err);
bt_status data_index_put_all(bt_str *facts, const int64_t *values, size_t n, bt_error *err);
bt_status data_index_put_text(bt_str *facts, const char *text, size_t n, bt_error *err);
bool      data_index_take(bt_reader *facts, int64_t least, int64_t most, int64_t *value);
bool      data_index_take_all(bt_reader *facts, int64_t *values, size_t n); /* 0 to 2^60 */
bool      data_index_take_text(bt_reader *facts, bt_text_span *text);

#endif
