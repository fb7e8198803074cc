/* SPDX-License-Identifier: Apache-2.0
 *
 * bert-checkpoint: lists, shows, verifies, converts and compares checkpoints (TensorFlow bundles of
 * any layout, safetensors). Results go to standard output, everything else to standard error. */
#include <stdio.h>
#include <string.h>

#include "bt/base/log.h"
#include "bt/cli.h"
#include "bt/fs.h"
#include "tensor_source.h"

static const char program_name[] = "bert-checkpoint";

/* What diff answers when there are differences, as diff(1) does. */
enum { EXIT_DIFFERENT = 1 };

static const bt_flag_table flag_table = {
    .program = program_name,
    .summary =
        "bert-checkpoint: looks into checkpoints. A checkpoint is named by its prefix, its\n"
        "folder, or any one of its files (.index, .data-*, .safetensors, checkpoint).\n"
        "\n"
        "bert-checkpoint list PREFIX          a line a tensor: name, type, dims\n"
        "bert-checkpoint show PREFIX NAME     one tensor's values (NAME: tensor or variable)\n"
        "bert-checkpoint verify PREFIX        reads and checks every byte that counts\n"
        "bert-checkpoint convert SRC DST      DST.safetensors, or the prefix of a bundle\n"
        "bert-checkpoint diff A B             what differs; exit status 1 if anything does"};

static bt_status run_list(tensor_source *source, const char *const *args, bt_str *out, int *status,
                          bt_error *err) {
    (void)args;
    (void)status;
    for (size_t i = 0; i < source_n_tensors(source); i++) {
        const source_tensor tensor = source_tensor_at(source, i);
        BT_TRY(source_describe(&tensor, out, err));
    }
    return BT_OK;
}

static bt_status run_show(tensor_source *source, const char *const *args, bt_str *out, int *status,
                          bt_error *err) {
    (void)status;
    return command_show(source, args[2], out, err);
}

static bt_status run_verify(tensor_source *source, const char *const *args, bt_str *out,
                            int *status, bt_error *err) {
    size_t n_bytes = 0;
    (void)args;
    (void)status;
    BT_TRY(bt_ckpt_verify(source->ckpt, err));
    for (size_t i = 0; i < source_n_tensors(source); i++) {
        n_bytes += source_tensor_at(source, i).n_bytes;
    }
    return bt_str_appendf(out, err, "%s: %s, %zu tensors, %zu bytes of numbers: all is well\n",
                          bt_ckpt_path(source->ckpt),
                          bt_ckpt_layout_name(bt_ckpt_get_layout(source->ckpt)),
                          source_n_tensors(source), n_bytes);
}

/* The source is read while the target is written: a folder names the file or prefix in it. */
static bt_status check_target(const tensor_source *source, const char *dst, bt_error *err) {
    static const char *const suffixes[] = {"", ".index", ".data-00000-of-00001"};
    const bt_fs_named        src = {"SRC", bt_ckpt_path(source->ckpt)};
    for (size_t i = 0; i < BT_ARRAY_LEN(suffixes); i++) {
        char path[BT_CKPT_PATH_MAX];
        (void)snprintf(path, sizeof path, "%s%s", dst, suffixes[i]);
        const bt_fs_named target = {"DST", path};
        BT_TRY(bt_fs_check_not_read(&target, &src, NULL, err));
    }
    return BT_OK;
}

static bt_status run_convert(tensor_source *source, const char *const *args, bt_str *out,
                             int *status, bt_error *err) {
    size_t n_written = 0;
    size_t n_left_out = 0;
    (void)out;
    (void)status;
    BT_TRY(check_target(source, args[2], err));
    BT_TRY(command_convert(source, args[2], &n_written, &n_left_out, err));
    if (n_left_out > 0) {
        bt_log(BT_LOG_WARNING, "%zu tensors of strings were left out: a safetensors file has none",
               n_left_out);
    }
    bt_log(BT_LOG_INFO, "%s: %zu tensors written", args[2], n_written);
    return BT_OK;
}

static bt_status run_diff(tensor_source *source, const char *const *args, bt_str *out, int *status,
                          bt_error *err) {
    tensor_source other;
    bool          differ = false;
    BT_TRY(source_open(&other, args[2], err));
    const bt_status rc = command_diff(source, &other, out, &differ, err);
    source_close(&other);
    *status = differ ? EXIT_DIFFERENT : 0;
    return rc;
}

typedef struct command {
    const char *name;
    size_t      n_args; /* after the name */
    const char *usage;
    bt_status (*run)(tensor_source *source, const char *const *args, bt_str *out, int *status,
                     bt_error *err);
} command;

static const command commands[] = {
    {"list", 1, "list PREFIX", run_list},       {"show", 2, "show PREFIX NAME", run_show},
    {"verify", 1, "verify PREFIX", run_verify}, {"convert", 2, "convert SRC DST", run_convert},
    {"diff", 2, "diff A B", run_diff},
};

static bt_status find_command(const char *const *args, size_t n_args, const command **out,
                              bt_error *err) {
    if (n_args == 0) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "a command is expected: list, show, verify, convert or diff (see --help)");
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(commands); i++) {
        if (!bt_str_equal(commands[i].name, args[0])) {
            continue;
        }
        if (n_args != commands[i].n_args + 1) {
            return BT_FAIL(err, BT_E_CONFIG, "%s takes %zu argument%s, got %zu: %s %s", args[0],
                           commands[i].n_args, commands[i].n_args == 1 ? "" : "s", n_args - 1,
                           program_name, commands[i].usage);
        }
        *out = &commands[i];
        return BT_OK;
    }
    return BT_FAIL(err, BT_E_CONFIG,
                   "unknown command '%s': list, show, verify, convert or diff is expected",
                   args[0]);
}

static bt_status run(const bt_flags *flags, int *status, bt_error *err) {
    const char *const *args = NULL;
    const size_t       n_args = bt_flags_args(flags, &args);
    const command     *chosen = NULL;
    tensor_source      source;
    bt_str             out = BT_STR_INIT;
    BT_TRY(find_command(args, n_args, &chosen, err));
    BT_TRY(source_open(&source, args[1], err));
    bt_status rc = chosen->run(&source, args, &out, status, err);
    source_close(&source);
    if (rc == BT_OK) { /* all of the result, or none of it */
        rc = bt_cli_print(&out, BT_READER_MAY_LEAVE, err);
    }
    bt_str_deinit(&out);
    return rc;
}

static bt_status offer_arguments(bt_cli_words *words, const char *const *before, size_t n,
                                 bt_error *err) {
    (void)before;
    for (size_t i = 0; n == 0 && i < BT_ARRAY_LEN(commands); i++) {
        BT_TRY(bt_cli_offer(words, commands[i].name, commands[i].usage, err));
    }
    if (n > 0) {
        bt_cli_offer_files(words);
    }
    return BT_OK;
}

int main(int argc, char **argv) {
    static const bt_cli_program program = {.flags = &flag_table,
                                           .arguments = offer_arguments,
                                           .append_build_info = bt_fs_append_build_info,
                                           .run = run};
    return bt_cli_run(&program, argc, argv);
}
