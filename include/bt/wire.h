/* SPDX-License-Identifier: Apache-2.0
 *
 * wire: bytes <-> records. TFRecord, tf.Example, TensorBoard event files, sorted-string tables,
 * tensor bundles (V2 checkpoints), TrackableObjectGraph, the `checkpoint` state file and
 * safetensors. Formats: docs/model_garden/numerics.md section 9, docs/model_garden/data.md
 * section 5.
 *
 * Promises: every length read from a file is checked against the bytes that are left before it is
 * used; damage is BT_E_FORMAT with the file, the place, what was expected and what was found;
 * nothing here knows what a tensor means.
 */
#ifndef BT_WIRE_H
#define BT_WIRE_H

#include "bt/base/arena.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/tensor.h"

/* Borrowed bytes. */
typedef struct bt_bytes {
    const uint8_t *data;
    size_t         n_bytes;
} bt_bytes;

/* TFRecord. */

typedef enum bt_compression {
    BT_COMPRESSION_NONE,
    BT_COMPRESSION_GZIP,
    BT_COMPRESSION_ZLIB
} bt_compression;

typedef struct bt_record {
    bt_bytes data;   /* borrowed until the next read from where it came */
    int64_t  index;  /* 0-based number in the file */
    int64_t  offset; /* byte of its header in the (uncompressed) stream */
} bt_record;

typedef struct bt_tfrecord_reader bt_tfrecord_reader;
BT_MUST_USE bt_status             bt_tfrecord_open(const char *path, bt_compression compression,
                                                   bt_tfrecord_reader **out, bt_error *err);
void                              bt_tfrecord_close(bt_tfrecord_reader *reader); /* accepts NULL */
/* The next record, both checksums verified; *end is true after the last. An empty file is an empty
 * set. Fewer than 12 bytes at the end of the file are no record and no error (as in TensorFlow):
 * see bt_tfrecord_trailing_bytes. After an error every further call gives the same kind of error.
 */
BT_MUST_USE bt_status bt_tfrecord_next(bt_tfrecord_reader *reader, bt_record *record, bool *end,
                                       bt_error *err);
/* After the end: 1..11 bytes that TensorFlow ignores silently (warn the user), else 0. */
int64_t bt_tfrecord_trailing_bytes(const bt_tfrecord_reader *reader);
/* After the end: BT_E_FORMAT for a file that is cut, though TensorFlow reads it: 1..11 bytes and no
 * record, or a compressed stream that lacks its own end. */
BT_MUST_USE bt_status bt_tfrecord_check_end(const bt_tfrecord_reader *reader, bt_error *err);

/* Where the records of an uncompressed file start: reads the headers only (length checksums
 * verified, data checksums not). For access in any order. 1..11 bytes and no record: BT_E_FORMAT.
 */
typedef struct bt_tfrecord_index {
    int64_t  *offsets;   /* n_records + 1: the last one is where the records end */
    uint32_t *checksums; /* n_records: of their data, as the file has them; NULL: it has none */
    int64_t   n_records;
    int64_t   n_trailing_bytes; /* 1..11 ignored bytes, else 0 */
    uint32_t  content; /* crc32c of the records' lengths and checksums: names what is in them */
} bt_tfrecord_index;
BT_MUST_USE bt_status bt_tfrecord_index_build(const char *path, bt_tfrecord_index *out,
                                              bt_error *err);
void                  bt_tfrecord_index_deinit(bt_tfrecord_index *index);
/* Record number i, both checksums verified. buffer grows when needed and holds the bytes: the
 * record is borrowed until buffer changes. Threads may share file and index, not buffer. */
BT_MUST_USE bt_status bt_tfrecord_read_at(const bt_file *file, const bt_tfrecord_index *index,
                                          int64_t i, bt_str *buffer, bt_record *record,
                                          bt_error *err);
/* Record number i at byte offset of a file of which no index was built. *next_offset may be NULL.
 */
