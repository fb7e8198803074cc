/* SPDX-License-Identifier: Apache-2.0
 *
 * A file, or a folder a class, as the scan wants it: plain UTF-8 whose form is known. */
#include "data_table.h"

/* As lines of JSON. */
static bt_status read_folder(const table_wish *wish, const char *path, bt_fs_scratch **scratch,
                             table_source *out, bt_error *err) {
    if (*scratch == NULL) {
        BT_TRY(bt_fs_scratch_create(path, scratch, err));
    }
    out->begin = bt_fs_scratch_size(*scratch);
    BT_TRY(table_read_folder(wish, path, *scratch, err));
    out->end = bt_fs_scratch_size(*scratch);
    out->is_unpacked = true;
    out->form = (table_form){.table = BT_TABLE_JSONL};
    return BT_OK;
}

/* *scratch is created when it is needed; the caller owns it. */
static bt_status open_source(const table_wish *wish, const char *path, bt_fs_scratch **scratch,
                             table_source *out, bt_error *err) {
    bt_fs_info     info = {0};
    bt_text_source text = {0};
    *out = (table_source){0};
    BT_TRY(bt_fs_stat(path, &info, err));
    if (info.kind == BT_FS_FOLDER && wish->table == BT_TABLE_JSONL) {
        return read_folder(wish, path, scratch, out, err);
    }
    BT_TRY(bt_text_source_open(path, &wish->encoding, false, scratch, &text, err));
    out->is_unpacked = text.is_unpacked;
    out->begin = text.begin;
    out->end = text.end;
    const bt_status rc = table_form_find(
        wish, path, (bt_text_span){bt_str_text(&text.head), text.head.len}, &out->form, err);
    bt_text_source_deinit(&text);
    return rc;
}

bt_status table_source_scan(const table_wish *wish, const char *path, bt_fs_scratch **scratch,
                            table_source *source, table_scan *scan, bt_error *err) {
    BT_TRY(open_source(wish, path, scratch, source, err));
    const bt_text_source text = {
        .is_unpacked = source->is_unpacked, .begin = source->begin, .end = source->end};
    bt_fs_stream *stream = NULL;
    BT_TRY(bt_text_source_stream(&text, path, *scratch, &stream, err));
    return table_scan_stream(scan, &source->form, path, stream, err);
}
