/* SPDX-License-Identifier: Apache-2.0
 *
 * data, private: tables and their index (data_table_index.c). */
#ifndef BT_DATA_TABLE_INDEX_H
#define BT_DATA_TABLE_INDEX_H

#include "data_table_rows.h"

/* Which state the files are in, and whether an index is looked for. */
bt_status table_index_begin(table_rows *rows, const bt_data_config *config, bt_error *err);
/* All that the first reading learns, and the rows that are left, from an index that is there. */
bt_status table_index_restore(table_rows *rows, bool *is_restored, bt_error *err);
/* After the labels were settled: says which rows are held out. *is_restored false: labels mean
 * something else than they did, and the files are to be read. */
bt_status table_index_settle(table_rows *rows, bool *is_restored, bt_error *err);

/* What was learned, before labels are settled; "" where no index is kept. Then, when rows are held
 * out, the whole of it to the file, from which places and names are read from here on. */
bt_status table_index_note(const table_rows *rows, bt_str *facts, bt_error *err);
bt_status table_index_keep(table_rows *rows, bt_str *facts, bt_error *err);

#endif
