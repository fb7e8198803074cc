/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading safetensors: u64 length of a JSON header, the header, the tensors' bytes. Shapes,
 * types and offsets are all checked against each other and against the file when it is opened:
 * no hole, no overlap, nothing after the end. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bt/base/alloc.h"
#include "bt/base/arena.h"
#include "bt/base/bytes.h"
#include "bt/base/size.h"
#include "bt/fs.h"
#include "bt/wire/safetensors.h"
#include "safetensors_dtype.h"

static const uint64_t header_max_bytes = 100000000; /* as the format's own reader */

struct bt_safetensors {
    bt_file     *file;
    json_t      *metadata; /* NULL: none */
    bt_arena     names;
    bt_st_entry *entries; /* by name */
    size_t       n_entries;
};

static bt_status fail_tensor(const char *path, const char *name, const char *what, bt_error *err) {
    return BT_FAIL(err, BT_E_FORMAT, "%s: the header's entry of tensor '%s' is damaged: %s", path,
                   name, what);
}

static bool parse_shape(const json_t *shape, bt_st_entry *entry) {
    if (!json_is_array(shape) || json_array_size(shape) > BT_WIRE_MAX_RANK) {
        return false;
    }
    entry->rank = (int32_t)json_array_size(shape);
    entry->n_elements = 1;
    for (int32_t i = 0; i < entry->rank; i++) {
        const json_t *const dim = json_array_get(shape, (size_t)i);
        entry->dim[i] = json_integer_value(dim);
        if (!json_is_integer(dim) ||
            !bt_i64_mul(entry->n_elements, entry->dim[i], &entry->n_elements)) {
            return false;
        }
    }
    return true;
}

static bt_status parse_entry(const char *path, const json_t *value, int64_t data_start,
                             int64_t data_end, bt_st_entry *entry, bt_error *err) {
    const char *const   type = json_string_value(json_object_get(value, "dtype"));
    const json_t *const offsets = json_object_get(value, "data_offsets");
    entry->dtype = type != NULL ? safetensors_dtype(type) : BT_DTYPE_INVALID;
    if (entry->dtype == BT_DTYPE_INVALID) {
        return type == NULL
                   ? fail_tensor(path, entry->name, "no dtype", err)
                   : BT_FAIL(err, BT_E_UNSUPPORTED,
                             "%s: tensor '%s' is of type %s, which this program cannot read", path,
                             entry->name, type);
    }
    if (!parse_shape(json_object_get(value, "shape"), entry)) {
        return fail_tensor(path, entry->name, "its shape", err);
    }
    const json_t *const begin = json_array_get(offsets, 0);
    const json_t *const end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end)) {
        return fail_tensor(path, entry->name, "data_offsets", err);
    }
    const int64_t from = json_integer_value(begin);
    const int64_t to = json_integer_value(end);
    int64_t       n_bytes = 0;
    if (from < 0 || to < from || to > data_end - data_start) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: tensor '%s' should lie in bytes %" PRId64 " to %" PRId64
                       " of the data, but there are only %" PRId64 ": is the file truncated?",
                       path, entry->name, from, to, data_end - data_start);
    }
    if (!bt_i64_mul(entry->n_elements, (int64_t)bt_dtype_size(entry->dtype), &n_bytes) ||
        n_bytes != to - from) {
        return fail_tensor(path, entry->name, "its size in bytes does not fit its shape", err);
    }
    entry->offset = data_start + from;
    entry->n_bytes = n_bytes;
    return BT_OK;
}

static int compare_offset(const void *a, const void *b) {
    const bt_st_entry *const left = a;
    const bt_st_entry *const right = b;
    if (left->offset != right->offset) {
        return left->offset < right->offset ? -1 : 1;
    }
    return left->n_bytes < right->n_bytes ? -1 : left->n_bytes > right->n_bytes;
}

static int compare_name(const void *a, const void *b) {
    const bt_st_entry *const left = a;
    const bt_st_entry *const right = b;
    return strcmp(left->name, right->name);
}

/* The tensors must fill the data exactly: else two of them share bytes, or some belong to none. */
static bt_status check_layout(bt_safetensors *st, int64_t data_start, bt_error *err) {
    const char *const path = bt_fs_path(st->file);
    int64_t           at = data_start;
    if (st->n_entries > 1) {
        qsort(st->entries, st->n_entries, sizeof st->entries[0], compare_offset);
    }
    for (size_t i = 0; i < st->n_entries; i++) {
        if (st->entries[i].offset != at) {
            return fail_tensor(path, st->entries[i].name,
                               "its bytes overlap another tensor's, or leave a hole", err);
        }
        at += st->entries[i].n_bytes;
    }
    if (at != bt_fs_size(st->file)) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: the tensors end at byte %" PRId64 ", the file at %" PRId64, path, at,
                       bt_fs_size(st->file));
    }
    if (st->n_entries > 1) {
        qsort(st->entries, st->n_entries, sizeof st->entries[0], compare_name);
    }
    return BT_OK;
}