BT_MUST_USE bt_status bt_tfrecord_read_offset(const bt_file *file, int64_t offset, int64_t i,
                                              bt_str *buffer, bt_record *record,
                                              int64_t *next_offset, bt_error *err);

typedef struct bt_tfrecord_writer bt_tfrecord_writer;
/* Atomic: the file appears at commit. */
BT_MUST_USE bt_status bt_tfrecord_writer_create(const char *path, bt_compression compression,
                                                bt_tfrecord_writer **out, bt_error *err);
BT_MUST_USE bt_status bt_tfrecord_write(bt_tfrecord_writer *writer, const void *data,
                                        size_t n_bytes, bt_error *err);
int64_t               bt_tfrecord_writer_count(const bt_tfrecord_writer *writer); /* records */
/* Frees *writer and sets it to NULL; on failure it stays and the caller aborts it. */
BT_MUST_USE bt_status bt_tfrecord_writer_commit(bt_tfrecord_writer **writer, bt_error *err);
void                  bt_tfrecord_writer_abort(bt_tfrecord_writer *writer); /* NULL ok */
/* One framed record appended to a string (16 bytes more than the data). */
BT_MUST_USE bt_status bt_tfrecord_frame(bt_str *out, const void *data, size_t n_bytes,
                                        bt_error *err);

/* Gzip files. */

/* Appends all that a gzip file holds to out, and flushes it. BT_E_FORMAT: damaged, or it ends
 * within the stream. */
BT_MUST_USE bt_status bt_gzip_unpack(const char *path, bt_fs_scratch *out, bt_error *err);
/* Does the file begin as gzip files do? false also when it cannot be read. */
bool bt_gzip_is_magic(const char *path);

/* tf.Example. */

typedef enum bt_feature_kind {
    BT_FEATURE_UNSET = 0, /* the feature is there, its value is not: counts as missing */
    BT_FEATURE_BYTES = 1,
    BT_FEATURE_F32 = 2,
    BT_FEATURE_I64 = 3,
} bt_feature_kind;
const char *bt_feature_kind_name(bt_feature_kind kind); /* "string", "float", "int64", "nothing" */

typedef struct bt_feature {
    bt_bytes        key; /* not NUL-terminated */
    bt_feature_kind kind;
    bool            split; /* bytes follow the first list, which TensorFlow does not read */
    bt_bytes        list;  /* the list message */
} bt_feature;

/* Zero-copy: points into the bytes that were parsed. Reuse one object for many records; it
 * allocates only when a record has more features than any before. */
typedef struct bt_example {
    bt_feature *features;
    size_t      n;
    size_t      cap;
} bt_example;
#define BT_EXAMPLE_INIT                                                                            \
    { .features = NULL, .n = 0, .cap = 0 }
void bt_example_deinit(bt_example *example);
/* bytes must outlive what is read from example. */
BT_MUST_USE bt_status bt_example_parse(bt_example *example, bt_bytes bytes, bt_error *err);
/* The last feature of that name; NULL when there is none or its value is unset. */
const bt_feature *bt_example_find(const bt_example *example, const char *key);

/* A feature of exactly n values. Missing, another kind, another number or a list split in several
 * chunks is BT_E_FORMAT ("feature input_ids: 128 int64 values expected, got 64"). */
BT_MUST_USE bt_status bt_example_get_i64(const bt_example *example, const char *key, int64_t *dst,
                                         size_t n, bt_error *err);
BT_MUST_USE bt_status bt_example_get_f32(const bt_example *example, const char *key, float *dst,
                                         size_t n, bt_error *err);
BT_MUST_USE bt_status bt_example_get_bytes(const bt_example *example, const char *key,
                                           bt_bytes *dst, size_t n, bt_error *err);
/* A feature of any number of values (the first chunk of a split list). *n is their number; the
 * first min(*n, cap) of them are stored. dst may be NULL with cap 0: to count. */
