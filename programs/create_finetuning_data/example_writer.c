/* SPDX-License-Identifier: Apache-2.0
 *
 * See example_writer.h. Three blocks take turns: while one is converted, the next is read and the
 * one before is written, all as tasks of one job of the pool. */
#include "example_writer.h"
#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    BLOCK_GROUPS = 64,
    BLOCK_MAX_ROWS = 4096,
    BLOCK_MAX_TEXT_BYTES = 16 << 20, /* rows are added until there is more */
    BLOCK_TARGET_VALUES = 8 << 20,   /* integers in the records of a block */
};
static const double progress_every_s = 0.2;

/* A row whose texts lie in the block's text. */
typedef struct block_row {
    example_row row;
    size_t      a;
    size_t      b;
    size_t      word;
} block_row;

/* What a group of rows became. */
typedef struct group_result {
    bt_str    records; /* framed */
    int64_t   n_records;
    bt_status status;
    bt_error  error;
} group_result;

typedef struct block {
    block_row   *rows;
    size_t       n_rows;
    bt_str       text; /* of all rows */
    size_t       n_groups;
    group_result groups[BLOCK_GROUPS];
} block;

enum { N_BLOCKS = 3 };

/* The tasks of a job of the pool: the long ones first. */
enum { TASK_READ, TASK_WRITE, TASK_FIRST_GROUP };

typedef struct pipeline {
    const example_settings *settings;
    const example_source   *source;
    bt_fs_writer           *out;
    example_worker         *workers;
    int32_t                 n_workers;
    size_t                  max_rows;
    size_t                  rows_per_group;
    block                   blocks[N_BLOCKS];
    block                  *reading; /* the three blocks' parts in this turn */
    block                  *converting;
    block                  *writing;
    bool                    end; /* of the source */
    int64_t                 n_rows_read;
    int64_t                 n_written; /* records */
    bt_status               read_status;
    bt_status               write_status;
    bt_error                read_error;
    bt_error                write_error;
} pipeline;

static bt_status worker_init(example_worker *w, int64_t max_seq_length, bt_error *err) {
    int32_t **const arrays[] = {&w->ids, &w->mask, &w->segments, &w->labels};
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

static void worker_deinit(example_worker *w) {
    bt_text_scratch_free(w->scratch);
    bt_example_builder_deinit(&w->builder);
    bt_free(w->ids);
    bt_free(w->mask);
    bt_free(w->segments);
    bt_free(w->labels);
}

static void pipeline_free(pipeline *p) {
    if (p == NULL) {
        return;
    }
    for (int32_t i = 0; p->workers != NULL && i < p->n_workers; i++) {
        worker_deinit(&p->workers[i]);
    }
    for (size_t i = 0; i < N_BLOCKS; i++) {
        for (size_t k = 0; k < BLOCK_GROUPS; k++) {
            bt_str_deinit(&p->blocks[i].groups[k].records);
        }
        bt_free(p->blocks[i].rows);
        bt_str_deinit(&p->blocks[i].text);
    }
    bt_free(p->workers);
    bt_free(p);
}

static bt_status pipeline_create(pipeline **out, const example_settings *settings, bt_error *err) {
    bt_status rc = BT_OK;
    pipeline *p = bt_calloc_array(1, sizeof *p);
    if (p == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for blocks of examples");
    }
    const int64_t fitting = BLOCK_TARGET_VALUES / settings->max_seq_length;
    p->settings = settings;
    p->max_rows = fitting > BLOCK_MAX_ROWS ? BLOCK_MAX_ROWS
                  : fitting < BLOCK_GROUPS ? BLOCK_GROUPS
                                           : (size_t)fitting;
    p->rows_per_group = (p->max_rows + BLOCK_GROUPS - 1) / BLOCK_GROUPS;
    p->n_workers = bt_pool_n_threads(settings->pool);
    p->workers = bt_calloc_array((size_t)p->n_workers, sizeof *p->workers);
    bool has_memory = p->workers != NULL;
    for (size_t i = 0; i < N_BLOCKS; i++) {
        p->blocks[i].rows = bt_alloc_array(p->max_rows, sizeof *p->blocks[i].rows);
        has_memory = has_memory && p->blocks[i].rows != NULL;
    }
    if (!has_memory) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for blocks of %zu examples", p->max_rows);
        goto done;
    }
    for (int32_t i = 0; i < p->n_workers; i++) {
        BT_CHECK(worker_init(&p->workers[i], settings->max_seq_length, err));
    }
    p->reading = &p->blocks[0];
    p->converting = &p->blocks[1];
    p->writing = &p->blocks[2];
    *out = p;
    p = NULL;
done:
    pipeline_free(p);
    return rc;
}

static bt_status append_text(bt_str *text, const char *bytes, size_t n, size_t *at, bt_error *err) {
    *at = text->len;
    return bytes == NULL ? BT_OK : bt_str_append_n(text, bytes, n, err);
}

