/* SPDX-License-Identifier: Apache-2.0
 *
 * Predictions of a dual encoder: the sentence vectors of the left and of the right side as NumPy
 * files, written as they come; and, where there are two sides, the best pairs among them
 * (bt/mine.h) as a table, and how good they are when the gold pairs are known. With two sides the
 * vectors stay in memory, else nothing does. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/number.h"
#include "bt/base/size.h"
#include "bt/base/stop.h"
#include "bt/mine.h"
#include "bt/wire/npy.h"
#include "task_internal.h"

typedef struct side {
    char     *path; /* owned; of the .npy file */
    task_file file;
    int64_t   n_rows;
    int64_t   n;       /* so far */
    float    *vectors; /* owned; [n_rows,H], or NULL: one side only */
    int64_t  *ids;     /* owned; [n_rows] */
} side;

typedef struct vectors {
    int64_t       H;
    bool          normalize;
    side          sides[2]; /* left, right; a right side of 0 rows: there is none */
    char         *path;     /* owned; of the pairs, or NULL */
    task_file     file;
    bt_mine_score score;
    int64_t       n_neighbours;
    bool          same_row; /* gold_pairs: rows */
    task_gold     gold;
    bt_mined      mined; /* of the last pass */

    bt_data_stream *data; /* borrowed: the texts of the pairs, if it has them */
} vectors;

static bool has_pairs(const vectors *v) {
    return v->sides[1].n_rows > 0;
}

static void destroy_vectors(void *state) {
    vectors *const v = state;
    if (v == NULL) {
        return;
    }
    for (int s = 0; s < 2; s++) {
        task_file_deinit(&v->sides[s].file);
        bt_free(v->sides[s].path);
        bt_free(v->sides[s].vectors);
        bt_free(v->sides[s].ids);
    }
    task_file_deinit(&v->file);
    bt_free(v->path);
    task_gold_deinit(&v->gold);
    bt_mined_deinit(&v->mined);
    bt_free(v);
}

static bt_status read_options(vectors *v, const bt_conf *conf, bt_error *err) {
    const char *score = NULL;
    const char *gold = NULL;
    BT_TRY(bt_conf_get_str(conf, "task.mining_score", &score, err));
    BT_TRY(bt_conf_get_i64(conf, "task.mining_neighbours", &v->n_neighbours, err));
    BT_TRY(bt_conf_get_str(conf, "task.gold_pairs", &gold, err));
    v->score = strcmp(score, "cosine") == 0 ? BT_MINE_COSINE : BT_MINE_RATIO;
    v->same_row = strcmp(gold, "rows") == 0;
    if (gold[0] == '\0') {
        return BT_OK;
    }
    if (!has_pairs(v)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "task.gold_pairs is '%s', but there is no right side to pair with: name its "
                       "files in task.validation_data.right_input_path",
                       gold);
    }
    if (v->same_row && v->sides[0].n_rows != v->sides[1].n_rows) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "task.gold_pairs is 'rows', but the left side has %" PRId64
                       " rows and the right side %" PRId64,
                       v->sides[0].n_rows, v->sides[1].n_rows);
    }
    return v->same_row ? BT_OK : task_gold_read(&v->gold, gold, err);
}

/* What --output_path names, or this name in model_dir. */
static bt_status choose_main_path(const bt_output_request *request, const char *name, char **out,
                                  bt_error *err) {
    const char *const path = request->prediction->output_path;
    return path != NULL ? task_choose_path(request, "", out, err)
                        : bt_fs_join(request->model_dir, name, out, err);
}

/* A side's vectors in model_dir; or, beside a table that --output_path names, under its name:
 * out/de-en.tsv, out/de-en.left.npy. */
static bt_status choose_side_path(const bt_output_request *request, const char *side_name,
                                  char **out, bt_error *err) {
    const char *const path = request->prediction->output_path;
    bt_str            name = BT_STR_INIT;
    bt_status         rc = BT_OK;
    if (path != NULL && (bt_str_ends_with(path, ".tsv") || bt_str_ends_with(path, ".csv"))) {
        BT_CHECK(bt_str_append_n(&name, path, strlen(path) - strlen("tsv"), err));
        BT_CHECK(bt_str_appendf(&name, err, "%s.npy", side_name));
        *out = bt_str_take(&name);
    } else {
        BT_CHECK(bt_str_appendf(&name, err, "%s_vectors.npy", side_name));
        BT_CHECK(bt_fs_join(request->model_dir, bt_str_text(&name), out, err));
    }
done:
    bt_str_deinit(&name);
    return rc;
}

