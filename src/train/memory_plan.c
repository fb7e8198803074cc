/* SPDX-License-Identifier: Apache-2.0
 *
 * What the run will take of the machine's memory, said before the first step: a batch that does not
 * fit should be known then, not when the rows happen to be long. */
#include <inttypes.h>
#include <stdio.h>

#include "bt/base/log.h"
#include "run.h"

const char *run_size_text(char out[RUN_SIZE_TEXT], uint64_t n_bytes) {
    static const struct {
        double      size;
        const char *name;
    } units[] = {{0x1p40, "TiB"}, {0x1p30, "GiB"}, {0x1p20, "MiB"}, {0x1p10, "KiB"}};
    for (size_t i = 0; i < BT_ARRAY_LEN(units); i++) {
        if ((double)n_bytes >= units[i].size) {
            (void)snprintf(out, RUN_SIZE_TEXT, "%.1f %s", (double)n_bytes / units[i].size,
                           units[i].name);
            return out;
        }
    }
    (void)snprintf(out, RUN_SIZE_TEXT, "%" PRIu64 " bytes", n_bytes);
    return out;
}

/* copy: what saving takes beside, of the same memory; 0: nothing. */
static void say(const bt_exec_memory *m, uint64_t all, uint64_t copy) {
    char variables[RUN_SIZE_TEXT];
    char gradients[RUN_SIZE_TEXT];
    char slots[RUN_SIZE_TEXT];
    char activations[RUN_SIZE_TEXT];
    char scratch[RUN_SIZE_TEXT];
    char sum[RUN_SIZE_TEXT];
    char size[RUN_SIZE_TEXT];
    char saving[64] = "";
    char largest[96] = "";
    if (m->available != UINT64_MAX) {
        (void)snprintf(largest, sizeof largest, " of %s; %" PRId64 " such sequences would fit",
                       run_size_text(size, m->available + copy), m->largest_seqs);
    }
    if (copy > 0) {
        (void)snprintf(saving, sizeof saving, ", the copy that is saved %s",
                       run_size_text(size, copy));
    }
    bt_log(BT_LOG_INFO,
           "memory%s: variables %s, gradients %s, slots %s, activations up to %s (%" PRId64
           " sequences of %" PRId64 " tokens), scratch %s%s: up to %s%s",
           m->is_of_device ? " of each device" : "", run_size_text(variables, m->variables),
           run_size_text(gradients, m->gradients), run_size_text(slots, m->slots),
           run_size_text(activations, m->activations), m->n_seqs, m->length,
           run_size_text(scratch, m->scratch), saving, run_size_text(sum, all + copy), largest);
}

/* What a compiled program takes is not divided as ours would be. */
static void say_measured(const bt_exec_memory *m, uint64_t all) {
    char variables[RUN_SIZE_TEXT];
    char slots[RUN_SIZE_TEXT];
    char step[RUN_SIZE_TEXT];
    char sum[RUN_SIZE_TEXT];
    char size[RUN_SIZE_TEXT];
    bt_log(BT_LOG_INFO,
           "memory of each device: variables %s, slots %s, a step of %" PRId64
           " sequences of %" PRId64 " tokens %s as it was compiled: up to %s of %s",
           run_size_text(variables, m->variables), run_size_text(slots, m->slots), m->n_seqs,
           m->length, run_size_text(step, m->activations), run_size_text(sum, all),
           run_size_text(size, m->available));
}

/* Is there going to be a save that is not the run's last act? */
static bool saves_before_the_end(const train_run *run) {
    const int64_t end = run->config.train_steps;
    return checkpoints_are_on(run) &&
           (run->config.steps_per_loop < end || next_evaluation(run) < end);
}

/* Room for the copy beside the longest step, or saves between the steps. The copy is of this
 * process's memory, wherever the steps are made. */
static bt_status plan_saving(train_run *run, const bt_exec_memory *m, uint64_t *copy,
                             bt_error *err) {
    const uint64_t wanted = saves_before_the_end(run) ? saver_wanted_bytes(run) : 0;
    const uint64_t left = m->left_here;
    *copy = 0;
    if (wanted == 0) {
        return BT_OK;
    }
    if (wanted > left) {
        char size[RUN_SIZE_TEXT];
        char there[RUN_SIZE_TEXT];
        bt_log(BT_LOG_INFO,
               "checkpoints are written between the steps, not beside them: the copy of the state "
               "that this takes is %s, and %s are left",
               run_size_text(size, wanted), run_size_text(there, left));
        return BT_OK;
    }
    bt_exec_reserve_memory(run->exec, wanted);
    *copy = wanted;
    return saver_create(run, err);
}

