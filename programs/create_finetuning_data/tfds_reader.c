/* SPDX-License-Identifier: Apache-2.0
 *
 * The rows of a split in the order in which TFDS gives them (its tf.data interleave, deterministic:
 * a slot of the cycle whose shard is at its end takes the next shard when its turn comes again), or
 * sorted by an integer feature. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "bt/wire/tfrecord.h"
#include "tfds_set.h"

enum { CYCLE_LENGTH = 16, BLOCK_LENGTH = 16 };

typedef struct slot {
    bt_tfrecord_reader *reader; /* NULL: no shard */
    size_t              shard;
    int64_t             n_read;
} slot;

/* A row of a sorted split. */
typedef struct place {
    int64_t  key;
    int64_t  offset;
    int64_t  order; /* in TFDS's own order: equal keys keep it */
    uint32_t shard;
    uint32_t index; /* in the shard */
} place;

struct tfds_reader {
    const tfds_set   *set;
    const tfds_split *split;
    slot              slots[CYCLE_LENGTH]; /* in TFDS's own order */
    size_t            cycle_length;
    size_t            at;         /* the slot whose turn it is */
    int               n_in_block; /* rows that it gave in this turn */
    size_t            next_shard;
    place            *places; /* sorted: [n_places] */
    size_t            n_places;
    size_t            places_cap;
    size_t            next_place;
    bt_file         **files; /* sorted: [n_shards] */
    bt_str            buffer;
    bt_example        example;
    bt_record         record; /* the current row */
    size_t            shard;  /* where it is from */
};

bt_status tfds_reader_fail(const tfds_reader *reader, bt_status status, const char *message,
                           bt_error *err) {
    char *path = NULL;
    BT_TRY(tfds_shard_path(reader->set, reader->split, reader->shard, &path, err));
    const bt_status rc = BT_FAIL(err, status, "%s: record %" PRId64 " at byte %" PRId64 ": %s",
                                 path, reader->record.index, reader->record.offset, message);
    bt_free(path);
    return rc;
}

static bt_status fail_key(const tfds_reader *r, const char *key, const char *what, bt_error *err) {
    bt_str    text = BT_STR_INIT;
    bt_status rc = BT_OK;
    BT_CHECK(bt_str_appendf(&text, err, "%s '%s'; it has:", what, key));
    for (size_t i = 0; i < r->example.n; i++) {
        const bt_feature *const f = &r->example.features[i];
        BT_CHECK(bt_str_appendf(&text, err, "%s %.*s (%s)", i == 0 ? "" : ",", (int)f->key.n_bytes,
                                (const char *)f->key.data, bt_feature_kind_name(f->kind)));
    }
    rc = tfds_reader_fail(r, BT_E_FORMAT, bt_str_text(&text), err);
done:
    bt_str_deinit(&text);
    return rc;
}

static bt_status fail_count(const tfds_reader *r, size_t shard, int64_t n_read, bt_error *err) {
    char *path = NULL;
    BT_TRY(tfds_shard_path(r->set, r->split, shard, &path, err));
    const bt_status rc =
        BT_FAIL(err, BT_E_FORMAT, "%s: %" PRId64 " records, but dataset_info.json says %" PRId64,
                path, n_read, r->split->shard_rows[shard]);
    bt_free(path);
    return rc;
}

/* The next shard that has rows, in the current slot; none is left: the slot stays empty. */
static bt_status fill_slot(tfds_reader *r, bt_error *err) {
    while (r->next_shard < r->split->n_shards && r->split->shard_rows[r->next_shard] == 0) {
        r->next_shard++;
    }
    if (r->next_shard == r->split->n_shards) {
        return BT_OK;
    }
    char       *path = NULL;
    slot *const s = &r->slots[r->at];
    BT_TRY(tfds_shard_path(r->set, r->split, r->next_shard, &path, err));
    const bt_status rc = bt_tfrecord_open(path, BT_COMPRESSION_NONE, &s->reader, err);
    bt_free(path);
    BT_TRY(rc);
    s->shard = r->next_shard++;
    s->n_read = 0;
    return BT_OK;
}

