/* SPDX-License-Identifier: Apache-2.0
 *
 * The stream: a thread of its own makes batches ahead of the caller into a ring of slots. What is
 * delivered is a function of the cursor alone; the thread only decides when. Errors cross over as
 * values, after the batches that came before them. */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/cores.h"
#include "bt/base/log.h"
#include "bt/base/size.h"
#include "bt/base/stop.h"
#include "bt/base/str.h"
#include "bt/base/time.h"
#include "data_labels.h"
#include "data_names.h"
#include "data_sample.h"

/* One slot is with the caller, so up to N_SLOTS - 1 batches are ready. */
enum { N_SLOTS = 4 };

struct bt_data_stream {
    bt_data_config config; /* paths are not kept */
    bt_data_schema schema;
    data_rows     *rows; /* owned; of the thread, while it runs */
    data_order     order;
    data_sample    sample;
    data_slot      slots[N_SLOTS];
    bt_data_cursor delivered; /* after the last batch that the caller got */
    double         wait_seconds;
    double         make_seconds; /* of the delivered batches */

    bool           has_thread;
    pthread_t      thread;
    bt_data_cursor next; /* where the thread goes on; its own while it runs */
    atomic_bool    stop;

    /* Under lock: the hand-over. Slots head .. head+n_ready-1 are ready; head-1 is the caller's. */
    pthread_mutex_t lock;
    pthread_cond_t  can_fill;
    pthread_cond_t  can_take;
    bool            has_lock;
    size_t          head;
    size_t          n_ready;
    bool            is_through; /* nothing comes after the ready ones: end or failure */
    bt_error        failure;    /* code BT_OK: the end */
};

static uint64_t n_rows(const bt_data_stream *stream) {
    return (uint64_t)stream->rows->n_rows;
}

/* A damaged record: counts it, or fails when there were as many as allowed. */
static bt_status skip_row(bt_data_stream *stream, bt_data_cursor *cursor, int64_t row,
                          bt_error *damage) {
    const uint64_t limit = (uint64_t)stream->config.skip_bad_records;
    if (cursor->n_skipped >= limit) {
        if (limit == 0) {
            return damage->code;
        }
        return bt_error_prefix(damage,
                               "%" PRIu64 " damaged records were skipped, as many as "
                               "skip_bad_records allows; one more",
                               limit);
    }
    cursor->n_skipped++;
    bt_log(cursor->epoch == 0 ? BT_LOG_WARNING : BT_LOG_DEBUG,
           "damaged record skipped (%" PRIu64 " of at most %" PRIu64 "): %s", cursor->n_skipped,
           limit, damage->msg);
    if (cursor->n_skipped >= n_rows(stream)) {
        return BT_FAIL(damage, BT_E_FORMAT, "%s: all records are damaged",
                       stream->rows->parts[data_rows_part_of(stream->rows, row)].path);
    }
    return BT_OK;
}

/* One row, unless it is damaged and may be skipped. Moves the cursor over it. */
static bt_status add_row(bt_data_stream *stream, data_slot *slot, bt_data_cursor *cursor,
                         bt_error *err) {
    const int64_t row = data_order_at(&stream->order, cursor->epoch, cursor->index);
    bool          is_damaged = false;
    bt_status     rc = stream->rows->ops->append(stream->rows, row, slot, &is_damaged, err);
    if (is_damaged) {
        rc = skip_row(stream, cursor, row, err);
    }
    cursor->index++;
    return rc;
}

/* Sequences of a row: a pair has two. */
static int64_t seqs_a_row(const bt_data_schema *schema) {
    return schema->pairing == BT_PAIRING_ROWS ? 2 : 1;
}