static bt_status choose_paths(vectors *v, const bt_output_request *request, bt_error *err) {
    static const char *const tables[] = {"tsv", "csv", NULL};
    static const char *const matrices[] = {"npy", NULL};
    const char              *format = NULL;
    BT_TRY(task_choose_format(request->prediction, has_pairs(v) ? tables : matrices, &format, err));
    if (!has_pairs(v)) {
        BT_TRY(choose_main_path(request, "vectors.npy", &v->sides[0].path, err));
        const bt_fs_named output = {task_output_name(request), v->sides[0].path};
        return bt_task_check_outputs(request, &output, 1, err);
    }
    v->file.is_csv = strcmp(format, "csv") == 0;
    BT_TRY(choose_main_path(request, v->file.is_csv ? "pairs.csv" : "pairs.tsv", &v->path, err));
    BT_TRY(choose_side_path(request, "left", &v->sides[0].path, err));
    BT_TRY(choose_side_path(request, "right", &v->sides[1].path, err));
    const bt_fs_named outputs[] = {{task_output_name(request), v->path},
                                   {"the left vectors", v->sides[0].path},
                                   {"the right vectors", v->sides[1].path}};
    return bt_task_check_outputs(request, outputs, BT_ARRAY_LEN(outputs), err);
}

static bt_status keep_side(side *s, int64_t H, bt_error *err) {
    size_t n = 0;
    s->ids = bt_alloc_array((size_t)s->n_rows, sizeof *s->ids);
    if (bt_size_mul((size_t)s->n_rows, (size_t)H, &n)) {
        s->vectors = bt_alloc_array(n, sizeof *s->vectors);
    }
    if (s->ids == NULL || s->vectors == NULL) {
        return BT_FAIL(err, BT_E_NOMEM,
                       "out of memory for %" PRId64 " vectors of %" PRId64
                       " numbers, which are kept to find pairs among them",
                       s->n_rows, H);
    }
    return BT_OK;
}

static bt_status set_up(vectors *v, const bt_output_request *request, bt_error *err) {
    v->H = request->plan->encoder.hidden_size;
    v->data = request->data;
    v->normalize = request->plan->head.normalize;
    v->sides[0].n_rows = bt_data_n_left_rows(request->data);
    v->sides[1].n_rows = bt_data_n_rows(request->data) - v->sides[0].n_rows;
    if (request->prediction->glue_folder != NULL) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--glue_submission: a dual encoder gives vectors, not classes");
    }
    BT_TRY(read_options(v, request->conf, err));
    BT_TRY(choose_paths(v, request, err));
    if (has_pairs(v)) {
        BT_TRY(bt_mine_prepare(err)); /* not after all the sentences */
    }
    for (int s = 0; has_pairs(v) && s < 2; s++) {
        BT_TRY(keep_side(&v->sides[s], v->H, err));
    }
    return BT_OK;
}

static bt_status create_vectors(const bt_output_request *request, void **state, bt_error *err) {
    vectors *const v = bt_calloc_array(1, sizeof *v);
    if (v == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for sentence vectors");
    }
    const bt_status rc = set_up(v, request, err);
    if (rc != BT_OK) {
        destroy_vectors(v);
        return rc;
    }
    *state = v;
    return BT_OK;
}

static bt_status begin_side(side *s, int64_t H, bt_error *err) {
    char header[BT_NPY_HEADER_BYTES];
    s->n = 0;
    BT_TRY(task_file_begin(&s->file, s->path, err));
    bt_npy_header_f32(header, s->n_rows, H);
    return bt_fs_writer_write(s->file.writer, header, sizeof header, err);
}

static bt_status reset_vectors(void *state, bt_error *err) {
    vectors *const v = state;
    bt_mined_deinit(&v->mined);
    task_file_abort(&v->file);
    if (has_pairs(v)) { /* the table comes first, as it is published last */
        BT_TRY(task_file_begin(&v->file, v->path, err));
    }
    BT_TRY(begin_side(&v->sides[0], v->H, err));
    return has_pairs(v) ? begin_side(&v->sides[1], v->H, err) : BT_OK;
}

static bt_status add_row(side *s, const float *row, int64_t id, int64_t H, bt_error *err) {
    BT_TRY(bt_task_check_finite(row, H, s->n, err));
    BT_TRY(bt_fs_writer_write(s->file.writer, row, (size_t)H * sizeof *row, err));
    if (s->vectors != NULL) {
        memcpy(s->vectors + s->n * H, row, (size_t)H * sizeof *row);
        s->ids[s->n] = id;
    }
    s->n++;
    return BT_OK;
}

/* The left rows come first (BT_PAIRING_CHAIN). */
static bt_status add_vectors(void *state, const bt_batch *batch, const float *logits,
                             bt_error *err) {
    vectors *const v = state;
    for (int64_t i = 0; i < batch->n_seqs; i++) {
        side *const s = &v->sides[v->sides[0].n < v->sides[0].n_rows ? 0 : 1];
        BT_TRY(add_row(s, logits + i * v->H, batch->example_ids[i], v->H, err));
    }
    return BT_OK;
}

static void add_value(bt_metric_value *values, size_t *n, const char *name, double value) {
    bt_metric_value *const at = &values[(*n)++];
    *at = (bt_metric_value){.value = value};
    memcpy(at->name, name, strlen(name));
}