static bt_status add_row(pipeline *p, block *to, bt_error *err) {
    block_row *const   kept = &to->rows[to->n_rows];
    example_row *const row = &kept->row;
    *row = (example_row){.id = p->n_rows_read};
    BT_TRY(p->source->next(p->source->state, row, &p->end, err));
    if (p->end) {
        return BT_OK;
    }
    BT_TRY(append_text(&to->text, row->a, row->n_a, &kept->a, err));
    BT_TRY(append_text(&to->text, row->b, row->n_b, &kept->b, err));
    BT_TRY(append_text(&to->text, row->word, row->n_word, &kept->word, err));
    to->n_rows++;
    p->n_rows_read++;
    return BT_OK;
}

/* The block's text does not move any more. */
static void point_rows_at_text(block *b) {
    const char *const text = bt_str_text(&b->text);
    for (size_t i = 0; i < b->n_rows; i++) {
        block_row *const kept = &b->rows[i];
        kept->row.a = text + kept->a;
        kept->row.b = kept->row.b == NULL ? NULL : text + kept->b;
        kept->row.word = kept->row.word == NULL ? NULL : text + kept->word;
    }
}

static bt_status read_block(pipeline *p, block *to, bt_error *err) {
    to->n_rows = 0;
    bt_str_clear(&to->text);
    while (!p->end && to->n_rows < p->max_rows && to->text.len < BLOCK_MAX_TEXT_BYTES) {
        BT_TRY(add_row(p, to, err));
    }
    to->n_groups = (to->n_rows + p->rows_per_group - 1) / p->rows_per_group;
    point_rows_at_text(to);
    return BT_OK;
}

static void convert_group(pipeline *p, block *b, size_t group, example_worker *worker) {
    group_result *const result = &b->groups[group];
    const size_t        first = group * p->rows_per_group;
    const size_t        left = b->n_rows - first;
    const size_t        n = left < p->rows_per_group ? left : p->rows_per_group;
    bt_str_clear(&result->records);
    result->n_records = 0;
    result->status = BT_OK;
    for (size_t i = first; i < first + n && result->status == BT_OK; i++) {
        result->status = p->settings->convert(p->settings, worker, &b->rows[i].row,
                                              &result->records, &result->n_records, &result->error);
    }
}

static bt_status write_block(pipeline *p, const block *b, bt_error *err) {
    for (size_t i = 0; i < b->n_groups; i++) {
        const group_result *const result = &b->groups[i];
        BT_TRY(bt_fs_writer_write(p->out, bt_str_text(&result->records), result->records.len, err));
        p->n_written += result->n_records;
    }
    return BT_OK;
}

static void run_task(void *context, int64_t task, int32_t thread) {
    pipeline *const p = context;
    if (task == TASK_READ) {
        p->read_status = read_block(p, p->reading, &p->read_error);
    } else if (task == TASK_WRITE) {
        p->write_status = write_block(p, p->writing, &p->write_error);
    } else {
        convert_group(p, p->converting, (size_t)(task - TASK_FIRST_GROUP), &p->workers[thread]);
    }
}

/* The failure of the earliest row counts. */
static bt_status check_turn(const pipeline *p, bt_error *err) {
    if (p->write_status != BT_OK) {
        return BT_FAIL(err, p->write_status, "%s", p->write_error.msg);
    }
    for (size_t i = 0; i < p->converting->n_groups; i++) {
        const group_result *const result = &p->converting->groups[i];
        if (result->status != BT_OK) {
            return BT_FAIL(err, result->status, "%s", result->error.msg);
        }
    }
    return p->read_status == BT_OK ? BT_OK : BT_FAIL(err, p->read_status, "%s", p->read_error.msg);
}

static void rotate(pipeline *p) {
    block *const free_block = p->writing;
    p->writing = p->converting;
    p->converting = p->reading;
    p->reading = free_block;
    p->reading->n_rows = 0;
    p->reading->n_groups = 0;
}

static void show_progress(const pipeline *p, double start, double *last_shown) {
    const double now = bt_time_monotonic();
    if (now - *last_shown >= progress_every_s) {
        char text[128];
        (void)snprintf(text, sizeof text, "%s: %" PRId64 " rows, %.0f rows/s", p->settings->what,
                       p->n_rows_read, (double)p->n_rows_read / (now - start));
        bt_log_progress(text);
        *last_shown = now;
    }
}

static bool is_done(const pipeline *p) {
    return p->end && p->converting->n_groups == 0 && p->writing->n_groups == 0;
}

bt_status write_examples(const example_settings *settings, const example_source *source,
                         bt_fs_writer *out, int64_t *n_written, bt_error *err) {
    bt_status    rc = BT_OK;
    pipeline    *p = NULL;
    const double start = bt_time_monotonic();
    double       last_shown = start;
    BT_CHECK(pipeline_create(&p, settings, err));
    p->source = source;
    p->out = out;
    while (!is_done(p)) {
        bt_pool_run(settings->pool, TASK_FIRST_GROUP + (int64_t)p->converting->n_groups, run_task,
                    p);
        BT_CHECK(check_turn(p, err));
        rotate(p);
        show_progress(p, start, &last_shown);
        if (bt_stop_requested()) {
            rc = BT_FAIL(err, BT_E_INTERRUPTED, "stopped by %s after %" PRId64 " rows of %s",
                         bt_stop_signal_name(), p->n_rows_read, settings->what);
            goto done;
        }
    }
    *n_written = p->n_written;
done:
    bt_log_progress(NULL);
    pipeline_free(p);
    return rc;
}
