/* SPDX-License-Identifier: Apache-2.0
 *
 * The disk of model_dir before the first step: how much a checkpoint takes is known, so a run that
 * could not save one is refused, and one that could not keep all that it is to keep is told. */
#include "run_checks.h"

#include <inttypes.h>
#include <stdio.h>

#include "bt/base/log.h"
#include "bt/fs.h"

/* Checkpoints that are on the disk together at the end, while the oldest of them is not removed
 * yet: at most max_to_keep + 1; UINT64_MAX: as many as are saved. */
static uint64_t n_kept(const run_config *config) {
    const bt_conf_opt_i64 keep = config->max_to_keep;
    const int64_t         interval = config->checkpoint_interval.value;
    const int64_t         n_saves = config->train_steps / interval + 1;
    const int64_t         n_max =
        keep.is_set && keep.value > 0 && keep.value < n_saves ? keep.value + 1 : n_saves;
    return (uint64_t)n_max;
}

static bt_status fail_full(const char *folder, uint64_t one, uint64_t wanted, uint64_t n_free,
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
                   folder, run_size_text(size, one), both, run_size_text(there, n_free));
}

bt_status space_check(const char *folder, const run_config *config, uint64_t n_bytes, bool has_best,
                      int64_t step, bt_error *err) {
    const uint64_t one = n_bytes;
    const bool     is_resumed = step >= 0; /* what it replaces is there already */
    const uint64_t n_best = has_best && !is_resumed ? 1 : 0;
    uint64_t       n_free = 0;
    if (!run_config_saves(config) || step >= config->train_steps || one == 0) {
        return BT_OK;
    }
    BT_TRY(bt_fs_free_bytes(folder, &n_free, err));
    if (n_free / one < 1 + n_best) {
        return fail_full(folder, one, one * (1 + n_best), n_free, err);
    }
    if (!is_resumed && n_free / one < n_kept(config) + n_best) {
        char size[RUN_SIZE_TEXT];
        char there[RUN_SIZE_TEXT];
        bt_log(BT_LOG_WARNING,
               "%" PRIu64 " checkpoints of %s will be kept in %s%s, and %s are free there: the run "
               "will end with a full disk, unless room is made or trainer.max_to_keep lowered",
               n_kept(config), run_size_text(size, one), folder,
               n_best > 0 ? ", and the best one" : "", run_size_text(there, n_free));
    }
    return BT_OK;
}
