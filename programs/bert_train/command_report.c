/* SPDX-License-Identifier: Apache-2.0
 *
 * bert-train report: the page about a run, or about several side by side, at any time. */
#include "bert_train.h"
#include "bt/base/str.h"

static const bt_flag_def defs[] = {
    {.name = "output_path",
     .kind = BT_FLAG_STRING,
     .is_path = true,
     .help = "the file to write (default: report.html in the folder, if it is one)"},
};

static const bt_flag_table flag_table = {
    .program = "bert-train report",
    .summary = "Writes the report of runs as one page of HTML.\n"
               "  bert-train report MODEL_DIR\n"
               "  bert-train report DIR... --output_path=FILE\n"
               "A folder is a run's model_dir, or has some in it (of --seeds or a sweep): several "
               "runs are put side by side.\nThe page shows text of the evaluation data, unless "
               "trainer.report_examples was 0.",
    .defs = defs,
    .n_defs = sizeof defs / sizeof defs[0],
};

static bt_status run(const bt_flags *flags, int *status, bt_error *err) {
    const char *const *folders = NULL;
    const size_t       n = bt_flags_args(flags, &folders);
    const char *const  path = bt_flags_string(flags, "output_path");
    const bool         has_path = path != NULL && path[0] != '\0';
    (void)status;
    if (n == 0) {
        return BT_FAIL(err, BT_E_CONFIG, "of which run? bert-train report MODEL_DIR (see --help)");
    }
    if (n > 1 && !has_path) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "a report of %zu folders belongs to none of them: name its file with "
                       "--output_path",
                       n);
    }
    return bt_train_write_report(folders, n, has_path ? path : NULL, err);
}

const bt_cli_program command_report = {
    .flags = &flag_table, .append_build_info = bert_train_append_build_info, .run = run};
