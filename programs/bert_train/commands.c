/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands: bert-train WORD ... A new one takes a row here, a bt_cli_program in a file of its
 * own and a row in tests/cli/programs.py, which holds it to what all programs promise. */
#include "bert_train.h"

const bt_cli_command bert_train_commands[] = {
    {"config", "print, compare and explain configurations", &command_config},
    {"report", "write the report of a run, or of several side by side", &command_report},
    {"doctor", "what a training would find on this machine, and what is wrong", &command_doctor},
    {"predict", "lines in, predictions out: a trained model as a filter", &command_predict},
    {"sweep", "train with many values of keys, seeds and folds, and compare", &command_sweep},
    {"completion", "let a shell complete command lines", &command_completion},
};
const size_t bert_train_n_commands = sizeof bert_train_commands / sizeof bert_train_commands[0];
