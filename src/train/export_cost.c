/* SPDX-License-Identifier: Apache-2.0
 *
 * What the precision of an export costs: the evaluation of the run's validation data on processors,
 * with the weights as they are, and with those, and what they are multiplied with, as the export
 * computes. */
#include <math.h>
#include <string.h>

#include "bt/base/log.h"
#include "run.h"

static const char data_key[] = BT_CONF_VALIDATION_DATA ".input_path";

/* The engine is made for one pass: its weights are a copy. */
static bt_status evaluate_as(train_run *run, bt_export_precision precision, const float *params,
                             bt_train_values *out, bt_error *err) {
    bt_status      rc = BT_OK;
    bt_exec_config config = run_exec_config(run);
    config.precision = precision == BT_EXPORT_FLOAT16 ? BT_PRECISION_F16 : BT_PRECISION_F32;
    config.use_blas = config.use_blas && precision != BT_EXPORT_FLOAT16;
    config.rounds_to_8_bits = precision == BT_EXPORT_INT8;
    BT_TRY(bt_exec_create_cpu(run->model, NULL, &config, &run->exec, err));
    bt_exec_copy(run->exec, bt_exec_params(run->exec), params);
    BT_CHECK(bt_export_round(run->model, precision, bt_exec_params(run->exec), err));
    BT_CHECK(bt_exec_changed(run->exec, err));
    BT_CHECK(evaluate_values(run, out, err));
done:
    bt_exec_free(run->exec);
    run->exec = NULL;
    return rc;
}

void export_cost_say(const char *metric, double exact, const char *as_it_was, double rounded,
                     const char *precision) {
    bt_log(BT_LOG_INFO, "%s on the validation data: %.6g in %s, %.6g in %s (%+.3g)", metric, exact,
           as_it_was, rounded, precision, rounded - exact);
}

static void tell(bt_export_precision precision, const export_costs *costs) {
    const char *const name = bt_export_precision_name(precision);
    for (size_t i = 0; i < costs->n; i++) {
        const bt_export_cost *const c = &costs->list[i];
        export_cost_say(c->name, c->exact, "float32", c->rounded, name);
    }
}

static void list_costs(export_costs *costs) {
    for (size_t i = 0; i < costs->exact.n && i < costs->rounded.n; i++) {
        const double exact = costs->exact.items[i].value;
        const double rounded = costs->rounded.items[i].value;
        if (isfinite(exact) && isfinite(rounded)) { /* else it says nothing of these data */
            costs->list[costs->n++] = (bt_export_cost){costs->exact.items[i].name, exact, rounded};
        }
    }
}

/* Data that are named and cannot be had are as none: the export needs them for nothing else. */
static bt_status open_data(train_run *run, bt_export_precision precision, bool *is_open,
                           bt_error *err) {
    const char *const name = bt_export_precision_name(precision);
    bt_error          why = BT_ERROR_INIT;
    *is_open = false;
    if (bt_conf_peek_is_empty(run->conf, data_key)) {
        bt_log(BT_LOG_WARNING,
               "what %s costs was not measured: the run has no validation data; --eval=FILE (or "
               "%s) names some",
               name, data_key);
        return BT_OK;
    }
    const bt_status rc = run_check(run, &why);
    if (rc == BT_E_IO || rc == BT_E_RESOURCE) {
        bt_log(BT_LOG_WARNING,
               "what %s costs was not measured, the validation data cannot be read: %s; "
               "--eval=FILE (or %s) names others",
               name, why.msg, data_key);
        return BT_OK;
    }
    *is_open = rc == BT_OK;
    return rc == BT_OK
               ? BT_OK
               : BT_FAIL(err, rc, "the evaluation that shows what %s costs: %s", name, why.msg);
}

bt_status export_cost_measure(const bt_train_args *args, bt_export_precision precision,
                              const float *params, export_costs *out, bt_error *err) {
    bt_status        rc = BT_OK;
    bool             is_open = false;
    bt_train_summary summary = {0};
    bt_train_args    evaluation = *args;
    evaluation.mode = BT_CONF_MODE_EVAL;
    train_run run = run_begin(&evaluation, FOR_EXPORT, &summary);
    out->n = 0;
    BT_CHECK(open_data(&run, precision, &is_open, err));
    if (is_open) {
        BT_CHECK(evaluate_as(&run, BT_EXPORT_FLOAT32, params, &out->exact, err));
        BT_CHECK(evaluate_as(&run, precision, params, &out->rounded, err));
        list_costs(out);
        tell(precision, out);
    }
done:
    run_deinit(&run);
    return rc;
}
