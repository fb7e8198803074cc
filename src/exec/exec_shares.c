/* SPDX-License-Identifier: Apache-2.0
 *
 * How a batch is divided over devices or processes: into shares of neighbouring sequences. */
#include "exec_shared.h"

/* The first sequence after those from `first` on that have at most that many tokens together. */
static int64_t fill_share(const bt_batch *batch, int64_t first, int64_t most) {
    int64_t end = first;
    while (end < batch->n_seqs && batch->offsets[end + 1] - batch->offsets[first] <= most) {
        end++;
    }
    return end;
}

static bool fits(const bt_batch *batch, int32_t n_shares, int64_t most) {
    int64_t end = 0;
    for (int32_t i = 0; i < n_shares; i++) {
        end = fill_share(batch, end, most);
    }
    return end == batch->n_seqs;
}

/* The fewest tokens that the largest of the shares can have. */
static int64_t smallest_share(const bt_batch *batch, int32_t n_shares) {
    int64_t too_few = 0;
    int64_t enough = batch->n_tokens;
    while (enough - too_few > 1) {
        const int64_t middle = too_few + (enough - too_few) / 2;
        if (fits(batch, n_shares, middle)) {
            enough = middle;
        } else {
            too_few = middle;
        }
    }
    return enough;
}

exec_share exec_share_of(const bt_batch *batch, int32_t share, int32_t n_shares,
                         exec_division division) {
    const int64_t unit = division == EXEC_BY_PAIRS ? 2 : 1;
    exec_share    out = {0, 0};
    if (division != EXEC_BY_TOKENS) {
        return (exec_share){batch->n_seqs / unit * share / n_shares * unit,
                            batch->n_seqs / unit * (share + 1) / n_shares * unit};
    }
    const int64_t most = smallest_share(batch, n_shares);
    for (int32_t i = 0; i <= share; i++) {
        out = (exec_share){out.end, fill_share(batch, out.end, most)};
    }
    return out;
}