/* Fills the slot from the cursor on. *end: nothing is left (and no batch). */
static bt_status fill_slot(bt_data_stream *stream, data_slot *slot, bool *end, bt_error *err) {
    bt_data_cursor *const cursor = &stream->next;
    const uint64_t        n = n_rows(stream);
    const int64_t         n_full = stream->config.global_batch_size * seqs_a_row(&stream->schema);
    data_slot_clear(slot);
    slot->batch.first_record = (int64_t)(cursor->epoch * n + cursor->index);
    while (slot->n_rows < n_full) {
        if (cursor->index >= n) {
            if (!stream->config.is_training) {
                break;
            }
            *cursor = (bt_data_cursor){.epoch = cursor->epoch + 1};
        }
        if (atomic_load_explicit(&stream->stop, memory_order_relaxed)) {
            return BT_OK; /* the caller is about to throw this batch away */
        }
        BT_TRY(bt_stop_check(err));
        BT_TRY(add_row(stream, slot, cursor, err));
    }
    *end = slot->n_rows == 0 || (slot->n_rows < n_full && stream->config.drop_remainder);
    slot->after = *cursor;
    data_slot_finish(slot, &stream->schema);
    return BT_OK;
}

/* Waits for a free slot; NULL when it is time to stop. */
static data_slot *wait_for_slot(bt_data_stream *stream) {
    data_slot *slot = NULL;
    pthread_mutex_lock(&stream->lock);
    while (stream->n_ready == N_SLOTS - 1 && !atomic_load(&stream->stop)) {
        pthread_cond_wait(&stream->can_fill, &stream->lock);
    }
    if (!atomic_load(&stream->stop)) {
        slot = &stream->slots[(stream->head + stream->n_ready) % N_SLOTS];
    }
    pthread_mutex_unlock(&stream->lock);
    return slot;
}

static void *read_ahead(void *arg) {
    bt_data_stream *const stream = arg;
    bool                  is_through = false;
    bt_cpus_unbind();
    while (!is_through) {
        data_slot *const slot = wait_for_slot(stream);
        if (slot == NULL) {
            return NULL;
        }
        bt_error        err = BT_ERROR_INIT;
        bool            end = false;
        const double    began = bt_time_monotonic();
        const bt_status rc = fill_slot(stream, slot, &end, &err);
        slot->make_seconds = bt_time_monotonic() - began;
        is_through = rc != BT_OK || end;
        pthread_mutex_lock(&stream->lock);
        if (rc != BT_OK) {
            stream->failure = err;
        }
        if (is_through) {
            stream->is_through = true;
        } else {
            stream->n_ready++;
        }
        pthread_cond_signal(&stream->can_take);
        pthread_mutex_unlock(&stream->lock);
    }
    return NULL;
}

static bt_status start_thread(bt_data_stream *stream, bt_error *err) {
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    /* signals belong to the thread that can act on them */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&stream->thread, NULL, read_ahead, stream);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        return BT_FAIL(err, BT_E_RESOURCE, "cannot start the thread that reads data: %s",
                       strerror(failed));
    }
    stream->has_thread = true;
    return BT_OK;
}

static void stop_thread(bt_data_stream *stream) {
    if (!stream->has_thread) {
        return;
    }
    pthread_mutex_lock(&stream->lock);
    atomic_store(&stream->stop, true);
    pthread_cond_signal(&stream->can_fill);
    pthread_mutex_unlock(&stream->lock);
    (void)pthread_join(stream->thread, NULL);
    stream->has_thread = false;
}

bt_status bt_data_next_batch(bt_data_stream *stream, const bt_batch **batch, bool *end,
                             bt_error *err) {
    *batch = NULL;
    *end = false;
    if (!stream->has_thread && !stream->is_through) {
        BT_TRY(start_thread(stream, err));
    }
    bt_status rc = BT_OK;
    pthread_mutex_lock(&stream->lock);
    if (stream->n_ready == 0 && !stream->is_through) {
        const double began = bt_time_monotonic();
        while (stream->n_ready == 0 && !stream->is_through) {
            pthread_cond_wait(&stream->can_take, &stream->lock);
        }
        stream->wait_seconds += bt_time_monotonic() - began;
    }
    if (stream->n_ready > 0) {
        const data_slot *const slot = &stream->slots[stream->head];
        stream->head = (stream->head + 1) % N_SLOTS; /* frees the one that the caller had */
        stream->n_ready--;
        stream->delivered = slot->after;
        stream->make_seconds += slot->make_seconds;
        *batch = &slot->batch;
        pthread_cond_signal(&stream->can_fill);
    } else if (stream->failure.code != BT_OK) {
        rc = stream->failure.code;
        if (err != NULL) {
            *err = stream->failure;
        }
    } else {
        *end = true;
    }
    pthread_mutex_unlock(&stream->lock);
    return rc;
}

