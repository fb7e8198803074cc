/* SPDX-License-Identifier: Apache-2.0
 *
 * The disk of model_dir before the first step: how much a checkpoint takes is known, so a run that
 * could not save one is refused, and one that could not keep all that it is to keep is told. */
#include "run.h"

#include <inttypes.h>
#include <stdio.h>

#include "bt/base/log.h"
#include "bt/fs.h"

/* Checkpoints that are on the disk together at the end, while the oldest of them is not removed
 * yet: at most max_to_keep + 1; UINT64_MAX: as many as are saved. */
static uint64_t n_kept(const train_run *run) {
    const bt_conf_opt_i64 keep = run->config.max_to_keep;
    const int64_t         interval = run->config.checkpoint_interval.value;
    const int64_t         n_saves = run->config.train_steps / interval + 1;
    const int64_t         n_max =
        keep.is_set && keep.value > 0 && keep.value < n_saves ? keep.value + 1 : n_saves;
    return (uint64_t)n_max;
}

static bt_status fail_full(const train_run *run, uint64_t one, uint64_t wanted, uint64_t n_free,
                           bt_error *err) {
    char size[RUN_SIZE_TEXT];
    char text[RUN_SIZE_TEXT];
    char both[96] = "";
    char there[RUN_SIZE_TEXT];
    if (wanted > one) {
        (void)snprintf(both, sizeof both, ", %s with the best one beside it",
                       run_size_text(text, wanted));
    }
    return BT_FAIL(err, BT_E_RESOURCE,
                   "no room in %s: a checkpoint takes %s%s, and %s are free there: make room, or "
                   "name another --model_dir",
                   run->args->model_dir, run_size_text(size, one), both,
                   run_size_text(there, n_free));
}

bt_status space_check(const train_run *run, int64_t step, bt_error *err) {
    const uint64_t one = saver_state_bytes(run);
    const bool     is_resumed = step >= 0; /* what it replaces is there already */
    const uint64_t n_best = best_is_on(run) && !is_resumed ? 1 : 0;
    uint64_t       n_free = 0;
    if (!bt_conf_mode_trains(run->args->mode) || !checkpoints_are_on(run) ||
        step >= run->config.train_steps || one == 0) {
        return BT_OK;
    }
    BT_TRY(bt_fs_free_bytes(run->args->model_dir, &n_free, err));
    if (n_free / one < 1 + n_best) {
        return fail_full(run, one, one * (1 + n_best), n_free, err);
    }
    if (!is_resumed && n_free / one < n_kept(run) + n_best) {
        char size[RUN_SIZE_TEXT];
        char there[RUN_SIZE_TEXT];
        bt_log(BT_LOG_WARNING,
               "%" PRIu64 " checkpoints of %s will be kept in %s%s, and %s are free there: the run "
               "will end with a full disk, unless room is made or trainer.max_to_keep lowered",
               n_kept(run), run_size_text(size, one), run->args->model_dir,
               n_best > 0 ? ", and the best one" : "", run_size_text(there, n_free));
    }
    return BT_OK;
}
