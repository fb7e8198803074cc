/* SPDX-License-Identifier: Apache-2.0
 *
 * Which checkpoint of a folder a run goes on from: the one that `checkpoint` names, when it is
 * whole; else the newest whole one before it, never none in silence. Nothing is written here. */
#include "bt/base/alloc.h"
#include "bt/wire/bundle.h"
#include "ckpt_folder.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct chooser {
    const char      *folder;
    const char      *family;
    bool             numbers_are_steps;
    bt_ckpt_check_fn check;
    void            *context;
    ckpt_state_file  file;
    bt_fs_names      listing;
    char            *named; /* what the state file names, as a path; or NULL */
    size_t           n_damaged;
    bt_error         first_problem; /* of the first damaged one */
    char             first_name[BT_CKPT_PATH_MAX];
    bt_ckpt_choice  *out;
} chooser;

void bt_ckpt_choice_deinit(bt_ckpt_choice *choice) {
    bt_free(choice->prefix);
    bt_str_deinit(&choice->why);
    *choice = (bt_ckpt_choice){0};
}

static bt_status check_once(const chooser *c, const char *prefix, int64_t *step, bt_error *err) {
    *step = -1;
    return c->check(c->context, prefix, step, err);
}

/* *good false: damaged, and why is in c. What could not be read is read once more: a fault that
 * passes must not cost a checkpoint. Other errors (memory, the way to a store, another model) are
 * not damage. */
static bt_status look_at(chooser *c, const char *prefix, int64_t *step, bool *good, bt_error *err) {
    bt_error  problem = BT_ERROR_INIT;
    bt_status rc = check_once(c, prefix, step, &problem);
    if (rc == BT_E_IO) {
        rc = check_once(c, prefix, step, &problem);
    }
    *good = rc == BT_OK;
    if (rc == BT_OK) {
        return BT_OK;
    }
    if (rc != BT_E_FORMAT && rc != BT_E_IO) {
        if (err != NULL) {
            *err = problem;
        }
        return rc;
    }
    if (c->n_damaged++ == 0) {
        c->first_problem = problem;
        (void)snprintf(c->first_name, sizeof c->first_name, "%s", bt_fs_basename(prefix));
    }
    return BT_OK;
}

static bt_status take(chooser *c, const char *prefix, int64_t step, bt_error *err) {
    c->out->prefix = bt_strdup(prefix);
    c->out->step = step;
    return c->out->prefix != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
}

/* A checkpoint whose name says another step than it holds is a copy that somebody made: taken only
 * when there is nothing else. */
static bt_status try_number(chooser *c, int64_t number, int64_t *copy, bt_error *err) {
    bt_status rc = BT_OK;
    char     *prefix = NULL;
    bt_str    name = BT_STR_INIT;
    bool      good = false;
    int64_t   step = -1;
    BT_CHECK(bt_str_appendf(&name, err, "%s-%" PRId64, c->family, number));
    BT_CHECK(bt_fs_join(c->folder, bt_str_text(&name), &prefix, err));
    BT_CHECK(look_at(c, prefix, &step, &good, err));
    if (!good) {
        goto done;
    }
    if (c->numbers_are_steps && step >= 0 && step != number) {
        *copy = *copy < 0 ? number : *copy;
        goto done;
    }
    rc = take(c, prefix, step, err);
done:
    bt_free(prefix);
    bt_str_deinit(&name);
    return rc;
}

/* The newest whole one with a number below limit. */
static bt_status take_newest(chooser *c, int64_t limit, bt_error *err) {
    int64_t  *numbers = NULL;
    size_t    n = 0;
    int64_t   copy = -1;
    bt_status rc = ckpt_list_numbers(&c->listing, c->family, true, &numbers, &n, err);
    for (size_t i = 0; rc == BT_OK && i < n && c->out->prefix == NULL; i++) {
        if (numbers[i] < limit) {
            rc = try_number(c, numbers[i], &copy, err);
        }
    }
    if (rc == BT_OK && c->out->prefix == NULL && copy >= 0) {
        const bool are_steps = c->numbers_are_steps;
        c->numbers_are_steps = false;
        rc = try_number(c, copy, &copy, err);
        c->numbers_are_steps = are_steps;
    }
    bt_free(numbers);
    return rc;
}

