/* SPDX-License-Identifier: Apache-2.0
 *
 * The flags of every program. */
#include "flags_internal.h"

static const char *const log_formats[] = {"text", "json", NULL};

static const char *const log_times[] = {"auto", "on", "off", NULL};

static const bt_flag_def common[] = {
    {.name = "log_format",
     .kind = BT_FLAG_ENUM,
     .choices = log_formats,
     .default_text = "text",
     .help = "form of the lines on stderr; json: an object a line, with an event and its fields"},
    {.name = "log_times",
     .kind = BT_FLAG_ENUM,
     .choices = log_times,
     .help = "lines of text on stderr begin with the time (UTC); auto: unless it is a terminal "
             "(default: BERT_TRAIN_LOG_TIMES, else auto)"},
    {.name = "verbosity",
     .kind = BT_FLAG_INT,
     .default_text = "0",
     .alias = "v",
     .help = "-2 errors, -1 and warnings, 0 and progress, 1 and details"},
    /* declared by absl, without effect there or here */
    {.name = "logtostderr", .kind = BT_FLAG_BOOL},
    {.name = "alsologtostderr", .kind = BT_FLAG_BOOL},
    {.name = "showprefixforinfo", .kind = BT_FLAG_BOOL},
    {.name = "stderrthreshold", .kind = BT_FLAG_STRING},
    {.name = "log_dir", .kind = BT_FLAG_STRING},
};

size_t flag_count(const bt_flag_table *table) {
    return table->n_defs + table->n_shared + BT_ARRAY_LEN(common);
}

const bt_flag_def *flag_at(const bt_flag_table *table, size_t i) {
    if (i < table->n_defs) {
        return &table->defs[i];
    }
    i -= table->n_defs;
    return i < table->n_shared ? &table->shared[i] : &common[i - table->n_shared];
}