bt_data_cursor bt_data_get_cursor(const bt_data_stream *stream) {
    return stream->delivered;
}

bt_status bt_data_seek(bt_data_stream *stream, bt_data_cursor cursor, bt_error *err) {
    if (cursor.index > n_rows(stream) || cursor.n_skipped > cursor.index ||
        (cursor.epoch > 0 && !stream->config.is_training)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "cannot continue at row %" PRIu64 " of epoch %" PRIu64
                       ": the data now have %" PRIu64 " records%s; were they changed?",
                       cursor.index, cursor.epoch, n_rows(stream),
                       stream->config.is_training ? "" : " and one epoch");
    }
    stop_thread(stream);
    atomic_store(&stream->stop, false);
    stream->head = 0;
    stream->n_ready = 0;
    stream->is_through = false;
    stream->failure = (bt_error)BT_ERROR_INIT;
    stream->next = cursor;
    stream->delivered = cursor;
    return BT_OK;
}

int64_t bt_data_n_rows(const bt_data_stream *stream) {
    return stream->rows->n_rows;
}

uint64_t bt_data_content(const bt_data_stream *stream) {
    return stream->rows->has_content ? UINT64_C(1) << 32 | stream->rows->content : 0;
}

bt_status bt_data_row_texts(bt_data_stream *stream, int64_t row, const bt_text_span **texts,
                            size_t *n, bt_error *err) {
    BT_ASSERT(row >= 0 && row < stream->rows->n_rows);
    stop_thread(stream); /* the rows are its own while it runs */
    return data_rows_texts(stream->rows, row, texts, n, err);
}

int64_t bt_data_row_at(const bt_data_stream *stream, int64_t place) {
    BT_ASSERT(place >= 0 && place < stream->rows->n_rows);
    return data_order_at(&stream->order, 0, (uint64_t)place);
}

/* " (FILE:7)"; nothing where the file cannot be read any more: whoever tells of the row has a fault
 * of their own to tell. */
static bt_status append_where(data_rows *rows, int64_t row, bt_str *out, bt_error *err) {
    bt_str    place = BT_STR_INIT;
    bt_error  ignored = BT_ERROR_INIT;
    bt_status rc = rows->ops->where(rows, row, &place, &ignored);
    if (rc == BT_OK) {
        rc = bt_str_appendf(out, err, " (%s)", bt_str_text(&place));
    } else {
        rc = rc == BT_E_NOMEM ? BT_FAIL(err, rc, "%s", ignored.msg) : BT_OK;
    }
    bt_str_deinit(&place);
    return rc;
}

bt_status bt_data_say_row(bt_data_stream *stream, int64_t place, bt_str *out, bt_error *err) {
    data_rows *const rows = stream->rows;
    BT_ASSERT(place >= 0);
    stop_thread(stream);
    if (stream->next.n_skipped > 0) {
        return bt_str_appendf(out, err, "about row %" PRId64 " (damaged ones are left out)", place);
    }
    const uint64_t epoch = (uint64_t)(place / rows->n_rows);
    const int64_t  row = data_order_at(&stream->order, epoch, (uint64_t)(place % rows->n_rows));
    BT_TRY(bt_str_appendf(out, err, "row %" PRId64, row));
    return rows->ops->where == NULL ? BT_OK : append_where(rows, row, out, err);
}

