/* SPDX-License-Identifier: Apache-2.0
 *
 * A program from its first line to its exit code: the same for all of them. */
#include <stdlib.h>

#include "bt/base/log.h"
#include "bt/base/standard_files.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "flags_internal.h"

#ifdef __clang__
static const char compiler[] = __VERSION__; /* begins with its name */
#else
static const char compiler[] = "gcc " __VERSION__;
#endif

static bt_log_times read_times(const char *word) {
    return bt_str_equal(word, "on")    ? BT_LOG_TIMES_ON
           : bt_str_equal(word, "off") ? BT_LOG_TIMES_OFF
                                       : BT_LOG_TIMES_AUTO;
}

/* flags NULL: they are not read yet. */
static void setup_times(const bt_flags *flags) {
    static const char name[] = "BERT_TRAIN_LOG_TIMES";
    const char *const said = getenv(name);
    const char *const word = flags != NULL ? bt_flags_string(flags, "log_times") : NULL;
    bt_log_set_times(read_times(word != NULL ? word : said));
    if (flags != NULL && said != NULL && said[0] != '\0' && !bt_str_equal(said, "auto") &&
        read_times(said) == BT_LOG_TIMES_AUTO) {
        bt_log(BT_LOG_WARNING, "%s=%s: expected auto, on or off; auto is taken", name, said);
    }
}

void bt_cli_setup_log(const bt_flags *flags, const char *name, int verbosity) {
    const bool is_json = bt_str_equal(bt_flags_string(flags, "log_format"), "json");
    bt_log_setup(name, is_json ? BT_LOG_JSON : BT_LOG_TEXT, verbosity);
    setup_times(flags);
}

const char *bt_cli_version(void) {
    return BT_VERSION;
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
    } else if (ask == BT_ASK_MAN) {
        BT_CHECK(man_append(program, &text, err));
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

/* A sentence of the end, with the exit code for programs. */
static void say_end(bt_log_level level, const char *event, int code, bt_status rc,
                    const char *sentence, const char *more) {
    const bt_log_field fields[] = {bt_log_int("exit_code", code),
                                   bt_log_text("status", bt_status_name(rc))};
    bt_log_event(level, event, fields, BT_ARRAY_LEN(fields), "%s%s", sentence, more);
}

/* Says what went wrong, unless err->msg is empty (said already), or, which is not an error, that
 * the program was stopped as asked. Errors are shown whatever --verbosity says. */
static int end_program(bt_status rc, const bt_error *err) {
    if (rc == BT_E_INTERRUPTED) {
        const int code = bt_stop_exit_code();
        if (err->msg[0] != '\0') {
            say_end(BT_LOG_INFO, "stopped", code, rc, err->msg,
                    code == bt_status_exit_code(rc) ? "" : "; there was nothing to save");
        }
        return code;
    }
    if (err->msg[0] != '\0') {
        say_end(BT_LOG_ERROR, "error", bt_status_exit_code(rc), rc, err->msg, "");
    }
    if (rc == BT_E_INTERNAL) {
        bt_log(BT_LOG_ERROR,
               "this is a bug of this program (%s:%d); please report it with the command line",
               err->file != NULL ? err->file : "?", err->line);
    }
    return bt_status_exit_code(rc);
}

/* The last line of a log for programs says how it ended, also where nothing else does. */
static int tell_end(int code, double started) {
    const bt_log_field fields[] = {bt_log_int("exit_code", code),
                                   bt_log_number("seconds", bt_time_monotonic() - started)};
    bt_log_event(BT_LOG_INFO, "end", fields, BT_ARRAY_LEN(fields), NULL);
    return code;
}

/* Who types a command line is not disturbed by messages. */
static int complete(const bt_cli_program *program, int n, char *const *words) {
    bt_error  err = BT_ERROR_INIT;
    bt_str    out = BT_STR_INIT;
    bt_status rc = complete_words(program, n, words, &out, &err);
    if (rc == BT_OK) {
        rc = bt_cli_print(&out, BT_READER_HAS_ENOUGH, &err);
    }
    bt_str_deinit(&out);
    return bt_status_exit_code(rc);
}

int bt_cli_run(const bt_cli_program *program, int argc, char *const *argv) {
    const bt_cli_program *chosen = program;
    const double          started = bt_time_monotonic();
    bt_error              err = BT_ERROR_INIT;
    bt_flags             *flags = NULL;
    int                   status = 0;
    if (!bt_hold_standard_files()) {
        return bt_status_exit_code(BT_E_RESOURCE); /* there is nowhere to say it */
    }
    bt_log_setup(program->flags->program, BT_LOG_TEXT, 0);
    setup_times(NULL);
    bt_stop_install();
    if (argc > 1 && bt_str_equal(argv[1], "--complete")) {
        return complete(program, argc - 2, argv + 2);
    }
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
    return tell_end(rc == BT_OK ? status : end_program(rc, &err), started);
}