static bt_status say_why(const chooser *c, bt_error *err) {
    bt_str *const     why = &c->out->why;
    const char *const taken = bt_fs_basename(c->out->prefix);
    switch (c->file.kind) {
    case CKPT_STATE_MISSING:
        BT_TRY(bt_str_appendf(why, err, "%s has no file `checkpoint`", c->folder));
        break;
    case CKPT_STATE_EMPTY:
        BT_TRY(bt_str_appendf(why, err, "%s/checkpoint names no checkpoint", c->folder));
        break;
    case CKPT_STATE_UNREADABLE:
        BT_TRY(bt_str_appendf(why, err, "%s/checkpoint cannot be used (%s)", c->folder,
                              c->file.problem.msg));
        break;
    case CKPT_STATE_NAMES:
        BT_TRY(bt_str_appendf(why, err, "%s/checkpoint names %s, which cannot be used (%s)",
                              c->folder, bt_fs_basename(c->named), c->first_problem.msg));
        return bt_str_appendf(why, err, ": %s, the newest whole one before it, is taken", taken);
    }
    if (c->n_damaged > 0) {
        BT_TRY(bt_str_appendf(why, err, ", and %s cannot be used (%s)", c->first_name,
                              c->first_problem.msg));
    }
    return bt_str_appendf(why, err, ": %s, the newest whole checkpoint there, is taken", taken);
}

static bt_status fail_none(const chooser *c, bt_error *err) {
    return BT_FAIL(err, BT_E_FORMAT,
                   "%s: %zu checkpoint%s there, and none can be used (%.200s: %.500s): bring the "
                   "files back from a copy, or use another folder; to start over move the "
                   "checkpoints and the file `checkpoint` away",
                   c->folder, c->n_damaged, c->n_damaged == 1 ? "" : "s", c->first_name,
                   c->first_problem.msg);
}

/* Nothing has an index. Shards of one checkpoint are what a kill in the first save leaves; of
 * several, what is left of checkpoints that lost their indexes. */
static bt_status consider_shards(const chooser *c, bt_error *err) {
    int64_t *numbers = NULL;
    size_t   n = 0;
    BT_TRY(ckpt_list_numbers(&c->listing, c->family, false, &numbers, &n, err));
    bt_status rc = BT_OK;
    if (n > 1) {
        rc = BT_FAIL(err, BT_E_FORMAT,
                     "%s: data files of %zu checkpoints (%s-%" PRId64 " ...) and no *.index: bring "
                     "the indexes back from a copy, or use another folder; to start over move the "
                     "files away",
                     c->folder, n, c->family, numbers[0]);
    } else if (n == 1) {
        rc = bt_str_appendf(
            &c->out->why, err,
            "%s/%s-%" PRId64
            " has no index: a first save that did not finish; there is no checkpoint to go on from",
            c->folder, c->family, numbers[0]);
    }
    bt_free(numbers);
    return rc;
}

/* What `checkpoint` names by now is another one than it was. */
static bt_status read_anew(chooser *c, bool *is_other, bt_error *err) {
    ckpt_state_file now = {0};
    BT_TRY(ckpt_read_state_file(c->folder, &now, err));
    *is_other = now.kind == CKPT_STATE_NAMES && strcmp(now.state.latest, c->file.state.latest) != 0;
    if (*is_other) {
        const ckpt_state_file before = c->file;
        c->file = now;
        now = before;
        c->n_damaged = 0;
    }
    ckpt_state_file_deinit(&now);
    return BT_OK;
}

/* A training beside this process takes away what was named when it names the next: between reading
 * the name and the files there is time. */
static bt_status look_at_named(chooser *c, int64_t *step, bool *good, bt_error *err) {
    for (bool is_other = true; is_other && !*good;) {
        bt_free(c->named);
        c->named = NULL;
        BT_TRY(ckpt_absolute(c->folder, c->file.state.latest, &c->named, err));
        BT_TRY(look_at(c, c->named, step, good, err));
        if (!*good) {
            BT_TRY(read_anew(c, &is_other, err));
        }
    }
    return BT_OK;
}