bt_status bt_data_row_label(bt_data_stream *stream, int64_t row, int64_t *label, bt_error *err) {
    data_rows *const rows = stream->rows;
    BT_ASSERT(row >= 0 && row < rows->n_rows && rows->ops->label != NULL);
    stop_thread(stream);
    float score = 0;
    return rows->ops->label(rows, row, label, &score, err);
}

bt_status bt_data_row_score(bt_data_stream *stream, int64_t row, float *score, bt_error *err) {
    data_rows *const rows = stream->rows;
    int64_t          label = 0;
    BT_ASSERT(row >= 0 && row < rows->n_rows && rows->ops->label != NULL);
    stop_thread(stream);
    return rows->ops->label(rows, row, &label, score, err);
}

int64_t bt_data_n_left_rows(const bt_data_stream *stream) {
    return stream->schema.pairing == BT_PAIRING_CHAIN ? data_pairs_n_left(stream->rows)
                                                      : stream->rows->n_rows;
}

const bt_data_census *bt_data_get_census(const bt_data_stream *stream, size_t side) {
    BT_ASSERT(side < BT_ARRAY_LEN(stream->rows->census));
    const bt_data_census *const census = stream->rows->census[side];
    return census != NULL && census->n_rows > 0 ? census : NULL;
}

bt_status bt_data_count_shared(const bt_data_stream *of, const bt_data_stream *among,
                               bt_data_shared *out, bt_error *err) {
    const data_rows *const a = of->rows;
    const data_rows *const b = among->rows;
    *out = (bt_data_shared){.first = -1};
    if (a->ops != b->ops || a->names == NULL || b->names == NULL) {
        return BT_OK;
    }
    out->n_of = (int64_t)a->names->n;
    return data_names_shared(a->names, b->names, &out->n, &out->first, err);
}

int64_t bt_data_class_counts(const bt_data_stream *stream, int64_t *counts, int64_t n_classes) {
    const data_rows *const   rows = stream->rows;
    const data_labels *const labels = rows->labels;
    const data_sample *const sample = &stream->sample;
    for (size_t i = 0; labels != NULL && i < labels->n_seen; i++) {
        if (labels->seen[i].id >= 0 && labels->seen[i].id < n_classes) {
            counts[labels->seen[i].id] += labels->seen[i].count;
        }
    }
    for (size_t i = 0; i < rows->n_tag_counts && (int64_t)i < n_classes; i++) {
        counts[i] += rows->tag_counts[i];
    }
    for (int64_t i = 0; i < sample->n_classes && i < n_classes; i++) {
        counts[i] += sample->counts[i];
    }
    return labels != NULL || rows->tag_counts != NULL ? rows->n_rows : sample->n_rows;
}

const char *const *bt_data_label_names(const bt_data_stream *stream, size_t *n) {
    *n = stream->rows->n_label_names;
    return stream->rows->label_names;
}

static void count_row(const bt_data_stream *stream, const data_slot *slot, int64_t n_classes,
                      int64_t *counts) {
    const int64_t n = stream->schema.label_kind == BT_LABEL_TOKENS ? slot->offsets[1] : 1;
    for (int64_t i = 0; i < n; i++) {
        if (slot->int_labels[i] >= 0 && slot->int_labels[i] < n_classes) {
            counts[slot->int_labels[i]]++;
        }
    }
}

bt_status bt_data_count_labels(bt_data_stream *stream, int64_t n_classes, int64_t *counts,
                               bt_error *err) {
    data_slot *const     slot = &stream->slots[0];
    const bt_data_cursor cursor = stream->delivered;
    BT_ASSERT(stream->schema.label_kind == BT_LABEL_CLASS ||
              stream->schema.label_kind == BT_LABEL_TOKENS);
    stop_thread(stream); /* the slots are free for this */
    memset(counts, 0, (size_t)n_classes * sizeof *counts);
    for (int64_t row = 0; row < stream->rows->n_rows; row++) {
        bool     is_damaged = false;
        bt_error failure = BT_ERROR_INIT;
        BT_TRY(bt_stop_check(err));
        data_slot_clear(slot);
        if (stream->rows->ops->append(stream->rows, row, slot, &is_damaged, &failure) != BT_OK) {
            if (is_damaged && stream->config.skip_bad_records > 0) {
                continue;
            }
            if (err != NULL) {
                *err = failure;
            }
            return failure.code;
        }
        count_row(stream, slot, n_classes, counts);
    }
    return bt_data_seek(stream, cursor, err);
}

