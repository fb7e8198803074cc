/* SPDX-License-Identifier: Apache-2.0
 *
 * The manual page of a program or command, from the same tables as --help, in the macros of man(7):
 * the build writes them into its folder man/. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "flags_internal.h"

/* A hyphen that is typed stays one; a line does not begin with what roff takes for a request. */
static bt_status put(bt_str *out, const char *text, bt_error *err) {
    for (const char *at = text; *at != '\0'; at++) {
        const bool begins = out->len == 0 || out->data[out->len - 1] == '\n';
        if (begins && (*at == '.' || *at == '\'')) {
            BT_TRY(bt_str_append(out, "\\&", err));
        }
        BT_TRY(*at == '-'    ? bt_str_append(out, "\\-", err)
               : *at == '\\' ? bt_str_append(out, "\\e", err)
                             : bt_str_append_char(out, *at, err));
    }
    return BT_OK;
}

/* "bert-train config" is the page bert-train-config. */
static bt_status put_page_name(bt_str *out, const char *program, bool upper, bt_error *err) {
    for (const char *at = program; *at != '\0'; at++) {
        const char c = *at == ' ' ? '-' : *at;
        const char one[2] = {upper ? (char)toupper((unsigned char)c) : c, '\0'};
        BT_TRY(put(out, one, err));
    }
    return BT_OK;
}

/* The first line of the summary without the name, up to its end or point. */
static bt_status put_purpose(bt_str *out, const bt_flag_table *table, bt_error *err) {
    const char  *at = table->summary;
    const size_t n = strlen(table->program);
    char         purpose[160];
    if (strncmp(at, table->program, n) == 0 && at[n] == ':') {
        at += n + 1 + strspn(at + n + 1, " ");
    }
    size_t length = strcspn(at, "\n");
    for (size_t i = 0; i + 1 < length; i++) {
        length = at[i] == '.' && at[i + 1] == ' ' ? i : length;
    }
    length -= length > 0 && strchr(".,", at[length - 1]) != NULL ? 1 : 0;
    (void)snprintf(purpose, sizeof purpose, "%.*s", (int)length, at);
    return put(out, purpose, err);
}

/* Lines that are indented, or columns, stay as they are. */
static bt_status put_summary(bt_str *out, const char *summary, bt_error *err) {
    BT_TRY(bt_str_append(out, ".nf\n", err));
    for (const char *at = summary; *at != '\0';) {
        char         line[512];
        const size_t n = strcspn(at, "\n");
        (void)snprintf(line, sizeof line, "%.*s", (int)n, at);
        BT_TRY(put(out, n > 0 ? line : " ", err));
        BT_TRY(bt_str_append_char(out, '\n', err));
        at += n + (at[n] == '\n' ? 1 : 0);
    }
    return bt_str_append(out, ".fi\n", err);
}

static bt_status put_flag(bt_str *out, const bt_flag_def *def, bt_error *err) {
    BT_TRY(bt_str_append(out, ".TP\n.B ", err));
    BT_TRY(put(out, def->kind == BT_FLAG_BOOL ? "--[no]" : "--", err));
    BT_TRY(put(out, def->name, err));
    if (def->kind != BT_FLAG_BOOL) {
        BT_TRY(bt_str_appendf(out, err, "\\fR=\\fI%.*s\\fR",
                              (int)strcspn(flag_kind_text(def->kind), ","),
                              flag_kind_text(def->kind)));
    }
    BT_TRY(bt_str_append_char(out, '\n', err));
    BT_TRY(put(out, def->help, err));
    BT_TRY(bt_str_append(out, bt_str_ends_with(def->help, ".") ? "\n" : ".\n", err));
    for (size_t i = 0; def->kind == BT_FLAG_ENUM && def->choices[i] != NULL; i++) {
        BT_TRY(bt_str_append(out, i == 0 ? "One of " : ", ", err));
        BT_TRY(put(out, def->choices[i], err));
        BT_TRY(bt_str_append(out, def->choices[i + 1] == NULL ? ".\n" : "", err));
    }
    if (def->default_text != NULL && def->default_text[0] != '\0') {
        BT_TRY(bt_str_append(out, "Default: ", err));
        BT_TRY(put(out, def->default_text, err));
        BT_TRY(bt_str_append(out, ".\n", err));
    }
    return BT_OK;
}

