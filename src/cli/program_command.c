/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands of a program: the word in its first place names another table of flags and another main,
 * which see the arguments after it as if they were a program of their own. */
#include <string.h>

#include "bt/base/size.h"
#include "flags_internal.h"

const bt_cli_command *command_find(const bt_cli_program *program, const char *word) {
    for (size_t i = 0; i < program->n_commands; i++) {
        if (bt_str_equal(program->commands[i].word, word)) {
            return &program->commands[i];
        }
    }
    return NULL;
}

static bt_status fail_unknown(const bt_cli_program *program, const char *word, bt_error *err) {
    const char *nearest = NULL;
    size_t      distance = SIZE_MAX;
    bt_str      words = BT_STR_INIT;
    bt_status   rc = BT_OK;
    for (size_t i = 0; i < program->n_commands; i++) {
        const char *const candidate = program->commands[i].word;
        const size_t      is = name_distance(candidate, word, strlen(word));
        nearest = is < distance ? candidate : nearest;
        distance = is < distance ? is : distance;
        BT_CHECK(bt_str_appendf(&words, err, "%s%s", i == 0 ? "" : ", ", candidate));
    }
    rc =
        nearest != NULL
            ? BT_FAIL(err, BT_E_CONFIG, "unknown command '%.200s'; did you mean %s?", word, nearest)
            : BT_FAIL(err, BT_E_CONFIG,
                      "unknown command '%.200s': expected one of %s, or flags (--name=value)", word,
                      bt_str_text(&words));
done:
    bt_str_deinit(&words);
    return rc;
}

bt_status command_choose(const bt_cli_program *program, int *argc, char *const **argv,
                         const bt_cli_program **out, bt_error *err) {
    static char        help[] = "--help";
    static char *const asks_help[] = {help, help, NULL};
    const char *const  word = *argc > 1 ? (*argv)[1] : "";
    const bool         is_help = bt_str_equal(word, "help");
    *out = program;
    if (program->n_commands == 0 || word[0] == '-' || *argc < (is_help ? 3 : 2)) {
        return BT_OK;
    }
    const char *const           name = is_help ? (*argv)[2] : word;
    const bt_cli_command *const command = command_find(program, name);
    if (command == NULL) {
        return is_help && name[0] == '-' ? BT_OK : fail_unknown(program, name, err);
    }
    *out = command->program;
    *argc = is_help ? 2 : *argc - 1;
    *argv = is_help ? asks_help : *argv + 1;
    return BT_OK;
}

bt_status command_append_help(const bt_cli_program *program, bt_str *out, bt_error *err) {
    if (program->n_commands == 0) {
        return BT_OK;
    }
    BT_TRY(bt_str_appendf(out, err, "\nCommands (%s COMMAND --help):\n", program->flags->program));
    for (size_t i = 0; i < program->n_commands; i++) {
        BT_TRY(bt_str_appendf(out, err, "  %-11s %s\n", program->commands[i].word,
                              program->commands[i].summary));
    }
    return BT_OK;
}
