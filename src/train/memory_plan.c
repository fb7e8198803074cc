/* SPDX-License-Identifier: Apache-2.0
 *
 * What the run will take of the machine's memory, said before the first step: a batch that does not
 * fit should be known then, not when the rows happen to be long. */
#include <stdio.h>

#include "run.h"

enum { SIZE_TEXT = 32 };

/* "417.7 MiB"; returns out. */
static const char *size_text(char out[SIZE_TEXT], uint64_t n_bytes) {
    static const struct {
        double      size;
        const char *name;
    } units[] = {{0x1p40, "TiB"}, {0x1p30, "GiB"}, {0x1p20, "MiB"}, {0x1p10, "KiB"}};
    for (size_t i = 0; i < BT_ARRAY_LEN(units); i++) {
        if ((double)n_bytes >= units[i].size) {
            (void)snprintf(out, SIZE_TEXT, "%.1f %s", (double)n_bytes / units[i].size,
                           units[i].name);
            return out;
        }
    }
    (void)snprintf(out, SIZE_TEXT, "%" PRIu64 " bytes", n_bytes);
    return out;
}

static void say(const bt_exec_memory *m, uint64_t all) {
    char variables[SIZE_TEXT];
    char gradients[SIZE_TEXT];
    char slots[SIZE_TEXT];
    char activations[SIZE_TEXT];
    char scratch[SIZE_TEXT];
    char sum[SIZE_TEXT];
    char available[SIZE_TEXT];
    char largest[96] = "";
    if (m->available != UINT64_MAX) {
        (void)snprintf(largest, sizeof largest, " of %s; %" PRId64 " such sequences would fit",
                       size_text(available, m->available), m->largest_seqs);
    }
    bt_log(BT_LOG_INFO,
           "memory: variables %s, gradients %s, slots %s, activations up to %s (%" PRId64
           " sequences of %" PRId64 " tokens), scratch %s: up to %s%s",
           size_text(variables, m->variables), size_text(gradients, m->gradients),
           size_text(slots, m->slots), size_text(activations, m->activations), m->n_seqs, m->length,
           size_text(scratch, m->scratch), size_text(sum, all), largest);
}

/* Rows are mostly shorter than seq_length, so what does not fit at the worst may never come. */
bt_status memory_plan(const train_run *run, bt_error *err) {
    const bt_data_config *const data = &run->config.train_data;
    const bool                  pairs = run->plan.head.loss == BT_LOSS_RANKING;
    const int64_t               n_seqs = data->global_batch_size * (pairs ? 2 : 1);
    const bt_exec_memory        m =
        bt_exec_plan_memory(run->exec, n_seqs, run->plan.train_schema.seq_length);
    const uint64_t all = m.variables + m.gradients + m.slots + m.activations + m.scratch;
    say(&m, all);
    if (m.largest_tokens < m.n_seqs) {
        char available[SIZE_TEXT];
        return BT_FAIL(err, BT_E_NOMEM,
                       "out of memory: not even sequences of one token fit into the %s that are "
                       "there, %" PRId64
                       " of them at a time: choose a smaller task.train_data.global_batch_size "
                       "(trainer.gradient_accumulation_steps makes one update of several batches)",
                       size_text(available, m.available), m.n_seqs);
    }
    if (m.largest_seqs < m.n_seqs) {
        bt_log(BT_LOG_WARNING,
               "%" PRId64 " sequences with more than %" PRId64
               " tokens together will be refused for want of memory; %" PRId64 " of %" PRId64
               " tokens would always fit (task.train_data.global_batch_size, with "
               "trainer.gradient_accumulation_steps for the same update%s)",
               m.n_seqs, m.largest_tokens, m.largest_seqs, m.length,
               run->config.recompute ? "" : "; runtime.recompute");
    }
    return BT_OK;
}