static void advance_slot(tfds_reader *r) {
    r->at = (r->at + 1) % r->cycle_length;
    r->n_in_block = 0;
}

static bool has_open_slot(const tfds_reader *r) {
    for (size_t i = 0; i < r->cycle_length; i++) {
        if (r->slots[i].reader != NULL) {
            return true;
        }
    }
    return false;
}

/* One record from the current slot; *got false: its shard is at its end. */
static bt_status take_record(tfds_reader *r, bool *got, bt_error *err) {
    slot *const s = &r->slots[r->at];
    bool        end = false;
    BT_TRY(bt_tfrecord_next(s->reader, &r->record, &end, err));
    *got = !end;
    s->n_read += end ? 0 : 1;
    if (end ? s->n_read != r->split->shard_rows[s->shard]
            : s->n_read > r->split->shard_rows[s->shard]) {
        return fail_count(r, s->shard, s->n_read, err);
    }
    r->shard = s->shard;
    if (end) {
        bt_tfrecord_close(s->reader);
        s->reader = NULL;
    }
    return BT_OK;
}

static bt_status next_interleaved(tfds_reader *r, bool *end, bt_error *err) {
    *end = false;
    for (;;) {
        bool got = false;
        if (r->slots[r->at].reader == NULL) {
            BT_TRY(fill_slot(r, err));
        }
        if (r->slots[r->at].reader != NULL) {
            BT_TRY(take_record(r, &got, err));
        } else if (!has_open_slot(r)) {
            *end = true;
            return BT_OK;
        }
        if (!got || ++r->n_in_block == BLOCK_LENGTH) {
            advance_slot(r);
        }
        if (got) {
            return BT_OK;
        }
    }
}

static bt_status parse_record(tfds_reader *r, bt_error *err) {
    bt_error        problem = BT_ERROR_INIT;
    const bt_status rc = bt_example_parse(&r->example, r->record.data, &problem);
    return rc == BT_OK ? BT_OK : tfds_reader_fail(r, rc, problem.msg, err);
}

static int compare_places(const void *a, const void *b) {
    const place *const p = a;
    const place *const q = b;
    if (p->key != q->key) {
        return p->key < q->key ? -1 : 1;
    }
    return p->order < q->order ? -1 : 1;
}

static bt_status add_place(tfds_reader *r, const char *sort_key, bt_error *err) {
    double value = 0.0;
    bool   is_float = false;
    BT_TRY(tfds_reader_number(r, sort_key, &value, &is_float, err));
    if (is_float) {
        return fail_key(r, sort_key, "no integer feature", err);
    }
    BT_TRY(
        bt_grow(&r->places, &r->places_cap, r->n_places + 1, sizeof *r->places, UINT32_MAX, err));
    r->places[r->n_places] = (place){.key = (int64_t)value,
                                     .offset = r->record.offset,
                                     .order = (int64_t)r->n_places,
                                     .shard = (uint32_t)r->shard,
                                     .index = (uint32_t)r->record.index};
    r->n_places++;
    return BT_OK;
}

static bt_status open_files(tfds_reader *r, bt_error *err) {
    r->files = bt_calloc_array(r->split->n_shards, sizeof(bt_file *));
    if (r->files == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "%s: out of memory", r->set->folder);
    }
    for (size_t i = 0; i < r->split->n_shards; i++) {
        char *path = NULL;
        if (r->split->shard_rows[i] == 0) {
            continue;
        }
        BT_TRY(tfds_shard_path(r->set, r->split, i, &path, err));
        const bt_status rc = bt_fs_open(path, &r->files[i], err);
        bt_free(path);
        BT_TRY(rc);
    }
    return BT_OK;
}