static bt_status choose(chooser *c, bt_error *err) {
    int64_t limit = INT64_MAX;
    bool    good = false;
    int64_t step = -1;
    BT_TRY(ckpt_read_state_file(c->folder, &c->file, err));
    if (c->file.kind == CKPT_STATE_NAMES) {
        BT_TRY(look_at_named(c, &step, &good, err));
        if (good) {
            return take(c, c->named, step, err);
        }
        (void)ckpt_parse_name(c->file.state.latest, c->family, &limit);
    }
    BT_TRY(ckpt_list(c->folder, &c->listing, err));
    BT_TRY(take_newest(c, limit, err));
    if (c->out->prefix != NULL) {
        return say_why(c, err);
    }
    if (c->n_damaged > 0) {
        return fail_none(c, err);
    }
    if (c->file.kind == CKPT_STATE_UNREADABLE) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s/checkpoint cannot be used (%s), and there is no checkpoint beside it: "
                       "bring the files back from a copy, or remove that file to start over",
                       c->folder, c->file.problem.msg);
    }
    return consider_shards(c, err);
}

bt_status bt_ckpt_choose(const char *folder, const char *family, bool numbers_are_steps,
                         bt_ckpt_check_fn check, void *context, bt_ckpt_choice *out,
                         bt_error *err) {
    chooser c = {.folder = folder,
                 .family = family,
                 .numbers_are_steps = numbers_are_steps,
                 .check = check,
                 .context = context,
                 .first_problem = BT_ERROR_INIT,
                 .out = out};
    *out = (bt_ckpt_choice){.step = -1};
    const bt_status rc = choose(&c, err);
    out->is_fallback = rc == BT_OK && out->prefix != NULL && out->why.len > 0;
    if (rc != BT_OK) {
        bt_ckpt_choice_deinit(out);
    }
    ckpt_state_file_deinit(&c.file);
    bt_fs_names_deinit(&c.listing);
    bt_free(c.named);
    return rc;
}

static bt_status read_step(bt_ckpt *ckpt, int64_t *step, bt_error *err) {
    bool found = false;
    BT_TRY(bt_ckpt_read_scalar(ckpt, "global_step", step, &found, err));
    *step = found ? *step : -1;
    return BT_OK;
}

/* The shards are there and long enough; the values' checksums are for whoever reads them. */
static bt_status check_shards(const char *prefix, bt_error *err) {
    bt_bundle *bundle = NULL;
    bt_status  rc = bt_bundle_open(prefix, &bundle, err);
    if (rc == BT_OK) {
        rc = bt_bundle_check_files(bundle, err);
    }
    bt_bundle_close(bundle);
    return rc;
}

bt_status bt_ckpt_check_files(void *context, const char *prefix, int64_t *step, bt_error *err) {
    bt_ckpt *ckpt = NULL;
    (void)context;
    BT_TRY(check_shards(prefix, err));
    BT_TRY(bt_ckpt_open(prefix, &ckpt, err));
    const bt_status rc = read_step(ckpt, step, err);
    bt_ckpt_close(ckpt);
    return rc;
}

bt_status bt_ckpt_check_values(void *context, const char *prefix, int64_t *step, bt_error *err) {
    bt_status rc = BT_OK;
    bt_ckpt  *ckpt = NULL;
    (void)context;
    BT_CHECK(bt_ckpt_open(prefix, &ckpt, err));
    BT_CHECK(bt_ckpt_verify(ckpt, err));
    BT_CHECK(read_step(ckpt, step, err));
done:
    bt_ckpt_close(ckpt);
    return rc;
}

static bt_status find_latest(const char *folder, const ckpt_state_file *file, char **prefix,
                             bt_error *err) {
    if (file->kind == CKPT_STATE_UNREADABLE) {
        if (err != NULL) {
            *err = file->problem;
        }
        return file->problem.code;
    }
    if (file->kind != CKPT_STATE_NAMES) {
        return BT_OK;
    }
    char *path = NULL;
    BT_TRY(ckpt_absolute(folder, file->state.latest, &path, err));
    const bt_status rc = check_shards(path, err);
    if (rc == BT_OK) {
        *prefix = path;
        return BT_OK;
    }
    bt_free(path);
    return bt_error_prefix(
        err,
        "%s/checkpoint names %s, which cannot be used: bring its files back, or name another "
        "checkpoint in that file",
        folder, bt_fs_basename(file->state.latest));
}

bt_status bt_ckpt_latest(const char *folder, char **prefix, bt_error *err) {
    ckpt_state_file file = {0};
    *prefix = NULL;
    BT_TRY(ckpt_read_state_file(folder, &file, err));
    const bt_status rc = find_latest(folder, &file, prefix, err);
    ckpt_state_file_deinit(&file);
    return rc;
}