static bt_status put_flags(bt_str *out, const bt_flag_table *table, bt_error *err) {
    BT_TRY(bt_str_append(out, ".SH OPTIONS\n", err));
    for (size_t i = 0; i < flag_count(table); i++) {
        if (flag_at(table, i)->help != NULL) {
            BT_TRY(put_flag(out, flag_at(table, i), err));
        }
    }
    return bt_str_append(out,
                         ".TP\n.B \\-\\-help\\fR, \\fB\\-\\-helpfull\\fR, "
                         "\\fB\\-\\-version\\fR\nPrint help, help with rarely needed flags, or "
                         "the version.\n"
                         ".TP\n.B \\-\\-flagfile\\fR=\\fIFILE\\fR\nRead further flags from FILE, "
                         "one a line.\n"
                         ".TP\n.B \\-\\-undefok\\fR=\\fINAME,NAME\\fR\nUnknown flags of these "
                         "names are not an error.\n",
                         err);
}

static bt_status put_status(bt_str *out, const bt_flag_table *table, bt_error *err) {
    BT_TRY(bt_str_append(out,
                         ".SH EXIT STATUS\n0 done; 2 flags or configuration; 3 data that cannot be "
                         "read or is damaged; 4 disk, memory, network or another process;\n",
                         err));
    BT_TRY(put(out, table->exit_codes != NULL ? table->exit_codes : "", err));
    return bt_str_append(out,
                         "\n70 a bug; 75 stopped by a signal after saving; 128 + N stopped by "
                         "signal N.\n",
                         err);
}

static bt_status put_commands(bt_str *out, const bt_cli_program *program, bt_error *err) {
    if (program->n_commands == 0) {
        return BT_OK;
    }
    BT_TRY(bt_str_append(out, ".SH COMMANDS\n", err));
    for (size_t i = 0; i < program->n_commands; i++) {
        BT_TRY(bt_str_append(out, ".TP\n.B ", err));
        BT_TRY(put(out, program->flags->program, err));
        BT_TRY(bt_str_append_char(out, ' ', err));
        BT_TRY(put(out, program->commands[i].word, err));
        BT_TRY(bt_str_append_char(out, '\n', err));
        BT_TRY(put(out, program->commands[i].summary, err));
        BT_TRY(bt_str_append(out, "\n", err));
    }
    BT_TRY(bt_str_append(out, ".SH SEE ALSO\n", err));
    for (size_t i = 0; i < program->n_commands; i++) {
        BT_TRY(bt_str_append(out, ".BR ", err));
        BT_TRY(put_page_name(out, program->commands[i].program->flags->program, false, err));
        BT_TRY(bt_str_append(out, i + 1 < program->n_commands ? " (1),\n" : " (1)\n", err));
    }
    return BT_OK;
}

bt_status man_append(const bt_cli_program *program, bt_str *out, bt_error *err) {
    const bt_flag_table *const table = program->flags;
    BT_TRY(bt_str_append(out, ".TH ", err));
    BT_TRY(put_page_name(out, table->program, true, err));
    BT_TRY(bt_str_appendf(out, err, " 1 \"\" \"bert\\-train %s\" \"bert\\-train\"\n.SH NAME\n",
                          bt_cli_version()));
    BT_TRY(put_page_name(out, table->program, false, err));
    BT_TRY(bt_str_append(out, " \\- ", err));
    BT_TRY(put_purpose(out, table, err));
    BT_TRY(bt_str_append(out, "\n.SH SYNOPSIS\n.B ", err));
    BT_TRY(put(out, table->program, err));
    BT_TRY(bt_str_append(out, "\n.RI [ flags \"] [\" arguments ]\n.SH DESCRIPTION\n", err));
    BT_TRY(put_summary(out, table->summary, err));
    BT_TRY(put_flags(out, table, err));
    BT_TRY(put_status(out, table, err));
    return put_commands(out, program, err);
}
