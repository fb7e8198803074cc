/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the flag parser share: all flags, a growing list of borrowed texts, the
 * expansion of
 * --flagfile, and the search for the nearest name. */
#ifndef BT_CLI_FLAGS_INTERNAL_H
#define BT_CLI_FLAGS_INTERNAL_H

#include "bt/base/arena.h"
#include "bt/cli.h"

typedef struct text_list {
    const char **items; /* owned array of borrowed texts */
    size_t       n;
    size_t       cap;
} text_list;

bt_status text_list_add(text_list *list, const char *text, bt_error *err);
void      text_list_deinit(text_list *list);

/* argv[1..] with every --flagfile replaced by the lines of its file, up to "--". Lines live in
 * arena. */
bt_status expand_flagfiles(text_list *out, bt_arena *arena, int argc, char *const *argv,
                           bt_error *err);

/* A ~ at the beginning of a path becomes what a shell makes of it; bash does not look at what
 * is after --name=. The new text lives in arena. */
bt_status expand_user(bt_arena *arena, const char **path, bt_error *err);

/* "-name..." or "--name...": the text after the dashes; NULL when arg is not a flag. */
const char *flag_text(const char *arg);

/* All flags: those of the table, then those of every program. */
size_t             flag_count(const bt_flag_table *table);
const bt_flag_def *flag_at(const bt_flag_table *table, size_t i);

/* A line for each text that is given twice with different values: the last one counts, and the
 * other may have been meant as well. */
void warn_of_replaced(const bt_flags *flags);

/* Smaller is nearer; SIZE_MAX: not near at all. */
size_t name_distance(const char *candidate, const char *name, size_t n);

/* The table's name that is nearest to the first n bytes of name, or NULL when none is near. */
const char *nearest_flag(const bt_flag_table *table, const char *name, size_t n);

/* program_command.c: which program the first argument names, and what is left of the arguments.
 * BT_E_CONFIG: none. *out is program itself where that is not one of its words. */
bt_status             command_choose(const bt_cli_program *program, int *argc, char *const **argv,
                                     const bt_cli_program **out, bt_error *err);
const bt_cli_command *command_find(const bt_cli_program *program, const char *word);
/* program_complete.c: --complete, with the words after it. */
bt_status complete_words(const bt_cli_program *program, int n, char *const *words, bt_str *out,
                         bt_error *err);
/* program_man.c: the page in man's macros. */
bt_status man_append(const bt_cli_program *program, bt_str *out, bt_error *err);
/* The part of --help that lists the commands. */
bt_status command_append_help(const bt_cli_program *program, bt_str *out, bt_error *err);

/* What a kind of value is called. */
const char *flag_kind_text(bt_flag_kind kind);

#endif
