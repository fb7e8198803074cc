/* SPDX-License-Identifier: Apache-2.0
 *
 * report.html: of the run that ends, or of any folders of runs (bert-train report). It is made of
 * what the folders hold and nothing else, so that both ways give the same page. */
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "model_dir.h"
#include "report_facts.h"
#include "report_read.h"
#include "run.h"

typedef struct run_list {
    bt_report_run *items;
    size_t         n;
    size_t         cap;
    size_t         n_damaged; /* runs whose records alone could be read */
    bt_error       damage;    /* of the first of them */
} run_list;

static const size_t max_runs = 10000;

static void list_deinit(run_list *list) {
    for (size_t i = 0; i < list->n; i++) {
        bt_report_run_deinit(&list->items[i]);
    }
    bt_free(list->items);
    *list = (run_list){0};
}

static bt_status add_run(run_list *list, const char *folder, bt_error *err) {
    BT_TRY(bt_grow(&list->items, &list->cap, list->n + 1, sizeof *list->items, max_runs, err));
    bt_report_run *const run = &list->items[list->n++];
    bt_error             damage = BT_ERROR_INIT;
    BT_TRY(report_read_run(folder, run, err));
    const bt_status rc = report_read_beside(folder, run, &damage);
    if (rc == BT_E_FORMAT) { /* of many runs one is damaged: the report has the rest */
        list->damage = list->n_damaged++ == 0 ? damage : list->damage;
        return BT_OK;
    }
    return rc == BT_OK ? BT_OK : BT_FAIL(err, rc, "%s", damage.msg);
}

static bt_status has_records(const char *folder, bool *out, bt_error *err) {
    char *path = NULL;
    BT_TRY(model_dir_file(folder, MODEL_RECORDS, &path, err));
    const bt_status rc = bt_fs_look(path, out, err);
    bt_free(path);
    return rc;
}

/* The runs below a folder of --seeds or of a sweep. best_seed is one of them again. */
static bt_status add_below(run_list *list, const char *folder, bt_error *err) {
    bt_status    rc = BT_OK;
    bt_fs_names  names = BT_FS_NAMES_INIT;
    char        *best = NULL;
    char        *path = NULL;
    const size_t before = list->n;
    BT_CHECK(model_dir_file(folder, MODEL_BEST_SEED, &best, err));
    BT_CHECK(bt_fs_list(folder, &names, err));
    for (size_t i = 0; i < names.n; i++) {
        bool is_run = false;
        bt_free(path);
        path = NULL;
        BT_CHECK(bt_fs_join(folder, names.items[i], &path, err));
        BT_CHECK(bt_str_equal(path, best) ? BT_OK : has_records(path, &is_run, err));
        if (is_run) {
            BT_CHECK(add_run(list, path, err));
        }
    }
    if (list->n == before) {
        rc = BT_FAIL(err, BT_E_IO,
                     "%s: no run is there: expected metrics.jsonl in it, or in folders of it",
                     folder);
    }
done:
    bt_fs_names_deinit(&names);
    bt_free(best);
    bt_free(path);
    return rc;
}

static bt_status add_folder(run_list *list, const char *folder, bt_error *err) {
    bool is_run = false;
    BT_TRY(bt_fs_require_folder(folder, err));
    BT_TRY(has_records(folder, &is_run, err));
    return is_run ? add_run(list, folder, err) : add_below(list, folder, err);
}

/* A finished run that is started again changes nothing. */
static bt_status publish(const char *path, const bt_str *html, bt_error *err) {
    char  *there = NULL;
    size_t n = 0;
    if (bt_fs_read_all(path, html->len, &there, &n, NULL) == BT_OK) {
        const bool is_same = n == html->len && memcmp(there, html->data, n) == 0;
        bt_free(there);
        if (is_same) {
            return BT_OK;
        }
    }
    BT_TRY(bt_fs_replace(path, html->data, html->len, err));
    bt_log(BT_LOG_INFO, "wrote the report to %s", path);
    return BT_OK;
}