static uint64_t sum(const bt_exec_memory *m) {
    return m->variables + m->gradients + m->slots + m->activations + m->scratch;
}

static bool is_of_pairs(const train_run *run) {
    return run->plan.head.loss == BT_LOSS_RANKING;
}

/* Devices are asked before the first step: one that has no room takes the state along. section:
 * whose batch it is. */
static bt_status refuse_on_devices(const train_run *run, const bt_exec_memory *m,
                                   const char *section, bt_error *err) {
    const bool    trains = bt_str_equal(section, "train_data");
    const int64_t largest = is_of_pairs(run) ? m->largest_seqs / 2 : m->largest_seqs;
    char          takes[RUN_SIZE_TEXT] = "more than there is";
    char          there[RUN_SIZE_TEXT];
    char          fits[128] = "not even one such sequence fits";
    if (m->activations < UINT64_MAX / 2) {
        (void)run_size_text(takes, sum(m));
    }
    if (largest > 0) {
        (void)snprintf(fits, sizeof fits,
                       "task.%s.global_batch_size=%" PRId64 " is the largest found to fit", section,
                       largest);
    }
    return BT_FAIL(
        err, BT_E_NOMEM,
        "out of memory on the device: %s with %" PRId64 " sequences of %" PRId64
        " tokens takes %s of the %s that programs may take of each device: %s%s%s%s",
        trains ? "a step" : "an evaluation", m->n_seqs, m->length, takes,
        run_size_text(there, m->available), fits,
        !trains || run->config.recompute ? "" : "; runtime.recompute=true takes less",
        !trains || run_config_precision(&run->config) != BT_PRECISION_F32
            ? ""
            : ", so does runtime.mixed_precision_dtype=bfloat16",
        trains ? " (trainer.gradient_accumulation_steps makes one update of several batches)" : "");
}

bt_status memory_check_evaluation(train_run *run, bt_error *err) {
    const bool            predicts = run->args->mode == BT_CONF_MODE_PREDICT;
    const bt_data_schema *schema =
        predicts ? &run->plan.prediction_schema : &run->plan.validation_schema;
    bt_exec_memory m;
    if (run->validation_data == NULL) {
        return BT_OK;
    }
    const int64_t n = run->config.validation_data.global_batch_size * (is_of_pairs(run) ? 2 : 1);
    BT_TRY(bt_exec_measure_evaluation(run->exec, n, schema->seq_length, &m, err));
    return m.is_measured && m.largest_seqs < m.n_seqs
               ? refuse_on_devices(run, &m, "validation_data", err)
               : BT_OK;
}

/* Rows are mostly shorter than seq_length, so what does not fit at the worst may never come. */
bt_status memory_plan(train_run *run, bt_error *err) {
    const bt_data_config *const data = &run->config.train_data;
    const bool                  pairs = run->plan.head.loss == BT_LOSS_RANKING;
    const int64_t               n_ranks = bt_comm_size(run->comm);
    const int64_t               n_rows = (data->global_batch_size + n_ranks - 1) / n_ranks;
    const int64_t               n_seqs = n_rows * (pairs ? 2 : 1);
    const int64_t               length = run->plan.train_schema.seq_length;
    bt_exec_memory              m = bt_exec_plan_memory(run->exec, n_seqs, length);
    uint64_t                    copy = 0;
    BT_TRY(plan_saving(run, &m, &copy, err));
    if (copy > 0) {
        m = bt_exec_plan_memory(run->exec, n_seqs, length); /* of what is left then */
    }
    BT_TRY(bt_exec_measure_memory(run->exec, &m, err));
    if (m.is_measured && m.largest_seqs < m.n_seqs) {
        return refuse_on_devices(run, &m, "train_data", err);
    }
    if (m.is_measured) {
        say_measured(&m, sum(&m));
        return BT_OK;
    }
    say(&m, sum(&m), m.is_of_device ? 0 : copy);
    if (m.largest_tokens < m.n_seqs) {
        char available[RUN_SIZE_TEXT];
        return BT_FAIL(err, BT_E_NOMEM,
                       "out of memory: not even sequences of one token fit into the %s that are "
                       "there, %" PRId64
                       " of them at a time: choose a smaller task.train_data.global_batch_size "
                       "(trainer.gradient_accumulation_steps makes one update of several batches)",
                       run_size_text(available, m.available), m.n_seqs);
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