const bt_squad_windows *bt_data_squad_windows(const bt_data_stream *stream) {
    return data_squad_rows_windows(stream->rows);
}

double bt_data_wait_seconds(const bt_data_stream *stream) {
    return stream->wait_seconds;
}

double bt_data_make_seconds(const bt_data_stream *stream) {
    return stream->make_seconds;
}

static bt_status check_schema(const bt_data_config *config, const bt_data_schema *schema,
                              bt_error *err) {
    const char *const section = config->section;
    BT_ASSERT(config->global_batch_size >= 1 && schema->seq_length >= 1);
    BT_ASSERT(schema->max_positions <= 0 || schema->seq_length <= schema->max_positions);
    if (schema->seq_length > INT32_MAX) {
        return BT_FAIL(err, BT_E_CONFIG, "%s.seq_length: expected at most 2147483647, got %" PRId64,
                       section, schema->seq_length);
    }
    if (schema->vocab_size < 1 || schema->vocab_size > INT32_MAX || schema->type_vocab_size < 1 ||
        schema->type_vocab_size > INT32_MAX) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "vocab_size %" PRId64 " and type_vocab_size %" PRId64
                       " of the model: expected 1 to 2147483647",
                       schema->vocab_size, schema->type_vocab_size);
    }
    return BT_OK;
}

/* The first sound row of a part must be what the schema says. */
static bt_status check_first_row(bt_data_stream *stream, const data_part *part, bt_error *err) {
    data_slot *const slot = &stream->slots[0];
    bt_status        rc = BT_OK;
    data_slot_clear(slot);
    for (int64_t i = 0; i < part->n_rows; i++) {
        bool     is_damaged = false;
        bt_error damage = BT_ERROR_INIT;
        rc = stream->rows->ops->append(stream->rows, part->first + i, slot, &is_damaged, &damage);
        if (!is_damaged || i >= stream->config.skip_bad_records) {
            if (rc != BT_OK && err != NULL) {
                *err = damage;
            }
            break;
        }
        rc = BT_OK;
    }
    data_slot_clear(slot);
    return rc;
}

static bt_status open_data(bt_data_stream *stream, const bt_data_config *config, bt_error *err) {
    BT_TRY(check_schema(&stream->config, &stream->schema, err));
    BT_TRY(data_rows_open(&stream->config, &stream->schema, &stream->rows, err));
    bt_data_config ordered = *config;
    if (stream->schema.pairing == BT_PAIRING_CHAIN) {
        ordered.cycle_length = 1; /* left rows first */
    }
    BT_TRY(data_order_init(&stream->order, stream->rows, &ordered, err));
    const int64_t n = stream->rows->n_rows;
    int64_t       cap_rows = config->global_batch_size;
    if (!config->is_training && cap_rows > n) {
        cap_rows = n;
        if (config->drop_remainder) {
            bt_log(BT_LOG_WARNING,
                   "%s: %" PRId64 " records are fewer than one batch of %" PRId64
                   " and drop_remainder is true: there is no batch at all",
                   stream->config.section, n, config->global_batch_size);
        }
    }
    int64_t cap_seqs = 0;
    if (!bt_i64_mul(cap_rows, seqs_a_row(&stream->schema), &cap_seqs)) {
        return BT_FAIL(err, BT_E_NOMEM,
                       "%s.global_batch_size: %" PRId64 " pairs do not fit into memory",
                       stream->config.section, cap_rows);
    }
    for (int i = 0; i < N_SLOTS; i++) {
        BT_TRY(data_slot_init(&stream->slots[i], &stream->schema, cap_seqs, err));
    }
    BT_TRY(data_sample_read(&stream->sample, stream->rows, &stream->schema, config,
                            &stream->slots[0], err));
    for (size_t i = 0; i < (stream->rows->is_known ? 1 : stream->rows->n_parts); i++) {
        BT_TRY(check_first_row(stream, &stream->rows->parts[i], err));
    }
    return BT_OK;
}

