/* SPDX-License-Identifier: Apache-2.0
 *
 * create-finetuning-data: text files -> TFRecords of tokenised examples and a meta data file, with
 * the flags of Model Garden's script of that name (spec/data.md (a)) and its bytes. */
#include <signal.h>
#include <stdio.h>

#include "data_flags.h"
#include "data_run.h"

static volatile sig_atomic_t was_signalled;

static void on_signal(int number) {
    (void)number;
    was_signalled = 1;
}

static bool is_interrupted(void) {
    return was_signalled != 0;
}

static void catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

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
    bt_log_setup(DATA_PROGRAM, BT_LOG_TEXT, 0);
    bt_status rc = bt_flags_parse(&flags, &data_flag_table, argc, argv, &err);
    if (rc == BT_OK && bt_flags_asked(flags) != BT_ASK_RUN) {
        rc = answer(bt_flags_asked(flags), &err);
    } else if (rc == BT_OK) {
        bt_log_setup(DATA_PROGRAM, BT_LOG_TEXT, (int)bt_flags_int(flags, "verbosity"));
        catch_signals();
        rc = data_run(flags, is_interrupted, &err);
    }
    bt_flags_free(flags);
    if (rc != BT_OK) {
        bt_log(BT_LOG_ERROR, "%s", err.msg);
    }
    return bt_status_exit_code(rc);
}