/* A file that somebody names is none of those that the runs keep, but for their reports. */
static bt_status check_not_own(const char *folder, const char *path, bt_error *err) {
    const char       *own_names[MODEL_OWN_NAMES_MAX];
    const bt_fs_named run = {"the run", folder};
    const bt_fs_named output = {"--output_path", path};
    char             *report = NULL;
    BT_TRY(model_dir_file(folder, MODEL_REPORT, &report, err));
    const bool is_report = bt_str_equal(bt_fs_basename(path), bt_fs_basename(report));
    bt_free(report);
    model_dir_own_names(own_names);
    return is_report ? BT_OK : bt_fs_check_not_read(&output, &run, own_names, err);
}

bt_status bt_train_write_report(const char *const *folders, size_t n, const char *path,
                                bt_error *err) {
    bt_status rc = BT_OK;
    run_list  list = {0};
    bt_str    html = BT_STR_INIT;
    char     *own = NULL;
    BT_ASSERT(n > 0 && (path != NULL || n == 1));
    for (size_t i = 0; i < n; i++) {
        BT_CHECK(path != NULL ? check_not_own(folders[i], path, err) : BT_OK);
        BT_CHECK(add_folder(&list, folders[i], err));
    }
    BT_CHECK(bt_report_write_page(list.items, list.n, &html, err));
    if (path == NULL) {
        BT_CHECK(model_dir_file(folders[0], MODEL_REPORT, &own, err));
    }
    BT_CHECK(publish(path != NULL ? path : own, &html, err));
    if (list.n_damaged > 0) {
        rc = BT_FAIL(err, BT_E_FORMAT,
                     "%s; the report is written, with the records alone of %zu of its %zu runs",
                     list.damage.msg, list.n_damaged, list.n);
    }
done:
    list_deinit(&list);
    bt_str_deinit(&html);
    bt_free(own);
    return rc;
}

bt_status report_begin(const train_run *run, bt_error *err) {
    const data_side    train = {run->train_data, &run->config.train_data, &run->plan.train_schema};
    const data_side    other = {run->validation_data, &run->config.validation_data,
                                &run->plan.validation_schema};
    const bool         keeps_best = best_is_on(run);
    const report_facts facts = {.args = run->args,
                                .dir = &run->dir,
                                .engine = bt_exec_describe(run->exec),
                                .best_metric = keeps_best ? run->config.best_metric : NULL,
                                .best_is_lower = keeps_best &&
                                                 bt_str_equal(run->config.best_comparison, "lower"),
                                .train = &train,
                                .other = &other,
                                .labels = &run->plan.labels};
    return run->config.report ? report_facts_write(&facts, err) : BT_OK;
}

/* Of a run that does not train: the files for the report are the training's, while there is one. A
 * turn that does not come (*is_mine false) is told. */
static bt_status take_turn(const train_run *run, bt_fs_lock **lock, bool *is_mine, bt_error *err) {
    bt_error busy = BT_ERROR_INIT;
    *is_mine = true;
    if (bt_conf_mode_trains(run->args->mode)) {
        return BT_OK;
    }
    const bt_status rc =
        bt_fs_lock_take(run->args->model_dir, BT_FS_LOCK_NAME, RUN_LOCK_RECORD, lock, &busy);
    *is_mine = rc == BT_OK;
    if (rc == BT_E_RESOURCE) {
        bt_log(BT_LOG_INFO, "%s: the report there is that of the training, not of this evaluation",
               busy.msg);
    }
    return rc == BT_OK || rc == BT_E_RESOURCE ? BT_OK : BT_FAIL(err, rc, "%s", busy.msg);
}

bt_status report_evaluation(const train_run *run, const bt_train_values *values, bt_error *err) {
    bt_fs_lock *lock = NULL;
    bool        is_mine = false;
    if (run->details == NULL) {
        return BT_OK;
    }
    BT_TRY(take_turn(run, &lock, &is_mine, err));
    const bt_status rc =
        is_mine ? eval_details_write(run->details, run->step, run->validation_metrics, values, err)
                : BT_OK;
    bt_fs_lock_release(lock);
    return rc;
}

void report_end(const train_run *run) {
    bt_train_summary *const summary = run->summary;
    const char *const       folder = run->args->model_dir;
    bt_fs_lock             *lock = NULL;
    bool                    is_mine = false;
    if (!run->config.report || run->log == NULL) {
        return;
    }
    summary->report = take_turn(run, &lock, &is_mine, &summary->report_error);
    if (summary->report == BT_OK && is_mine) {
        summary->report = bt_train_write_report(&folder, 1, NULL, &summary->report_error);
    }
    bt_fs_lock_release(lock);
}
