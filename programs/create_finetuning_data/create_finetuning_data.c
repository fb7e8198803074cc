/* SPDX-License-Identifier: Apache-2.0
 *
 * create-finetuning-data: text files -> TFRecords of tokenised examples and a meta data file, with
 * the flags of Model Garden's script of that name (docs/model_garden/data.md section 1) and its
 * bytes. */
#include <stdio.h>

#include "bt/base/log.h"
#include "bt/base/standard_files.h"
#include "bt/base/stop.h"
#include "bt/base/str.h"
#include "data_flags.h"
#include "data_run.h"

static bt_status answer(bt_flags_ask ask, bt_error *err) {
    bt_str    text = BT_STR_INIT;
    bt_status rc = BT_OK;
    if (ask == BT_ASK_VERSION) {
        BT_CHECK(bt_str_appendf(&text, err, "%s %s\n", DATA_PROGRAM, BT_VERSION));
    } else {
        BT_CHECK(bt_flags_help(&data_flag_table, ask == BT_ASK_HELPFULL, &text, err));
    }
    if (fputs(bt_str_text(&text), stdout) == EOF || fflush(stdout) != 0) {
        rc = BT_FAIL(err, BT_E_RESOURCE, "cannot write to standard output");
    }
done:
    bt_str_deinit(&text);
    return rc;
}

int main(int argc, char **argv) {
    bt_error  err = BT_ERROR_INIT;
    bt_flags *flags = NULL;
    if (!bt_hold_standard_files()) {
        return bt_status_exit_code(BT_E_RESOURCE); /* there is nowhere to say it */
    }
    bt_log_setup(DATA_PROGRAM, BT_LOG_TEXT, 0);
    bt_status rc = bt_flags_parse(&flags, &data_flag_table, argc, argv, &err);
    if (rc == BT_OK && bt_flags_asked(flags) != BT_ASK_RUN) {
        rc = answer(bt_flags_asked(flags), &err);
    } else if (rc == BT_OK) {
        bt_log_setup(DATA_PROGRAM, BT_LOG_TEXT, (int)bt_flags_int(flags, "verbosity"));
        bt_stop_install();
        rc = data_run(flags, &err);
    }
    bt_flags_free(flags);
    return bt_cli_end(rc, &err);
}
