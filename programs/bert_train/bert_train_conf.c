/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration that the flags of a command ask for, and what is told of it. */
#include <stdio.h>

#include "bert_train.h"
#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/str.h"
#include "bt/conf.h"

bool show_problems(const bt_conf_errors *errors, bool dry_run) {
    for (size_t i = 0; i < errors->n; i++) {
        const bool is_fatal = !dry_run || errors->items[i].severity == BT_CONF_ERROR;
        bt_log(is_fatal ? BT_LOG_ERROR : BT_LOG_WARNING, "%s", errors->items[i].text);
    }
    return errors->n_errors > 0 || (!dry_run && errors->n > 0);
}

static bt_status merge_conf(const bt_flags *flags, const recalled_run *recalled, bt_conf **conf,
                            bt_conf_errors *errors, bt_error *err) {
    const char *const *files = NULL;
    const size_t       n = bt_flags_list(flags, "config_file", &files);
    const char       **all = bt_calloc_array(n + 1, sizeof *all);
    bt_conf_args       args = {.experiment = bt_flags_string(flags, "experiment"),
                               .params_override = bt_flags_string(flags, "params_override"),
                               .tpu = bt_flags_string(flags, "tpu"),
                               .tf_data_service = bt_flags_string(flags, "tf_data_service")};
    if (all == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the names of %zu files", n);
    }
    if (recalled->params != NULL) {
        args.experiment = recalled->experiment;
        all[args.n_config_files++] = recalled->params;
        bt_log(BT_LOG_INFO, "%s with the configuration of %s", args.experiment, recalled->params);
    }
    for (size_t i = 0; i < n; i++) {
        all[args.n_config_files++] = files[i];
    }
    args.config_files = all;
    const bt_status rc = bt_conf_build(&args, conf, errors, err);
    bt_free(all);
    return rc;
}

static void tell_old_key(const bt_conf *conf) {
    const char *section = NULL;
    const char *old = NULL;
    const char *name = NULL;
    if (bt_conf_old_key(conf, &section, &old, &name)) {
        bt_log(BT_LOG_WARNING, "%s.%s is the old name of %s.%s, which params.yaml says from now on",
               section, old, section, name);
    }
}

bt_status build_conf(const bt_flags *flags, bt_conf **conf, bt_conf_errors *errors, bt_error *err) {
    bt_status    rc = BT_OK;
    recalled_run recalled = {0};
    BT_CHECK(recall_run(flags, &recalled, err));
    BT_CHECK(merge_conf(flags, &recalled, conf, errors, err));
    const char *const isa = bt_flags_string(flags, "isa");
    if (isa != NULL) {
        char override[64];
        (void)snprintf(override, sizeof override, "runtime.isa='%s'", isa);
        BT_CHECK(bt_conf_set(*conf, override, "--isa", errors, err));
    }
    BT_CHECK(apply_short_flags(flags, &recalled, *conf, errors, err));
    tell_old_key(*conf);
done:
    recalled_deinit(&recalled);
    return rc;
}

bt_status print_yaml(const bt_conf *conf, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    yaml = BT_STR_INIT;
    BT_CHECK(bt_conf_dump_yaml(conf, &yaml, err));
    BT_CHECK(bt_cli_print(&yaml, BT_READER_NEEDS_ALL, err));
done:
    bt_str_deinit(&yaml);
    return rc;
}