static bool init_lock(bt_data_stream *stream) {
    if (pthread_mutex_init(&stream->lock, NULL) != 0) {
        return false;
    }
    if (pthread_cond_init(&stream->can_fill, NULL) != 0) {
        (void)pthread_mutex_destroy(&stream->lock);
        return false;
    }
    if (pthread_cond_init(&stream->can_take, NULL) != 0) {
        (void)pthread_cond_destroy(&stream->can_fill);
        (void)pthread_mutex_destroy(&stream->lock);
        return false;
    }
    stream->has_lock = true;
    return true;
}

static const char *vocabulary_of(const bt_data_schema *schema) {
    return schema->squad.vocab_file != NULL ? schema->squad.vocab_file : schema->text.vocab_file;
}

static bool begins_with_one(const char *text, const char *const *paths, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (paths[i][0] != '\0' && bt_str_starts_with(text, paths[i])) {
            return true;
        }
    }
    return false;
}

/* A sentence that begins with a path that the user wrote says which key has it. */
static bt_status name_key(const bt_data_stream *stream, bt_status rc, bt_error *err) {
    const bt_data_config *const config = &stream->config;
    const char *const           vocabulary = vocabulary_of(&stream->schema);
    if (err == NULL || (rc != BT_E_IO && rc != BT_E_UNSUPPORTED)) {
        return rc;
    }
    const char *const key =
        vocabulary != NULL && vocabulary[0] != '\0' && bt_str_starts_with(err->msg, vocabulary)
            ? "vocab_file"
        : begins_with_one(err->msg, config->paths, config->n_paths)             ? "input_path"
        : begins_with_one(err->msg, config->right_paths, config->n_right_paths) ? "right_input_path"
                                                                                : NULL;
    return key != NULL ? bt_error_prefix(err, "%s.%s", config->section, key) : rc;
}

bt_status bt_data_open(const bt_data_config *config, const bt_data_schema *schema,
                       bt_data_stream **out, bt_error *err) {
    bt_data_stream *stream = bt_calloc_array(1, sizeof *stream);
    if (stream == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a data stream");
    }
    bt_status      rc = BT_OK;
    bt_data_config fitted = *config;
    bt_data_config_fit(&fitted, schema);
    stream->config = fitted;
    stream->config.section = config->section != NULL ? config->section : "the data";
    stream->schema = *schema;
    atomic_init(&stream->stop, false);
    if (!init_lock(stream)) {
        rc = BT_FAIL(err, BT_E_RESOURCE, "cannot make a lock for a data stream");
        goto done;
    }
    bt_fs_hold_states();
    rc = open_data(stream, &fitted, err);
    bt_fs_let_states();
    if (rc != BT_OK) {
        rc = name_key(stream, rc, err);
        goto done;
    }
    stream->config.paths = NULL;
    stream->config.n_paths = 0;
    *out = stream;
    stream = NULL;
done:
    bt_data_close(stream);
    return rc;
}

void bt_data_close(bt_data_stream *stream) {
    if (stream == NULL) {
        return;
    }
    stop_thread(stream);
    for (int i = 0; i < N_SLOTS; i++) {
        data_slot_deinit(&stream->slots[i]);
    }
    data_order_deinit(&stream->order);
    data_sample_deinit(&stream->sample);
    data_rows_close(stream->rows);
    if (stream->has_lock) {
        (void)pthread_cond_destroy(&stream->can_take);
        (void)pthread_cond_destroy(&stream->can_fill);
        (void)pthread_mutex_destroy(&stream->lock);
    }
    bt_free(stream);
}