static bt_status parse_header(bt_safetensors *st, json_t *root, int64_t data_start, bt_error *err) {
    const char *const path = bt_fs_path(st->file);
    const char       *name = NULL;
    json_t           *value = NULL;
    st->entries = bt_calloc_array(json_object_size(root), sizeof st->entries[0]);
    if (st->entries == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot open %s", path);
    }
    json_object_foreach(root, name, value) {
        if (strcmp(name, "__metadata__") == 0) {
            st->metadata = json_incref(value);
            continue;
        }
        bt_st_entry *const entry = &st->entries[st->n_entries];
        entry->name = bt_arena_strdup(&st->names, name);
        if (entry->name == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot open %s", path);
        }
        BT_TRY(parse_entry(path, value, data_start, bt_fs_size(st->file), entry, err));
        st->n_entries++;
    }
    return check_layout(st, data_start, err);
}

/* Another file under the name of one: said by what it is. */
static bt_status refuse_stranger(const bt_safetensors *st, bt_error *err) {
    char   head[512];
    size_t n = 0;
    BT_TRY(bt_fs_read_upto(st->file, 0, head, sizeof head, &n, err));
    return bt_fs_refuse_stranger(bt_fs_path(st->file), head, n, err);
}

static bt_status read_header(bt_safetensors *st, bt_error *err) {
    const char *const path = bt_fs_path(st->file);
    const int64_t     size = bt_fs_size(st->file);
    uint8_t           prefix[8];
    if (size < 8) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: %" PRId64 " bytes are too few for a safetensors file",
                       path, size);
    }
    BT_TRY(bt_fs_read_at(st->file, 0, prefix, sizeof prefix, err));
    const uint64_t n_header = bt_load_u64le(prefix);
    BT_TRY(refuse_stranger(st, err));
    if (n_header > header_max_bytes || n_header > (uint64_t)(size - 8)) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: its header should have %" PRIu64 " bytes, but the file has %" PRId64
                       ": truncated, or not a safetensors file",
                       path, n_header, size);
    }
    char *const text = bt_alloc((size_t)n_header);
    if (text == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot open %s", path);
    }
    json_t      *root = NULL;
    json_error_t json_error;
    bt_status    rc = BT_OK;
    BT_CHECK(bt_fs_read_at(st->file, 8, text, (size_t)n_header, err));
    BT_CHECK(bt_json_load(text, (size_t)n_header, JSON_REJECT_DUPLICATES, &root, &json_error, err));
    if (!json_is_object(root)) {
        rc = BT_FAIL(err, BT_E_FORMAT, "%s: the header is not a JSON object: %s", path,
                     root == NULL ? json_error.text : "another value");
        goto done;
    }
    BT_CHECK(parse_header(st, root, 8 + (int64_t)n_header, err));
done:
    json_decref(root);
    bt_free(text);
    return rc;
}

bt_status bt_safetensors_open(const char *path, bt_safetensors **out, bt_error *err) {
    bt_status             rc = BT_OK;
    bt_safetensors *const st = bt_calloc_array(1, sizeof *st);
    if (st == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot open %s", path);
    }
    BT_CHECK(bt_fs_open(path, &st->file, err));
    BT_CHECK(bt_arena_init(&st->names, 1U << 14, err));
    BT_CHECK(read_header(st, err));
    *out = st;
    return BT_OK;
done:
    bt_safetensors_close(st);
    return rc;
}

void bt_safetensors_close(bt_safetensors *st) {
    if (st != NULL) {
        bt_fs_close(st->file);
        json_decref(st->metadata);
        bt_arena_deinit(&st->names);
        bt_free(st->entries);
        bt_free(st);
    }
}

size_t bt_safetensors_n_entries(const bt_safetensors *st) {
    return st->n_entries;
}

const bt_st_entry *bt_safetensors_entry_at(const bt_safetensors *st, size_t i) {
    BT_ASSERT(i < st->n_entries);
    return &st->entries[i];
}

const bt_st_entry *bt_safetensors_find(const bt_safetensors *st, const char *name) {
    const bt_st_entry key = {.name = name};
    if (st->n_entries == 0) {
        return NULL;
    }
    return bsearch(&key, st->entries, st->n_entries, sizeof st->entries[0], compare_name);
}

const char *bt_safetensors_metadata(const bt_safetensors *st, const char *key) {
    return json_string_value(json_object_get(st->metadata, key));
}

bt_status bt_safetensors_read(const bt_safetensors *st, const bt_st_entry *entry, void *dst,
                              size_t n_bytes, bt_error *err) {
    if ((uint64_t)entry->n_bytes != n_bytes) {
        return BT_FAIL(err, BT_E_SHAPE,
                       "%s: tensor '%s' has %" PRId64 " bytes, the caller wants %zu",
                       bt_fs_path(st->file), entry->name, entry->n_bytes, n_bytes);
    }
    return bt_fs_read_at(st->file, entry->offset, dst, n_bytes, err);
}