BT_MUST_USE bt_status bt_feature_read_i64(const bt_feature *feature, int64_t *dst, size_t cap,
                                          size_t *n, bt_error *err);
BT_MUST_USE bt_status bt_feature_read_f32(const bt_feature *feature, float *dst, size_t cap,
                                          size_t *n, bt_error *err);
BT_MUST_USE bt_status bt_feature_read_bytes(const bt_feature *feature, bt_bytes *dst, size_t cap,
                                            size_t *n, bt_error *err);

/* Serializes features in the order in which they are added (int lists packed varints, floats
 * packed little-endian), as TensorFlow's protobuf does. Reusable: bt_example_builder_clear. */
typedef struct bt_example_builder {
    bt_str features; /* private */
    bt_str scratch;  /* private */
    bt_str packed;   /* private */
    bt_str message;  /* private */
} bt_example_builder;
#define BT_EXAMPLE_BUILDER_INIT                                                                    \
    {                                                                                              \
        .features = BT_STR_INIT, .scratch = BT_STR_INIT, .packed = BT_STR_INIT,                    \
        .message = BT_STR_INIT                                                                     \
    }
void                  bt_example_builder_deinit(bt_example_builder *builder);
void                  bt_example_builder_clear(bt_example_builder *builder);
BT_MUST_USE bt_status bt_example_add_i64(bt_example_builder *builder, const char *key,
                                         const int64_t *values, size_t n, bt_error *err);
BT_MUST_USE bt_status bt_example_add_i32(bt_example_builder *builder, const char *key,
                                         const int32_t *values, size_t n, bt_error *err);
BT_MUST_USE bt_status bt_example_add_f32(bt_example_builder *builder, const char *key,
                                         const float *values, size_t n, bt_error *err);
BT_MUST_USE bt_status bt_example_add_bytes(bt_example_builder *builder, const char *key,
                                           const bt_bytes *values, size_t n, bt_error *err);
/* The whole message; borrowed until the builder changes. */
BT_MUST_USE bt_status bt_example_finish(bt_example_builder *builder, bt_bytes *out, bt_error *err);

/* TensorBoard event files. */

typedef struct bt_events_writer bt_events_writer;
/* Creates folder when needed and in it events.out.tfevents.<unix s>.<host>.<pid>.<n>.bert-train.v2,
 * whose first record is file_version "brain.Event:2". n counts the event files of this process;
 * the name is the last of the folder in order of time, whatever the clock says. */
BT_MUST_USE bt_status bt_events_create(const char *folder, bt_events_writer **out, bt_error *err);
BT_MUST_USE bt_status bt_events_scalar(bt_events_writer *writer, int64_t step, const char *tag,
                                       float value, bt_error *err);
/* Tells TensorBoard, also one that is reading the folder now, that what it saw of this step and
 * later ones is void. */
BT_MUST_USE bt_status bt_events_restart(bt_events_writer *writer, int64_t step, bt_error *err);
BT_MUST_USE bt_status bt_events_flush(bt_events_writer *writer, bt_error *err);
/* The same, and waits until the disk or the store has it. */
BT_MUST_USE bt_status bt_events_sync(bt_events_writer *writer, bt_error *err);
/* Flushes and frees, also on failure; NULL is BT_OK. */
BT_MUST_USE bt_status bt_events_close(bt_events_writer *writer, bt_error *err);
const char           *bt_events_path(const bt_events_writer *writer);
bool bt_events_is_orphan(const bt_events_writer *writer); /* see bt_fs_writer_is_orphan */

typedef struct bt_events_found {
    size_t  n_files; /* event files in the folder, whoever wrote them */
    int64_t n_last;  /* scalars of last_step in them */
    int64_t n_cut;   /* events that were taken out */
    int64_t n_damaged_bytes;
} bt_events_found;
/* Takes out of the event files of folder (which may be missing) that bert-train wrote every event
 * of a step after last_step, and what is torn or damaged; files of others stay as they are. At any
 * moment a file holds at least what stays. */
