/* SPDX-License-Identifier: Apache-2.0
 *
 * See example_writer.h. One block: read rows (this thread), tokenise and serialise them (all
 * threads, a fixed number of rows a task), write what the tasks made in task order. */
#include "example_writer.h"

#include <stdio.h>
#include <string.h>

#include "bt/wire.h"

enum {
    BLOCK_TASKS = 64,
    BLOCK_MAX_ROWS = 8192,
    BLOCK_MAX_TEXT_BYTES = 16 << 20, /* rows are added until there is more */
    BLOCK_TARGET_VALUES = 8 << 20,   /* integers in the records of a block */
};
static const double progress_every_s = 0.2;

typedef struct block_row {
    size_t  a;
    size_t  n_a;
    size_t  b; /* SIZE_MAX: none */
    size_t  n_b;
    int64_t label;
    float   value;
} block_row;

typedef struct task_result {
    bt_str    records; /* framed */
    bt_status status;
    bt_error  error;
} task_result;

/* What one thread needs. */
typedef struct worker {
    bt_text_scratch   *scratch;
    bt_example_builder builder;
    int32_t           *ids;      /* [max_seq_length] */
    int32_t           *mask;     /* [max_seq_length] */
    int32_t           *segments; /* [max_seq_length] */
} worker;

typedef struct converter {
    const example_settings *settings;
    worker                 *workers;
    int32_t                 n_workers;
    block_row              *rows;
    size_t                  n_rows;
    size_t                  max_rows;
    size_t                  rows_per_task;
    bt_str                  text; /* of all rows of the block */
    int64_t                 first_row;
    task_result             results[BLOCK_TASKS];
} converter;

/* ---- set up ------------------------------------------------------------------------------------
 */

static bt_status worker_init(worker *w, int64_t max_seq_length, bt_error *err) {
    int32_t **const arrays[] = {&w->ids, &w->mask, &w->segments};
    BT_TRY(bt_text_scratch_create(&w->scratch, err));
    for (size_t i = 0; i < BT_ARRAY_LEN(arrays); i++) {
        *arrays[i] = bt_alloc_array((size_t)max_seq_length, sizeof(int32_t));
        if (*arrays[i] == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for examples of length %" PRId64,
                           max_seq_length);
        }
    }
    return BT_OK;
}

static void converter_free(converter *c) {
    if (c == NULL) {
        return;
    }
    for (int32_t i = 0; c->workers != NULL && i < c->n_workers; i++) {
        worker *const w = &c->workers[i];
        bt_text_scratch_free(w->scratch);
        bt_example_builder_deinit(&w->builder);
        bt_free(w->ids);
        bt_free(w->mask);
        bt_free(w->segments);
    }
    for (size_t i = 0; i < BLOCK_TASKS; i++) {
        bt_str_deinit(&c->results[i].records);
    }
    bt_free(c->workers);
    bt_free(c->rows);
    bt_str_deinit(&c->text);
    bt_free(c);
}

static bt_status converter_create(converter **out, const example_settings *settings,
                                  bt_error *err) {
    bt_status  rc = BT_OK;
    converter *c = bt_calloc_array(1, sizeof *c);
    if (c == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a block of examples");
    }
    const int64_t fitting = BLOCK_TARGET_VALUES / settings->max_seq_length;
    c->settings = settings;
    c->max_rows = fitting > BLOCK_MAX_ROWS ? BLOCK_MAX_ROWS
                  : fitting < BLOCK_TASKS  ? BLOCK_TASKS
                                           : (size_t)fitting;
    c->rows_per_task = (c->max_rows + BLOCK_TASKS - 1) / BLOCK_TASKS;
    c->rows = bt_alloc_array(c->max_rows, sizeof *c->rows);
    c->n_workers = bt_pool_n_threads(settings->pool);
    c->workers = bt_calloc_array((size_t)c->n_workers, sizeof *c->workers);
    if (c->rows == NULL || c->workers == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for a block of %zu examples", c->max_rows);
        goto done;
    }
    for (int32_t i = 0; i < c->n_workers; i++) {
        BT_CHECK(worker_init(&c->workers[i], settings->max_seq_length, err));
    }
    *out = c;
    c = NULL;
done:
    converter_free(c);
    return rc;
}

/* ---- one row -> one record
 * ------------------------------------------------------------------------ */

static void pad(int32_t *dst, const int32_t *src, size_t n, size_t length) {
    memcpy(dst, src, n * sizeof *dst);
    memset(dst + n, 0, (length - n) * sizeof *dst);
}

/* The order of the keys is that of the real tool's protobuf: spec/data.md (a). */
static bt_status build_example(const converter *c, worker *w, const block_row *row,
                               int64_t example_id, bt_error *err) {
    const size_t              length = (size_t)c->settings->max_seq_length;
    bt_example_builder *const b = &w->builder;
    const int64_t             one = 1;
    bt_example_builder_clear(b);
    BT_TRY(bt_example_add_i64(b, "is_real_example", &one, 1, err));
    BT_TRY(bt_example_add_i64(b, "example_id", &example_id, 1, err));
    BT_TRY(bt_example_add_i32(b, "input_mask", w->mask, length, err));
    BT_TRY(bt_example_add_i32(b, "input_ids", w->ids, length, err));
    BT_TRY(bt_example_add_i32(b, "segment_ids", w->segments, length, err));
    return c->settings->is_regression ? bt_example_add_f32(b, "label_ids", &row->value, 1, err)
                                      : bt_example_add_i64(b, "label_ids", &row->label, 1, err);
}

