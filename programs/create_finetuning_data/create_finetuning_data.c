/* SPDX-License-Identifier: Apache-2.0
 *
 * create-finetuning-data: text files -> TFRecords of tokenised examples and a meta data file, with
 * the flags of Model Garden's script of that name (docs/model_garden/data.md section 1) and its
 * bytes. */
#include "bt/fs.h"
#include "data_flags.h"
#include "data_run.h"

static bt_status run(const bt_flags *flags, int *status, bt_error *err) {
    (void)status;
    return data_run(flags, err);
}

int main(int argc, char **argv) {
    static const bt_cli_program program = {
        .flags = &data_flag_table, .append_build_info = bt_fs_append_build_info, .run = run};
    return bt_cli_run(&program, argc, argv);
}
