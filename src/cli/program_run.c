/* SPDX-License-Identifier: Apache-2.0
 *
 * A program from its first line to its exit code: the same for all of them. */
#include "bt/base/log.h"
#include "bt/base/standard_files.h"
#include "bt/base/stop.h"
#include "flags_internal.h"

#ifdef __clang__
static const char compiler[] = __VERSION__; /* begins with its name */
#else
static const char compiler[] = "gcc " __VERSION__;
#endif

void bt_cli_setup_log(const bt_flags *flags, const char *name, int verbosity) {
    const bool is_json = bt_str_equal(bt_flags_string(flags, "log_format"), "json");
    bt_log_setup(name, is_json ? BT_LOG_JSON : BT_LOG_TEXT, verbosity);
}

static bt_status append_version(const bt_cli_program *program, bt_str *out, bt_error *err) {
    BT_TRY(bt_str_appendf(out, err, "%s %s\ncompiler: %s\n", program->flags->program, BT_VERSION,
                          compiler));
    return program->append_build_info != NULL ? program->append_build_info(out, err) : BT_OK;
}

static bt_status answer(const bt_cli_program *program, bt_flags_ask ask, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    text = BT_STR_INIT;
    if (ask == BT_ASK_VERSION) {
        BT_CHECK(append_version(program, &text, err));
    } else {
        BT_CHECK(bt_flags_help(program->flags, ask == BT_ASK_HELPFULL, &text, err));
        BT_CHECK(command_append_help(program, &text, err));
    }
    rc = bt_cli_print(&text, BT_READER_HAS_ENOUGH, err);
done:
    bt_str_deinit(&text);
    return rc;
}

static bt_status run_asked(const bt_cli_program *program, const bt_flags *flags, int *status,
                           bt_error *err) {
    if (bt_flags_asked(flags) != BT_ASK_RUN) {
        return answer(program, bt_flags_asked(flags), err);
    }
    warn_of_replaced(flags);
    return program->run(flags, status, err);
}

/* Says what went wrong, unless err->msg is empty (said already), or, which is not an error, that
 * the program was stopped as asked. Errors are shown whatever --verbosity says. */
static int end_program(bt_status rc, const bt_error *err) {
    if (rc == BT_E_INTERRUPTED) {
        const int code = bt_stop_exit_code();
        if (err->msg[0] != '\0') {
            bt_log(BT_LOG_INFO, "%s%s", err->msg,
                   code == bt_status_exit_code(rc) ? "" : "; there was nothing to save");
        }
        return code;
    }
    if (err->msg[0] != '\0') {
        bt_log(BT_LOG_ERROR, "%s", err->msg);
    }
    if (rc == BT_E_INTERNAL) {
        bt_log(BT_LOG_ERROR,
               "this is a bug of this program (%s:%d); please report it with the command line",
               err->file != NULL ? err->file : "?", err->line);
    }
    return bt_status_exit_code(rc);
}

int bt_cli_run(const bt_cli_program *program, int argc, char *const *argv) {
    const bt_cli_program *chosen = program;
    bt_error              err = BT_ERROR_INIT;
    bt_flags             *flags = NULL;
    int                   status = 0;
    if (!bt_hold_standard_files()) {
        return bt_status_exit_code(BT_E_RESOURCE); /* there is nowhere to say it */
    }
    bt_log_setup(program->flags->program, BT_LOG_TEXT, 0);
    bt_stop_install();
    bt_status rc = command_choose(program, &argc, &argv, &chosen, &err);
    if (rc == BT_OK) {
        bt_log_setup(chosen->flags->program, BT_LOG_TEXT, 0);
        rc = bt_flags_parse(&flags, chosen->flags, argc, argv, &err);
    }
    if (rc == BT_OK) {
        bt_cli_setup_log(flags, chosen->flags->program, (int)bt_flags_int(flags, "verbosity"));
        rc = run_asked(chosen, flags, &status, &err);
    }
    bt_flags_free(flags);
    return rc == BT_OK ? status : end_program(rc, &err);
}
