/* SPDX-License-Identifier: Apache-2.0
 *
 * What can be said of task.train_data and task.validation_data without looking at a file. Whoever
 * reads the sections (data_config.c) takes it for granted. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/str.h"
#include "data_internal.h"

#define TRAIN BT_CONF_TRAIN_DATA
#define VALIDATION BT_CONF_VALIDATION_DATA

/* Commas and spaces name nothing. */
static bool names_a_file(const bt_conf_str_list *list) {
    for (size_t i = 0; i < list->n; i++) {
        if (list->items[i][strspn(list->items[i], ", \t\r\n")] != '\0') {
            return true;
        }
    }
    return false;
}

/* Model Garden's word for batches that it makes up. */
static bt_status check_dummy(const bt_conf_check *c, const char *section) {
    char                   path[BT_CONF_PATH_MAX];
    const bt_conf_str_list list =
        bt_conf_peek_str_list(c->conf, bt_conf_join(section, "input_path", path));
    return list.n != 1 || strcmp(list.items[0], "dummy") != 0
               ? BT_OK
               : bt_conf_refuse(c->conf, c->errors, path, "'dummy'",
                                "synthetic batches are not supported; name a TFRecord "
                                "file (./dummy if that is one)",
                                c->err);
}

static bt_status check_input(const bt_conf_check *c, const char *section) {
    char       path[BT_CONF_PATH_MAX];
    const bool is_refused = /* by its own name */
        !bt_conf_peek_is_empty(c->conf, bt_conf_join(section, "tfds_name", path));
    const bt_conf_str_list list =
        bt_conf_peek_str_list(c->conf, bt_conf_join(section, "input_path", path));
    return names_a_file(&list) || is_refused
               ? BT_OK
               : bt_conf_check_missing(
                     c, path, "this is empty, and mode '%s' reads it: set it to the record files",
                     bt_conf_mode_name(c->mode));
}

static bt_status check_batch(const bt_conf_check *c, const char *section) {
    char    path[BT_CONF_PATH_MAX];
    int64_t batch = 1;
    return !bt_conf_peek_i64(c->conf, bt_conf_join(section, "global_batch_size", path), &batch) ||
                   batch >= 1
               ? BT_OK
               : bt_conf_check_fail(c, path, NULL, "a batch must hold at least 1 example, got 0");
}

static bt_status check_separators(const bt_conf_check *c, const char *section) {
    char              path[BT_CONF_PATH_MAX];
    bt_data_config    unused = {.section = section};
    const char       *key = NULL;
    const char *const delimiter =
        bt_conf_peek_str(c->conf, bt_conf_join(section, "delimiter", path));
    const char *const quote = bt_conf_peek_str(c->conf, bt_conf_join(section, "quote", path));
    const char *const problem = bt_data_set_separators(
        &unused, delimiter[0] != '\0' ? delimiter : NULL, quote[0] != '\0' ? quote : NULL, &key);
    return problem == NULL
               ? BT_OK
               : bt_conf_check_fail(c, bt_conf_join(section, key, path), NULL, "%s", problem);
}

static bool is_held_out(const bt_conf_check *c, const char *section) {
    char path[BT_CONF_PATH_MAX];
    return !bt_conf_peek_is_empty(c->conf, bt_conf_join(section, "held_out", path));
}

static bt_status check_share(const bt_conf_check *c, const char *section) {
    char   word[BT_CONF_PATH_MAX];
    char   path[BT_CONF_PATH_MAX];
    double share = 1;
    return !is_held_out(c, section) ||
                   !bt_conf_peek_f64(c->conf, bt_conf_join(section, "held_out_share", path),
                                     &share) ||
                   share > 0
               ? BT_OK
               : bt_conf_check_fail(c, path, bt_conf_join(section, "held_out", word),
                                    "held_out is set: expected a share above 0");
}

/* A part beyond the last one would have no rows. */
static bt_status check_fold(const bt_conf_check *c, const char *section) {
    char    word[BT_CONF_PATH_MAX];
    char    path[BT_CONF_PATH_MAX];
    double  share = 0;
    int64_t fold = 0;
    (void)bt_conf_peek_f64(c->conf, bt_conf_join(section, "held_out_share", path), &share);
    (void)bt_conf_peek_i64(c->conf, bt_conf_join(section, "held_out_fold", word), &fold);
    return !is_held_out(c, section) || fold == 0 || ((double)fold + 1) * share <= 1 + 1e-9
               ? BT_OK
               : bt_conf_check_fail(c, word, path,
                                    "a share of %g has the parts 0 to %d, and %" PRId64
                                    " is beyond",
                                    share, share > 0 ? (int)(1 / share + 1e-9) - 1 : 0, fold);
}

/* Rows held out of the training by one rule and evaluated by another would be both. */
static bt_status check_both_shares(const bt_conf_check *c) {
    double  share[2] = {0};
    int64_t seed[2] = {0};
    int64_t fold[2] = {0};
    if (!is_held_out(c, TRAIN) || !is_held_out(c, VALIDATION)) {
        return BT_OK;
    }
    (void)bt_conf_peek_f64(c->conf, TRAIN ".held_out_share", &share[0]);
    (void)bt_conf_peek_f64(c->conf, VALIDATION ".held_out_share", &share[1]);
    (void)bt_conf_peek_i64(c->conf, TRAIN ".held_out_seed", &seed[0]);
    (void)bt_conf_peek_i64(c->conf, VALIDATION ".held_out_seed", &seed[1]);
    (void)bt_conf_peek_i64(c->conf, TRAIN ".held_out_fold", &fold[0]);
    (void)bt_conf_peek_i64(c->conf, VALIDATION ".held_out_fold", &fold[1]);
    return share[0] == share[1] && seed[0] == seed[1] && fold[0] == fold[1]
               ? BT_OK
               : bt_conf_check_fail(
                     c, TRAIN ".held_out", VALIDATION ".held_out",
                     TRAIN " holds out a share of %g with seed %" PRId64 " and fold %" PRId64
                           ", " VALIDATION " %g with seed %" PRId64 " and fold %" PRId64
                           ": rows would be trained on and evaluated; set "
                           "held_out_share, held_out_seed and held_out_fold alike in both",
                     share[0], seed[0], fold[0], share[1], seed[1], fold[1]);
}

static bt_status check_section(const bt_conf_check *c, const char *section) {
    BT_TRY(check_dummy(c, section));
    if (!bt_conf_mode_reads(c->mode, section)) {
        return BT_OK;
    }
    BT_TRY(check_batch(c, section));
    BT_TRY(check_input(c, section));
    BT_TRY(check_share(c, section));
    BT_TRY(check_fold(c, section));
    return check_separators(c, section);
}

bt_status bt_data_check(const bt_conf_check *check) {
    BT_TRY(check_section(check, TRAIN));
    BT_TRY(check_section(check, VALIDATION));
    if (bt_conf_mode_reads(check->mode, TRAIN) && bt_conf_mode_reads(check->mode, VALIDATION)) {
        BT_TRY(check_both_shares(check));
    }
    return bt_conf_peek_is_empty(check->conf, VALIDATION ".epochs")
               ? BT_OK
               : bt_conf_check_fail(check, VALIDATION ".epochs", NULL,
                                    "epochs count in task.train_data only");
}
