/* SPDX-License-Identifier: Apache-2.0
 *
 * bert-train's own parts of the command line: its flag table, what it prints. */
#ifndef BT_CLI_BERT_TRAIN_H
#define BT_CLI_BERT_TRAIN_H

#include "bt/cli.h"
#include "bt/conf.h"
#include "bt/train.h"

extern const bt_flag_table bert_train_flags;
/* The rows among them that say the configuration: other commands take them as they are. */
enum { BERT_TRAIN_N_CONF_DEFS = 15 };
extern const bt_flag_def bert_train_conf_defs[BERT_TRAIN_N_CONF_DEFS];

/* bert-train WORD ...: commands.c. */
extern const bt_cli_command bert_train_commands[];
extern const size_t         bert_train_n_commands;
extern const bt_cli_program command_completion;
extern const bt_cli_program command_config;
extern const bt_cli_program command_report;
extern const bt_cli_program command_doctor;
extern const bt_cli_program command_predict;
extern const bt_cli_program command_sweep;

/* bert_train_values.c: what flags and arguments may be (bt_flag_def.values). */
BT_MUST_USE bt_status values_of_experiment(bt_cli_words *words, bt_error *err);
BT_MUST_USE bt_status values_of_config(bt_cli_words *words, bt_error *err);
BT_MUST_USE bt_status values_of_override(bt_cli_words *words, bt_error *err);
BT_MUST_USE bt_status values_of_key(bt_cli_words *words, bt_error *err);

/* Of --version, of every command. */
BT_MUST_USE bt_status bert_train_append_build_info(bt_str *out, bt_error *err);

/* The configuration of the flags, those of bert_train_conf_defs and --mode; unchecked beyond what
 * bt_conf_build checks, whose failures these are. */
BT_MUST_USE bt_status build_conf(const bt_flags *flags, bt_conf **conf, bt_conf_errors *errors,
                                 bt_error *err);
/* Every problem on a line of its own; true when the run must not start. */
bool                  show_problems(const bt_conf_errors *errors, bool dry_run);
BT_MUST_USE bt_status print_yaml(const bt_conf *conf, bt_error *err);

/* The seeds of --seeds: "1,2,5..8" in this order. Owned by the caller. */
typedef struct seed_list {
    int64_t *items;
    size_t   n;
} seed_list;
BT_MUST_USE bt_status parse_seeds(const char *text, seed_list *out, bt_error *err);
/* Runs them all; prints: and prints a line "name mean stddev" a value. */
BT_MUST_USE bt_status run_seeds(const bt_train_args *args, const seed_list *seeds, bool prints,
                                bt_train_seeds_summary *summary, bt_error *err);

/* What a model_dir says of the run that trained there; all NULL: it is not asked. */
typedef struct recalled_run {
    char       *params; /* params.yaml */
    const char *experiment;
    char       *vocabulary; /* its copy in model_dir, or NULL */
} recalled_run;
/* An evaluation, prediction or export whose command says nothing else of the run. */
bool                  may_recall(const bt_flags *flags);
BT_MUST_USE bt_status recall_run(const bt_flags *flags, recalled_run *out, bt_error *err);
/* Of a folder; experiment NULL: the one that its parameters fit. Without parameters there nothing
 * is recalled, which fails where the experiment is not known. */
BT_MUST_USE bt_status recall_folder(const char *model_dir, const char *experiment,
                                    recalled_run *out, bt_error *err);
/* The one experiment that takes the file. */
BT_MUST_USE bt_status find_experiment(const char *params, const char **out, bt_error *err);
void                  recalled_deinit(recalled_run *run);

/* --init, --train, --eval, --predict, --text, --label into the configuration. */
BT_MUST_USE bt_status apply_short_flags(const bt_flags *flags, const recalled_run *recalled,
                                        bt_conf *conf, bt_conf_errors *errors, bt_error *err);

/* Says in err, which is that of rc, which key or flag a path in it came from. conf NULL: the flags
 * alone are asked. Returns rc. */
bt_status name_path_key(const bt_flags *flags, const bt_conf *conf, bt_status rc, bt_error *err);

/* What --benchmark and --benchmark_steps do not go together with; mode NULL: none was given. */
BT_MUST_USE bt_status check_benchmark_flags(const bt_flags *flags, const char *mode, bt_error *err);
/* Measures steps of args' training as the flags ask, and prints a table or a JSON object. */
BT_MUST_USE bt_status run_benchmark(const bt_train_args *args, const bt_flags *flags,
                                    bt_error *err);

/* What --compile_only and --largest_batch do not go together with; and its target. */
BT_MUST_USE bt_status check_compile_flags(const bt_flags *flags, bt_error *err);
/* Compiles args' programs for the flag's target, and prints a table or a JSON object. */
BT_MUST_USE bt_status run_compile_only(const bt_train_args *args, const bt_flags *flags,
                                       bt_error *err);

#endif
