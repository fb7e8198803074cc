/* SPDX-License-Identifier: Apache-2.0
 *
 * bert-train config: what a configuration says. */
#include "bert_train.h"
#include "bt/base/str.h"

static const bt_flag_table flag_table = {
    .program = "bert-train config",
    .summary = "Says what a configuration is.\n"
               "  bert-train config print --experiment=E --config_file=F --params_override=K=V\n"
               "prints the parameters that training with these flags would have.",
    .shared = bert_train_conf_defs,
    .n_shared = BERT_TRAIN_N_CONF_DEFS,
};

static bt_status print_config(const bt_flags *flags, bt_error *err) {
    bt_conf       *conf = NULL;
    bt_conf_errors errors = BT_CONF_ERRORS_INIT;
    bt_status      rc = build_conf(flags, &conf, &errors, err);
    if (errors.n > 0 && show_problems(&errors, true)) {
        rc = BT_E_CONFIG;
        err->msg[0] = '\0';
    }
    if (rc == BT_OK) {
        rc = print_yaml(conf, err);
    }
    bt_conf_free(conf);
    bt_conf_errors_deinit(&errors);
    return rc;
}

static bt_status run(const bt_flags *flags, int *status, bt_error *err) {
    const char *const *args = NULL;
    (void)status;
    if (bt_flags_args(flags, &args) != 1 || !bt_str_equal(args[0], "print")) {
        return BT_FAIL(err, BT_E_CONFIG, "what to do is expected: bert-train config print FLAGS");
    }
    if (bt_flags_string(flags, "experiment") == NULL) {
        return BT_FAIL(err, BT_E_CONFIG, "missing --experiment (see --help)");
    }
    return print_config(flags, err);
}

const bt_cli_program command_config = {
    .flags = &flag_table, .append_build_info = bert_train_append_build_info, .run = run};