BT_MUST_USE bt_status bt_events_cut(const char *folder, int64_t last_step, bt_events_found *found,
                                    bt_error *err);

typedef struct bt_event {
    double   wall_time;
    int64_t  step;
    bt_bytes file_version; /* n_bytes 0: not that kind of event */
    bt_bytes tag;          /* n_bytes 0: no scalar in it */
    bt_bytes plugin;
    float    value;
} bt_event;
/* One record of an event file: its first scalar summary (tensor or simple value). */
BT_MUST_USE bt_status bt_event_parse(bt_bytes bytes, bt_event *out, bt_error *err);

/* Sorted-string table (LevelDB). */

/* Called for every entry in key order; key and value are borrowed for the call. */
typedef bt_status (*bt_sstable_visit)(void *context, bt_bytes key, bt_bytes value, bt_error *err);
/* Reads a whole table held in memory; name is for messages. Every block's checksum and the order
 * of the keys are verified. */
BT_MUST_USE bt_status bt_sstable_read(bt_bytes table, const char *name, bt_sstable_visit visit,
                                      void *context, bt_error *err);

typedef struct bt_sstable_builder bt_sstable_builder;
BT_MUST_USE bt_status bt_sstable_builder_create(bt_sstable_builder **out, bt_error *err);
void                  bt_sstable_builder_free(bt_sstable_builder *builder);
/* Keys must come in strictly ascending bytewise order. */
BT_MUST_USE bt_status bt_sstable_add(bt_sstable_builder *builder, bt_bytes key, bt_bytes value,
                                     bt_error *err);
/* Borrowed until the builder is freed. */
BT_MUST_USE bt_status bt_sstable_finish(bt_sstable_builder *builder, bt_bytes *out, bt_error *err);

/* Tensor bundle: PREFIX.index, PREFIX.data-SSSSS-of-NNNNN. */

enum { BT_WIRE_MAX_RANK = 8 };
#define BT_BUNDLE_GRAPH_KEY "_CHECKPOINTABLE_OBJECT_GRAPH"

typedef struct bt_bundle_entry {
    const char *name; /* NUL-terminated; borrowed until the bundle is closed */
    bt_dtype    dtype;
    int32_t     rank;
    int64_t     dim[BT_WIRE_MAX_RANK];
    int64_t     n_elements;
    int32_t     shard;
    int64_t     offset;
    int64_t     n_bytes;     /* in the file; 0 for a partitioned variable */
    uint32_t    crc;         /* masked */
    int32_t     n_slices;    /* > 0: a partitioned variable */
    size_t      first_slice; /* private */
} bt_bundle_entry;

typedef struct bt_bundle bt_bundle;
/* Reads the index. Data files are opened when they are first read. */
BT_MUST_USE bt_status  bt_bundle_open(const char *prefix, bt_bundle **out, bt_error *err);
void                   bt_bundle_close(bt_bundle *bundle); /* accepts NULL */
const char            *bt_bundle_prefix(const bt_bundle *bundle);
int32_t                bt_bundle_n_shards(const bt_bundle *bundle);
size_t                 bt_bundle_n_entries(const bt_bundle *bundle);          /* without slices */
const bt_bundle_entry *bt_bundle_entry_at(const bt_bundle *bundle, size_t i); /* in key order */
const bt_bundle_entry *bt_bundle_find(const bt_bundle *bundle, const char *name); /* or NULL */
/* All elements of a tensor that is not of strings, row-major little-endian, checksum verified.
 * n_bytes must be n_elements * element size. */
BT_MUST_USE bt_status bt_bundle_read(bt_bundle *bundle, const bt_bundle_entry *entry, void *dst,
                                     size_t n_bytes, bt_error *err);
