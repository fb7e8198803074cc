/* SPDX-License-Identifier: Apache-2.0
 *
 * A prediction whose rows come from its caller: the run is made ready as for --mode=predict,
 * without data, and stays open while it is asked. */
#include "bt/base/stop.h"
#include "decision.h"
#include "rounding.h"

struct bt_train_filter {
    train_run *run;
};

/* with_averages passes the run alone. */
typedef struct filter_run {
    train_run       run; /* the first member */
    bt_train_filter filter;
    bt_status (*serve)(void *context, bt_train_filter *filter, bt_error *err);
    void *context;
} filter_run;

static bt_status serve_weights(train_run *run, bt_error *err) {
    filter_run *const f = (filter_run *)run;
    return f->serve(f->context, &f->filter, err);
}

static bt_status execute(train_run *run, bt_error *err) {
    BT_TRY(run_check(run, err));
    BT_TRY(start_restore(run, err));
    BT_TRY(decision_recall(run, err));
    BT_TRY(bt_stop_check(err));
    return with_averages(run, serve_weights, err);
}

bt_status bt_train_run_filter(const bt_train_args *args,
                              bt_status (*serve)(void *context, bt_train_filter *filter,
                                                 bt_error *err),
                              void *context, bt_error *err) {
    bt_train_summary summary = {0};
    filter_run       f = {
              .run = run_begin(args, FOR_FILTER, &summary), .serve = serve, .context = context};
    f.filter.run = &f.run;
    const bt_status rc = execute(&f.run, err);
    run_deinit(&f.run);
    return rc;
}

const bt_task_plan *bt_train_filter_plan(const bt_train_filter *filter) {
    return &filter->run->plan;
}

bt_status bt_train_filter_logits(bt_train_filter *filter, const bt_batch *batch,
                                 const float **logits, bt_error *err) {
    bt_step_result result = {0};
    if (rounding_is_on(filter->run) && !filter->run->is_rounded) {
        BT_TRY(rounding_of_rows(filter->run, batch, err));
    }
    BT_TRY(bt_exec_evaluate(filter->run->exec, batch, &result, err));
    *logits = result.logits;
    return BT_OK;
}
