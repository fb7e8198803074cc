/* SPDX-License-Identifier: Apache-2.0
 *
 * cli: what every program shares. Command lines in absl's spelling (docs/model_garden/config.md
 * 1.1), declared as a table; and a program from its first line to its exit code.
 *
 * --name=value, --name value, the same with one dash; booleans --x, --nox, --x=true|false|t|f|1|0
 * (never "--x value"); "--" ends flags; a later occurrence replaces an earlier one, or is added for
 * BT_FLAG_LIST; no prefix abbreviations. Everywhere, without a row of the table: --flagfile=F (one
 * argument a line, # and // comments, may nest), --undefok=a,b, --log_format, --verbosity, and what
 * absl declares for each program (--logtostderr and its kin, without effect here). */
#ifndef BT_CLI_H
#define BT_CLI_H

#include "bt/base/str.h"

typedef enum bt_flag_kind {
    BT_FLAG_STRING,
    BT_FLAG_INT, /* int64: decimal, or 0x.. and 0o.. */
    BT_FLAG_FLOAT,
    BT_FLAG_BOOL, /* with choices: or one of these words, which counts as true */
    BT_FLAG_ENUM, /* one of choices */
    BT_FLAG_LIST, /* a string that may be given several times */
} bt_flag_kind;

struct bt_cli_words;

typedef struct bt_flag_def {
    const char        *name;
    bt_flag_kind       kind;
    const char        *default_text;        /* NULL: unset (a list: empty) */
    const char        *help;                /* one line; NULL hides the flag from --help */
    const char *const *choices;             /* ENUM, BOOL: NULL-terminated */
    const char        *alias;               /* a second name ("v" of verbosity), or NULL */
    bool               is_required;         /* all missing ones are named in one error */
    bool               choices_ignore_case; /* the value becomes the table's own spelling */
    bool               is_path;             /* STRING, LIST: a ~ at the beginning is expanded */
    /* Offers what the value may be to who types it (bt_cli_offer); NULL: choices or files. */
    bt_status (*values)(struct bt_cli_words *words, bt_error *err);
} bt_flag_def;

/* All borrowed for as long as the bt_flags made from it lives. */
typedef struct bt_flag_table {
    const char        *program;    /* of a command with the word: "bert-train config" */
    const char        *summary;    /* first lines of --help */
    const char        *exit_codes; /* of this program alone, "5 a device is lost; "; or NULL */
    const bt_flag_def *defs;
    size_t             n_defs;
    const bt_flag_def *shared; /* rows that another table has as well, after defs */
    size_t             n_shared;
    /* Writes to out what an unknown flag of another program is here ("--model_dir") and returns
     * it, or NULL. May be NULL. */
    const char *(*other_name)(const char *name, size_t n, char *out, size_t cap);
} bt_flag_table;

/* What the command line asks for. Anything but BT_ASK_RUN is met as soon as it is read: what is
 * after it, and missing flags, do not matter then. */
typedef enum bt_flags_ask {
    BT_ASK_RUN,
    BT_ASK_HELP,     /* --help, --helpshort, -h, or the word help alone in the first place */
    BT_ASK_HELPFULL, /* --helpfull */
    BT_ASK_VERSION,  /* --version, -V */
    BT_ASK_MAN,      /* --help_man: the page that the build installs */
} bt_flags_ask;

typedef struct bt_flags bt_flags;

/* argv[0] is skipped. BT_E_CONFIG: unknown flag (with the nearest name), bad or missing value,
 * missing required flags; BT_E_IO: an unreadable flagfile. */
BT_MUST_USE bt_status bt_flags_parse(bt_flags **out, const bt_flag_table *table, int argc,
                                     char *const *argv, bt_error *err);
void                  bt_flags_free(bt_flags *flags);
bt_flags_ask          bt_flags_asked(const bt_flags *flags);

bool bt_flags_has(const bt_flags *flags, const char *name); /* in its table? */
/* name must be in the table (or one of those that work everywhere) and of that kind (our own
 * mistake otherwise). Text is borrowed until bt_flags_free. */
bool        bt_flags_is_set(const bt_flags *flags, const char *name); /* has a value */
const char *bt_flags_string(const bt_flags *flags, const char *name); /* any kind's; or NULL */
int64_t     bt_flags_int(const bt_flags *flags, const char *name);    /* 0 when unset */
double      bt_flags_float(const bt_flags *flags, const char *name);  /* 0 when unset */
bool        bt_flags_bool(const bt_flags *flags, const char *name);   /* false when unset */
size_t      bt_flags_list(const bt_flags *flags, const char *name, const char *const **values);