static bt_status compare_with_gold(const vectors *v, bt_metric_value *values, size_t *n,
                                   bt_error *err) {
    const bt_mined *const m = &v->mined;
    bool *const           is_gold = bt_alloc_array((size_t)m->n_pairs, sizeof *is_gold);
    if (is_gold == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory to compare %" PRId64 " pairs", m->n_pairs);
    }
    for (int64_t i = 0; i < m->n_pairs; i++) {
        const bt_mined_pair *const pair = &m->pairs[i];
        is_gold[i] =
            task_gold_has(&v->gold, v->sides[0].ids[pair->left], v->sides[1].ids[pair->right]);
    }
    const bt_mine_quality best = bt_mine_best_f1(m->pairs, is_gold, m->n_pairs, v->gold.n);
    bt_free(is_gold);
    add_value(values, n, "f1", best.f1);
    add_value(values, n, "precision", best.precision);
    add_value(values, n, "recall", best.recall);
    add_value(values, n, "score_threshold", best.threshold);
    return BT_OK;
}

static bt_status finish_vectors(void *state, bt_metric_value *values, size_t *n, bt_error *err) {
    vectors *const v = state;
    side *const    left = &v->sides[0];
    side *const    right = &v->sides[1];
    BT_ASSERT(left->n == left->n_rows && right->n == right->n_rows);
    if (!has_pairs(v)) {
        return BT_OK;
    }
    if (!v->normalize) { /* the files have them as they are */
        bt_mine_unit_rows(left->vectors, left->n, v->H);
        bt_mine_unit_rows(right->vectors, right->n, v->H);
    }
    bt_mined_deinit(&v->mined);
    BT_TRY(bt_mine_pairs(&v->mined, (bt_mine_side){left->vectors, left->n},
                         (bt_mine_side){right->vectors, right->n}, v->H, v->score, v->n_neighbours,
                         err));
    if (v->same_row) {
        const int64_t n_left = bt_mine_n_same_row(v->mined.best_of_left, left->n);
        const int64_t n_right = bt_mine_n_same_row(v->mined.best_of_right, right->n);
        add_value(values, n, "left_accuracy", (double)n_left / (double)left->n);
        add_value(values, n, "right_accuracy", (double)n_right / (double)right->n);
    }
    return v->gold.n > 0 ? compare_with_gold(v, values, n, err) : BT_OK;
}

/* A column of the texts of a row of the stream, separated by spaces; nothing where it has none. */
static bt_status append_texts(vectors *v, int64_t row, bt_error *err) {
    bt_str *const       line = &v->file.line;
    const bt_text_span *texts = NULL;
    size_t              n = 0;
    BT_TRY(bt_data_row_texts(v->data, row, &texts, &n, err));
    for (size_t i = 0; i < n; i++) {
        BT_TRY(bt_str_append_char(line, i == 0 ? '\t' : ' ', err));
        BT_TRY(task_append_tsv_n(line, texts[i].text, texts[i].n_bytes, err));
    }
    return BT_OK;
}

static bt_status write_pair(vectors *v, const bt_mined_pair *pair, bt_error *err) {
    char score[BT_F64_TEXT_MAX];
    BT_TRY(bt_str_appendf(&v->file.line, err, "%s\t%" PRId64 "\t%" PRId64,
                          bt_f32_repr(pair->score, score), v->sides[0].ids[pair->left],
                          v->sides[1].ids[pair->right]));
    BT_TRY(append_texts(v, pair->left, err));
    BT_TRY(append_texts(v, v->sides[0].n_rows + pair->right, err));
    return task_file_end_line(&v->file, err);
}

static bt_status write_pairs(vectors *v, bt_error *err) {
    const bt_text_span *texts = NULL;
    size_t              n_texts = 0;
    BT_TRY(bt_data_row_texts(v->data, 0, &texts, &n_texts, err));
    BT_TRY(bt_str_append(&v->file.line, "score\tleft_id\tright_id", err));
    BT_TRY(bt_str_append(&v->file.line, n_texts > 0 ? "\tleft_text\tright_text" : "", err));
    BT_TRY(task_file_end_line(&v->file, err));
    for (int64_t i = 0; i < v->mined.n_pairs; i++) {
        BT_TRY(bt_stop_check(err));
        BT_TRY(write_pair(v, &v->mined.pairs[i], err));
    }
    return BT_OK;
}

static bt_status write_vectors(void *state, bt_error *err) {
    vectors *const   v = state;
    task_file *const files[] = {&v->sides[0].file, &v->sides[1].file, &v->file};
    if (has_pairs(v)) {
        BT_TRY(write_pairs(v, err));
    }
    BT_TRY(task_files_publish(files, has_pairs(v) ? BT_ARRAY_LEN(files) : 1, err));
    for (int s = 0; s < (has_pairs(v) ? 2 : 1); s++) {
        bt_log(BT_LOG_INFO, "wrote %" PRId64 " vectors of %" PRId64 " numbers to %s", v->sides[s].n,
               v->H, v->sides[s].path);
    }
    if (has_pairs(v)) {
        bt_log(BT_LOG_INFO, "wrote %" PRId64 " pairs to %s", v->mined.n_pairs, v->path);
    }
    return BT_OK;
}

const bt_task_output task_output_vectors = {
    .create = create_vectors,
    .destroy = destroy_vectors,
    .reset = reset_vectors,
    .add = add_vectors,
    .finish = finish_vectors,
    .write = write_vectors,
};