static bt_status convert_row(const converter *c, worker *w, const block_row *row,
                             int64_t example_id, bt_str *records, bt_error *err) {
    const example_settings *const s = c->settings;
    const size_t                  length = (size_t)s->max_seq_length;
    const char *const             text = bt_str_text(&c->text);
    const char *const             b = row->b == SIZE_MAX ? NULL : text + row->b;
    bt_text_pair                  pair = {0};
    bt_bytes                      message = {0};
    BT_TRY(bt_text_encode_pair(s->tokenizer, w->scratch, text + row->a, row->n_a, b, row->n_b,
                               s->max_seq_length, &pair, err));
    pad(w->ids, pair.ids, pair.n, length);
    pad(w->segments, pair.segments, pair.n, length);
    for (size_t i = 0; i < length; i++) {
        w->mask[i] = i < pair.n ? 1 : 0;
    }
    BT_TRY(build_example(c, w, row, example_id, err));
    BT_TRY(bt_example_finish(&w->builder, &message, err));
    return bt_tfrecord_frame(records, message.data, message.n_bytes, err);
}

static void run_task(void *context, int64_t task, int32_t thread) {
    converter *const   c = context;
    task_result *const result = &c->results[task];
    const size_t       first = (size_t)task * c->rows_per_task;
    const size_t last = first + c->rows_per_task < c->n_rows ? first + c->rows_per_task : c->n_rows;
    bt_str_clear(&result->records);
    result->status = BT_OK;
    for (size_t i = first; i < last && result->status == BT_OK; i++) {
        result->status = convert_row(c, &c->workers[thread], &c->rows[i], c->first_row + (int64_t)i,
                                     &result->records, &result->error);
    }
}

/* ---- blocks
 * ------------------------------------------------------------------------------------------ */

static bt_status append_text(bt_str *text, const char *bytes, size_t n, size_t *at, bt_error *err) {
    *at = text->len;
    return bt_str_append_n(text, bytes, n, err);
}

static bt_status read_block(converter *c, const example_source *source, bool *end, bt_error *err) {
    c->n_rows = 0;
    bt_str_clear(&c->text);
    while (c->n_rows < c->max_rows && c->text.len < BLOCK_MAX_TEXT_BYTES) {
        example_row      from = {0};
        block_row *const to = &c->rows[c->n_rows];
        BT_TRY(source->next(source->state, &from, end, err));
        if (*end) {
            return BT_OK;
        }
        *to = (block_row){.n_a = from.n_a,
                          .b = SIZE_MAX,
                          .n_b = from.n_b,
                          .label = from.label,
                          .value = from.value};
        BT_TRY(append_text(&c->text, from.a, from.n_a, &to->a, err));
        if (from.b != NULL) {
            BT_TRY(append_text(&c->text, from.b, from.n_b, &to->b, err));
        }
        c->n_rows++;
    }
    return BT_OK;
}

static bt_status write_block(converter *c, bt_fs_writer *out, bt_error *err) {
    const size_t n_tasks = (c->n_rows + c->rows_per_task - 1) / c->rows_per_task;
    bt_pool_run(c->settings->pool, (int64_t)n_tasks, run_task, c);
    for (size_t i = 0; i < n_tasks; i++) {
        const task_result *const result = &c->results[i];
        if (result->status != BT_OK) {
            return BT_FAIL(err, result->status, "%s", result->error.msg);
        }
        BT_TRY(bt_fs_writer_write(out, bt_str_text(&result->records), result->records.len, err));
    }
    c->first_row += (int64_t)c->n_rows;
    return BT_OK;
}

static void show_progress(const converter *c, double start, double *last_shown) {
    const double now = bt_time_monotonic();
    if (now - *last_shown >= progress_every_s) {
        char text[128];
        (void)snprintf(text, sizeof text, "%s: %" PRId64 " rows, %.0f rows/s", c->settings->what,
                       c->first_row, (double)c->first_row / (now - start));
        bt_log_progress(text);
        *last_shown = now;
    }
}

bt_status write_examples(const example_settings *settings, const example_source *source,
                         bt_fs_writer *out, int64_t *n_written, bt_error *err) {
    bt_status    rc = BT_OK;
    converter   *c = NULL;
    bool         end = false;
    const double start = bt_time_monotonic();
    double       last_shown = start;
    BT_CHECK(converter_create(&c, settings, err));
    while (!end) {
        BT_CHECK(read_block(c, source, &end, err));
        BT_CHECK(write_block(c, out, err));
        show_progress(c, start, &last_shown);
        if (settings->is_interrupted != NULL && settings->is_interrupted()) {
            rc = BT_FAIL(err, BT_E_INTERRUPTED,
                         "stopped by a signal after %" PRId64 " rows of %s; nothing was written",
                         c->first_row, settings->what);
            goto done;
        }
    }
    *n_written = c->first_row;
done:
    bt_log_progress(NULL);
    converter_free(c);
    return rc;
}
