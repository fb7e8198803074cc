/* SPDX-License-Identifier: Apache-2.0
 *
 * data, private: what is seen of the texts of an input while it is parsed for the first time
 * (data_census.c). */
#ifndef BT_DATA_CENSUS_H
#define BT_DATA_CENSUS_H

#include "data_names.h"

enum { DATA_CENSUS_SAMPLE = 1000 };

struct data_census {
    bt_data_census facts;
    data_names     names; /* of the texts of each row */
    int64_t        n_sampled_bytes;
    int32_t        unknown;    /* id of [UNK] */
    size_t         first_part; /* where the first row without text is */
    int64_t        first_line;
};

/* What is known before the first row. unit and lack: as in facts, borrowed. */
bt_status data_census_begin(data_census *census, const char *unit, const char *lack,
                            const bt_text_vocab *vocab, const bt_data_schema *schema,
                            bt_error *err);
/* All that is known of questions. */
bt_status data_census_squad(data_census *census, const bt_squad_windows *windows,
                            const bt_text_vocab *vocab, const bt_data_schema *schema,
                            bt_error *err);
/* A row without text. */
void data_census_miss(bt_data_census *facts, const char *path, int64_t line);
/* The same of a table. */
bt_status data_census_begin_rows(data_census *census, const data_encoder *encoder, bt_error *err);
/* What names a row by its texts (data_names.h). */
uint64_t data_census_name(const bt_text_span *texts, size_t n);
/* Do rows of this schema have names? */
bool data_census_names(const bt_data_schema *schema);
/* Counts the tokens of a row; is there need of more? */
bt_status data_census_sample(data_census *census, data_encoder *encoder, const bt_text_span *texts,
                             bt_error *err);
bool      data_census_wants(const data_census *census);
/* A row whose texts are these; encoder's scratch is used. */
bt_status data_census_add(data_census *census, data_encoder *encoder, const bt_text_span *texts,
                          const char *path, size_t part, int64_t line, bt_error *err);
/* Spaces, tabs and line ends alone. */
bool data_is_blank(const char *text, size_t n);
void data_census_deinit(data_census *census);

#endif
