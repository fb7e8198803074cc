/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of the data room. source: files -> numbered records. order: (epoch, place) -> record
 * number. row: one record -> one more row of a batch under construction. stream: the loop over
 * these three in a thread of its own, and the hand-over to the caller. */
#ifndef BT_DATA_INTERNAL_H
#define BT_DATA_INTERNAL_H

#include "bt/data.h"
#include "bt/fs.h"
#include "bt/wire.h"

/* ---- source ---------------------------------------------------------------------------------- */

typedef struct data_file {
    char             *path;     /* owned */
    bt_file          *file;     /* open for reading, or NULL */
    bt_tfrecord_index index;    /* of gzip: where the data of each record starts in unpacked */
    bt_str            unpacked; /* gzip: the data of all records, one after the other */
    int64_t           first;    /* number of its first record in the whole source */
} data_file;

/* Memory per record: 8 bytes of offset, and 4 more where files are interleaved (order). A million
 * records are 8 to 12 MB; MNLI's 392,702 are 3 MB. gzip cannot be entered in the middle, so there
 * the records themselves are kept as well. */
typedef struct data_source {
    data_file *files; /* owned */
    size_t     n_files;
    size_t     cap_files;
    int64_t    n_records;
    size_t     n_open;
    size_t     next_to_close; /* clock hand over files, when more are wanted than may be open */
    bool       gzip;
} data_source;

/* Expands globs, opens and indexes. source is zero-initialised; deinit it also after a failure. */
bt_status bt_data_source_open(data_source *source, const bt_data_config *config, bt_error *err);
void      bt_data_source_deinit(data_source *source);
/* The file that holds record number `record` of the source. */
const data_file *bt_data_source_file(const data_source *source, int64_t record);
/* out->index is the number within its file; bytes are borrowed until buffer or source change.
 * Damage (crc) is BT_E_FORMAT. One caller at a time. */
bt_status bt_data_source_read(data_source *source, int64_t record, bt_str *buffer, bt_record *out,
                              bt_error *err);

/* ---- order ----------------------------------------------------------------------------------- */

typedef struct data_order {
    int64_t   n_records;
    uint64_t  seed;
    bool      shuffle;
    uint32_t *interleaved; /* owned; [n_records], or NULL: as the source numbers them */
} data_order;

bt_status bt_data_order_init(data_order *order, const data_source *source,
                             const bt_data_config *config, bt_error *err);
void      bt_data_order_deinit(data_order *order);
int64_t   bt_data_order_at(const data_order *order, uint64_t epoch, uint64_t index);

/* ---- row ------------------------------------------------------------------------------------- */

/* One batch and its buffers, sized once for the largest batch there can be. */
typedef struct data_slot {
    bt_batch       batch;
    int64_t       *offsets; /* [cap_rows+1] */
    int32_t       *ids;     /* [cap_rows*S] as types, positions, key_mask */
    int32_t       *types;
    int32_t       *positions;
    uint8_t       *key_mask;
    int32_t       *int_labels; /* CLASS [cap_rows], SPAN [2*cap_rows], TOKENS [cap_rows*S] */
    float         *float_labels;
    int64_t       *example_ids;
    int64_t        cap_rows;
    int64_t        n_rows;    /* under construction */
    bool           is_masked; /* some token of it may not be attended to */
    bt_data_cursor after;     /* the cursor when this batch has been delivered */
} data_slot;

/* What one record is decoded with. */
typedef struct data_decoder {
    const bt_data_schema *schema;
    const char           *section; /* for messages */
    bt_example            example;
    bt_str                buffer;
    int64_t              *ids; /* [S] as mask, types, labels; one allocation, owned by ids */
    int64_t              *mask;
    int64_t              *types;
    int64_t              *labels;
} data_decoder;

bt_status bt_data_slot_init(data_slot *slot, const bt_data_schema *schema, int64_t cap_rows,
                            bt_error *err);
void      bt_data_slot_deinit(data_slot *slot);
void      bt_data_slot_clear(data_slot *slot);
/* Fills slot->batch from the rows so far. */
void bt_data_slot_finish(data_slot *slot, const bt_data_schema *schema);

bt_status bt_data_decoder_init(data_decoder *decoder, const bt_data_schema *schema,
                               const char *section, bt_error *err);
void      bt_data_decoder_deinit(data_decoder *decoder);
/* Parses decoder->example from the record. BT_E_FORMAT: damage. */
bt_status bt_data_decoder_parse(data_decoder *decoder, bt_bytes bytes, bt_error *err);
/* Appends what was parsed as one row; on failure the slot is as it was. Any failure here is a
 * record that says something that the model cannot take: never skipped. */
bt_status bt_data_slot_append(data_slot *slot, data_decoder *decoder, bt_error *err);

#endif
