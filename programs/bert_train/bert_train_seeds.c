/* SPDX-License-Identifier: Apache-2.0
 *
 * --seeds=1,2,5..8: the words of the flag, and the figures over all runs on stdout. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bert_train.h"
#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "bt/base/str.h"

/* More runs of one job than anybody waits for: a slip of the pen. */
enum { MAX_SEEDS = 1000, WORD_MAX = 64 };

static bt_status fail_word(const char *text, const char *word, bt_error *err) {
    return BT_FAIL(err, BT_E_CONFIG,
                   "--seeds=%.100s: '%s' is neither a number (0 or more) nor a range like 1..5",
                   text, word);
}

static bt_status add_seed(seed_list *list, size_t *cap, int64_t seed, bt_error *err) {
    for (size_t i = 0; i < list->n; i++) {
        if (list->items[i] == seed) {
            return BT_FAIL(err, BT_E_CONFIG, "--seeds: %" PRId64 " appears twice", seed);
        }
    }
    if (list->n == MAX_SEEDS) {
        return BT_FAIL(err, BT_E_CONFIG, "--seeds: more than %d seeds", MAX_SEEDS);
    }
    BT_TRY(bt_grow(&list->items, cap, list->n + 1, sizeof *list->items, MAX_SEEDS, err));
    list->items[list->n++] = seed;
    return BT_OK;
}

/* "7" or "5..8" */
static bt_status add_word(const char *text, char *word, seed_list *list, size_t *cap,
                          bt_error *err) {
    char *const dots = strstr(word, "..");
    int64_t     first = 0;
    int64_t     last = 0;
    if (dots != NULL) {
        *dots = '\0';
    }
    const bool is_number = bt_parse_i64(word, &first) &&
                           bt_parse_i64(dots != NULL ? dots + 2 : word, &last) && first >= 0;
    if (dots != NULL) {
        *dots = '.';
    }
    if (!is_number || last < first) {
        return fail_word(text, word, err);
    }
    if (last - first >= MAX_SEEDS) {
        return BT_FAIL(err, BT_E_CONFIG, "--seeds: '%s' is more than %d seeds", word, MAX_SEEDS);
    }
    for (int64_t seed = first; seed <= last; seed++) {
        BT_TRY(add_seed(list, cap, seed, err));
    }
    return BT_OK;
}

bt_status parse_seeds(const char *text, seed_list *out, bt_error *err) {
    bt_status rc = BT_OK;
    seed_list list = {0};
    size_t    cap = 0;
    for (const char *at = text;;) {
        char         word[WORD_MAX];
        const size_t n = strcspn(at, ",");
        (void)snprintf(word, sizeof word, "%.*s", (int)(n < WORD_MAX ? n : WORD_MAX), at);
        BT_CHECK(add_word(text, word, &list, &cap, err));
        if (at[n] == '\0') {
            break;
        }
        at += n + 1;
    }
    *out = list;
    list = (seed_list){0};
done:
    bt_free(list.items);
    return rc;
}

static bt_status print_spreads(const bt_train_seeds_summary *summary, size_t n_seeds,
                               bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    text = BT_STR_INIT;
    BT_CHECK(bt_str_appendf(&text, err, "seeds %zu\n", n_seeds));
    for (size_t i = 0; i < summary->n_values; i++) {
        char mean[BT_F64_TEXT_MAX];
        char stddev[BT_F64_TEXT_MAX];
        BT_CHECK(bt_str_appendf(&text, err, "%s %s %s\n", summary->values[i].name,
                                bt_f32_repr((float)summary->values[i].mean, mean),
                                bt_f32_repr((float)summary->values[i].stddev, stddev)));
    }
    if (summary->has_best) {
        BT_CHECK(bt_str_appendf(&text, err, "best_seed %" PRId64 "\n", summary->best_seed));
    }
    BT_CHECK(bt_cli_print(&text, BT_READER_NEEDS_ALL, err));
done:
    bt_str_deinit(&text);
    return rc;
}

bt_status run_seeds(const bt_train_args *args, const seed_list *seeds, bool prints,
                    bt_train_seeds_summary *summary, bt_error *err) {
    BT_TRY(bt_train_run_seeds(args, seeds->items, seeds->n, summary, err));
    return prints ? print_spreads(summary, seeds->n, err) : BT_OK;
}