static bt_status sort_rows(tfds_reader *r, const char *sort_key, bt_error *err) {
    for (;;) {
        bool end = false;
        BT_TRY(next_interleaved(r, &end, err));
        if (end) {
            break;
        }
        BT_TRY(parse_record(r, err));
        BT_TRY(add_place(r, sort_key, err));
    }
    if (r->n_places > 0) {
        qsort(r->places, r->n_places, sizeof *r->places, compare_places);
    }
    return open_files(r, err);
}

static bt_status next_sorted(tfds_reader *r, bool *end, bt_error *err) {
    *end = r->next_place == r->n_places;
    if (*end) {
        return BT_OK;
    }
    const place *const p = &r->places[r->next_place++];
    r->shard = p->shard;
    return bt_tfrecord_read_offset(r->files[p->shard], p->offset, (int64_t)p->index, &r->buffer,
                                   &r->record, NULL, err);
}

bt_status tfds_reader_open(tfds_reader **out, const tfds_set *set, const tfds_split *split,
                           const char *sort_key, bt_error *err) {
    bt_status    rc = BT_OK;
    tfds_reader *r = bt_calloc_array(1, sizeof *r);
    if (r == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "%s: out of memory", set->folder);
    }
    r->set = set;
    r->split = split;
    r->cycle_length = set->is_ordered ? 1 : CYCLE_LENGTH;
    if (sort_key != NULL) {
        BT_CHECK(sort_rows(r, sort_key, err));
    }
    *out = r;
    r = NULL;
done:
    tfds_reader_close(r);
    return rc;
}

void tfds_reader_close(tfds_reader *reader) {
    if (reader == NULL) {
        return;
    }
    for (size_t i = 0; i < CYCLE_LENGTH; i++) {
        bt_tfrecord_close(reader->slots[i].reader);
    }
    for (size_t i = 0; reader->files != NULL && i < reader->split->n_shards; i++) {
        bt_fs_close(reader->files[i]);
    }
    bt_free(reader->files);
    bt_free(reader->places);
    bt_str_deinit(&reader->buffer);
    bt_example_deinit(&reader->example);
    bt_free(reader);
}

bt_status tfds_reader_next(tfds_reader *reader, const bt_example **example, bool *end,
                           bt_error *err) {
    BT_TRY(reader->files != NULL ? next_sorted(reader, end, err)
                                 : next_interleaved(reader, end, err));
    if (*end) {
        return BT_OK;
    }
    *example = &reader->example;
    return parse_record(reader, err);
}

bt_status tfds_reader_text(const tfds_reader *reader, const char *key, bt_bytes *text,
                           bt_error *err) {
    const bt_feature *const feature = bt_example_find(&reader->example, key);
    size_t                  n = 0;
    if (feature == NULL || feature->kind != BT_FEATURE_BYTES) {
        return fail_key(reader, key, "there is no text feature", err);
    }
    BT_TRY(bt_feature_read_bytes(feature, text, 1, &n, err));
    return n == 1 ? BT_OK : fail_key(reader, key, "not one text in feature", err);
}

bt_status tfds_reader_number(const tfds_reader *reader, const char *key, double *value,
                             bool *is_float, bt_error *err) {
    const bt_feature *const feature = bt_example_find(&reader->example, key);
    size_t                  n = 0;
    int64_t                 integer = 0;
    float                   number = 0.0F;
    *is_float = feature != NULL && feature->kind == BT_FEATURE_F32;
    if (*is_float) {
        BT_TRY(bt_feature_read_f32(feature, &number, 1, &n, err));
        *value = (double)number;
    } else if (feature != NULL && feature->kind == BT_FEATURE_I64) {
        BT_TRY(bt_feature_read_i64(feature, &integer, 1, &n, err));
        *value = (double)integer;
    } else {
        return fail_key(reader, key, "there is no number feature", err);
    }
    return n == 1 ? BT_OK : fail_key(reader, key, "not one number in feature", err);
}