/* A string tensor: *values has n_elements items, owned by the caller as one block: bt_free it. */
BT_MUST_USE bt_status bt_bundle_read_strings(bt_bundle *bundle, const bt_bundle_entry *entry,
                                             bt_bytes **values, bt_error *err);
/* The data files are there and long enough; their bytes are not read. */
BT_MUST_USE bt_status bt_bundle_check_files(bt_bundle *bundle, bt_error *err);
/* Reads and checks every tensor; the first fault is the error. */
BT_MUST_USE bt_status bt_bundle_verify(bt_bundle *bundle, bt_error *err);

typedef struct bt_bundle_writer bt_bundle_writer;
/* One data file. Tensors may come in any order of names; their bytes are written as they come. */
BT_MUST_USE bt_status bt_bundle_writer_create(const char *prefix, bt_bundle_writer **out,
                                              bt_error *err);
BT_MUST_USE bt_status bt_bundle_add(bt_bundle_writer *writer, const char *name, bt_dtype dtype,
                                    int32_t rank, const int64_t *dim, const void *data,
                                    bt_error *err);
/* A string tensor of that shape. */
BT_MUST_USE bt_status bt_bundle_add_strings(bt_bundle_writer *writer, const char *name,
                                            int32_t rank, const int64_t *dim,
                                            const bt_bytes *values, bt_error *err);
/* Publishes the data file, then the index: while the index is missing there is no checkpoint.
 * Frees *writer and sets it to NULL; on failure it stays and the caller aborts it. */
BT_MUST_USE bt_status bt_bundle_writer_commit(bt_bundle_writer **writer, bt_error *err);
void                  bt_bundle_writer_abort(bt_bundle_writer *writer); /* NULL ok */

/* TrackableObjectGraph. */

typedef struct bt_graph_child {
    int32_t     node;
    const char *name;
} bt_graph_child;
typedef struct bt_graph_attribute {
    const char *name;           /* "VARIABLE_VALUE" */
    const char *full_name;      /* Keras variable name */
    const char *checkpoint_key; /* key in the bundle */
} bt_graph_attribute;
typedef struct bt_graph_slot {
    int32_t     variable_node;
    const char *slot_name;
    int32_t     slot_node;
} bt_graph_slot;
typedef struct bt_graph_node {
    bt_graph_child     *children;
    size_t              n_children;
    bt_graph_attribute *attributes;
    size_t              n_attributes;
    bt_graph_slot      *slots;
    size_t              n_slots;
    bt_bytes            registered_saver; /* the raw message; n_bytes 0: none */
    int32_t             has_values;       /* has_checkpoint_values: -1 absent, 0, 1 */
    const uint32_t     *by_name;          /* private: of many children, in the order of names */
} bt_graph_node;
typedef struct bt_graph {
    bt_graph_node *nodes; /* node 0 is the root; everything lives in the arena */
    size_t         n_nodes;
    bt_arena       arena; /* private */
} bt_graph;
/* Node numbers in it are verified to be < n_nodes. Deinit with bt_graph_deinit. */
BT_MUST_USE bt_status bt_graph_parse(bt_bytes bytes, bt_graph *out, bt_error *err);
void                  bt_graph_deinit(bt_graph *graph);
BT_MUST_USE bt_status bt_graph_serialize(const bt_graph *graph, bt_str *out, bt_error *err);
int32_t bt_graph_child_node(const bt_graph *graph, int32_t node, const char *name); /* or -1 */
/* The bundle key of a variable node's VARIABLE_VALUE, or NULL. */
const char *bt_graph_variable_key(const bt_graph *graph, int32_t node);

/* The `checkpoint` state file. */