/* Arguments that are not flags, in order (those after "--" too). */
size_t bt_flags_args(const bt_flags *flags, const char *const **args);

/* The command line as a shell would take it again, files of flags read in; what lets in whoever has
 * it is left out (bt/base/signed_url.h). Appended to out. */
BT_MUST_USE bt_status bt_flags_append_command(const bt_flags *flags, bt_str *out, bt_error *err);

/* One word of a command line, quoted where a shell would see more than a word in it. */
BT_MUST_USE bt_status bt_cli_append_word(bt_str *out, const char *word, bt_error *err);

/* The help text: summary, then each flag with kind, default and meaning. full: hidden ones too. */
BT_MUST_USE bt_status bt_flags_help(const bt_flag_table *table, bool full, bt_str *out,
                                    bt_error *err);

/* A program behind a word: "bert-train config ...". */
typedef struct bt_cli_command {
    const char                  *word;
    const char                  *summary; /* half a line of the program's --help */
    const struct bt_cli_program *program; /* its argv[0] is the word */
} bt_cli_command;

/* All borrowed. */
typedef struct bt_cli_program {
    const bt_flag_table *flags;
    /* Where the first argument is not a flag, it is one of these words; n_commands 0: an argument.
     */
    const bt_cli_command *commands;
    size_t                n_commands;
    /* Offers what the argument after these n may be; NULL: files. */
    bt_status (*arguments)(struct bt_cli_words *words, const char *const *before, size_t n,
                           bt_error *err);
    /* The lines of --version below the version and the compiler; NULL: none. */
    bt_status (*append_build_info)(bt_str *out, bt_error *err);
    /* What the program does. An error whose message is empty was shown already. *status, 0 before,
     * is what to exit with when all went well: diff(1) answers 1. */
    bt_status (*run)(const bt_flags *flags, int *status, bt_error *err);
} bt_cli_program;

/* Completion: PROGRAM --complete WORD..., which the shells call (bert-train completion), answers
 * with what the last word may become. A line "words", or "files" where names of files may follow,
 * with the part of the word before them; then a line each: the whole word, a tab, what it means. */
typedef struct bt_cli_words bt_cli_words;
/* The value that is typed so far: of a flag what is after "=". */
const char *bt_cli_typed(const bt_cli_words *words);
/* Of another flag of the command line, or NULL. */
const char *bt_cli_other_value(const bt_cli_words *words, const char *flag);
/* One that the value may be; meaning may be NULL. Nothing where it does not begin as typed. */
BT_MUST_USE bt_status bt_cli_offer(bt_cli_words *words, const char *value, const char *meaning,
                                   bt_error *err);
void                  bt_cli_offer_files(bt_cli_words *words); /* too */

/* The whole main of a program: holds descriptors 0 to 2, lets signals ask it to stop, reads the
 * flags, answers --help and --version, warns of flags that were replaced, runs, and says what went
 * wrong. Returns the exit code. */
int bt_cli_run(const bt_cli_program *program, int argc, char *const *argv);

/* "0.1.0" */
const char *bt_cli_version(void);

/* Lines on stderr as --log_format has them, of a program (or a process of a job) of that name. */
void bt_cli_setup_log(const bt_flags *flags, const char *name, int verbosity);

/* What becomes of a program whose output nobody reads to its end. */
typedef enum bt_cli_reader {
    BT_READER_NEEDS_ALL,  /* results: BT_E_RESOURCE, as on a full disk */
    BT_READER_MAY_LEAVE,  /* of a filter: ends as SIGPIPE ends it, in silence */
    BT_READER_HAS_ENOUGH, /* help, listings: all is well */
} bt_cli_reader;

/* Writes all of text to standard output; waits for a slow reader until the process is asked to
 * stop. */
BT_MUST_USE bt_status bt_cli_print(const bt_str *text, bt_cli_reader reader, bt_error *err);

/* Until fd is ready for events of poll(2). BT_E_INTERRUPTED: asked to stop meanwhile. */
BT_MUST_USE bt_status bt_cli_wait(int fd, short events, bt_error *err);

#endif