typedef struct bt_ckpt_state {
    char   *latest; /* model_checkpoint_path; NULL: none */
    char  **paths;  /* all_model_checkpoint_paths, oldest first */
    double *times;  /* all_model_checkpoint_timestamps; n_times may differ from n_paths */
    size_t  n_paths;
    size_t  cap_paths; /* private */
    size_t  n_times;
    size_t  cap_times; /* private */
    double  last_preserved;
    bool    has_last_preserved;
} bt_ckpt_state;
void bt_ckpt_state_deinit(bt_ckpt_state *state);
/* Text protobuf; out must be zeroed or deinited. name is for messages. */
BT_MUST_USE bt_status bt_ckpt_state_parse(const char *text, size_t n_bytes, const char *name,
                                          bt_ckpt_state *out, bt_error *err);
BT_MUST_USE bt_status bt_ckpt_state_append(bt_ckpt_state *state, const char *path, double time,
                                           bt_error *err);
BT_MUST_USE bt_status bt_ckpt_state_format(const bt_ckpt_state *state, bt_str *out, bt_error *err);

/* Safetensors. */

typedef struct bt_st_entry {
    const char *name;
    bt_dtype    dtype;
    int32_t     rank;
    int64_t     dim[BT_WIRE_MAX_RANK];
    int64_t     n_elements;
    int64_t     offset; /* in the file */
    int64_t     n_bytes;
} bt_st_entry;

typedef struct bt_safetensors bt_safetensors;
BT_MUST_USE bt_status bt_safetensors_open(const char *path, bt_safetensors **out, bt_error *err);
void                  bt_safetensors_close(bt_safetensors *st); /* accepts NULL */
size_t                bt_safetensors_n_entries(const bt_safetensors *st);
const bt_st_entry    *bt_safetensors_entry_at(const bt_safetensors *st, size_t i); /* name order */
const bt_st_entry    *bt_safetensors_find(const bt_safetensors *st, const char *name); /* or NULL */
/* A text of __metadata__, or NULL. */
const char           *bt_safetensors_metadata(const bt_safetensors *st, const char *key);
BT_MUST_USE bt_status bt_safetensors_read(const bt_safetensors *st, const bt_st_entry *entry,
                                          void *dst, size_t n_bytes, bt_error *err);

typedef struct bt_st_tensor {
    const char    *name;
    bt_dtype       dtype;
    int32_t        rank;
    const int64_t *dim;
} bt_st_tensor;
/* Streams a file: the declared tensors first, then bt_safetensors_put for each of them in that
 * order, then commit. metadata: n_metadata pairs key, value (may be NULL with 0). */
typedef struct bt_safetensors_writer bt_safetensors_writer;
BT_MUST_USE bt_status bt_safetensors_writer_create(const char *path, const bt_st_tensor *tensors,
                                                   size_t n_tensors, const char *const *metadata,
                                                   size_t n_metadata, bt_safetensors_writer **out,
                                                   bt_error *err);
BT_MUST_USE bt_status bt_safetensors_put(bt_safetensors_writer *writer, const void *data,
                                         size_t n_bytes, bt_error *err);
BT_MUST_USE bt_status bt_safetensors_writer_commit(bt_safetensors_writer **writer, bt_error *err);
void                  bt_safetensors_writer_abort(bt_safetensors_writer *writer);

/* NumPy. */

/* The header of a .npy file that holds a float32 matrix [n_rows,n_cols]; its little-endian rows
 * follow. */
enum { BT_NPY_HEADER_BYTES = 128 };
void bt_npy_header_f32(char header[BT_NPY_HEADER_BYTES], int64_t n_rows, int64_t n_cols);

/* SavedModel. */

typedef bt_status (*bt_saved_model_text_fn)(void *context, bt_bytes json, bt_error *err);
/* Calls visit with each JSON text that Keras left about an object, in the bytes of
 * keras_metadata.pb or of saved_model.pb (older exports). BT_E_FORMAT when they are no such
 * messages. */
BT_MUST_USE bt_status bt_saved_model_texts(bt_bytes bytes, bool is_keras_metadata,
                                           bt_saved_model_text_fn visit, void *context,
                                           bt_error *err);

#endif
