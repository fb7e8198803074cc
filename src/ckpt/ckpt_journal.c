/* SPDX-License-Identifier: Apache-2.0
 *
 * `checkpoint.journal`: what a save is about to write and to remove. It is on the disk before the
 * save begins and goes when the save is over, so where one is found, a save was killed, and what it
 * had begun is distinguished from what a user put there:
 *
 *     bert-train checkpoint journal 1
 *     state 2893452313
 *     writes ckpt-30
 *     removes ckpt-10
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/crc32c.h"
#include "bt/base/log.h"
#include "bt/base/number.h"
#include "ckpt_folder.h"

static const char   file_name[] = "checkpoint.journal";
static const char   first_line[] = "bert-train checkpoint journal 1";
static const size_t journal_max_bytes = (size_t)1 << 26;

void ckpt_journal_deinit(ckpt_journal *journal) {
    bt_free(journal->writes);
    bt_fs_names_deinit(&journal->removes);
    *journal = (ckpt_journal){0};
}

uint32_t ckpt_state_checksum(const ckpt_state_file *file) {
    return file->text == NULL ? 0 : bt_crc32c(1, file->text, file->n_bytes);
}

bt_status ckpt_journal_write(const char *folder, const ckpt_journal *journal, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    text = BT_STR_INIT;
    char     *path = NULL;
    BT_CHECK(bt_fs_join(folder, file_name, &path, err));
    BT_CHECK(bt_str_appendf(&text, err, "%s\nstate %" PRIu32 "\nwrites %s\n", first_line,
                            journal->state, journal->writes));
    for (size_t i = 0; i < journal->removes.n; i++) {
        BT_CHECK(bt_str_appendf(&text, err, "removes %s\n", journal->removes.items[i]));
    }
    BT_CHECK(bt_fs_replace(path, text.data, text.len, err));
done:
    bt_str_deinit(&text);
    bt_free(path);
    return rc;
}

bt_status ckpt_add_name(bt_fs_names *names, const char *name, bt_error *err) {
    BT_TRY(bt_grow(&names->items, &names->cap, names->n + 1, sizeof *names->items, SIZE_MAX / 64,
                   err));
    names->items[names->n] = bt_strdup(name);
    if (names->items[names->n] == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a name");
    }
    names->n++;
    return BT_OK;
}

/* "writes ckpt-30" -> "ckpt-30"; NULL: not that word, or no name that a run gives. */
static const char *name_behind(const char *line, const char *word) {
    const size_t n = strlen(word);
    return strncmp(line, word, n) == 0 && ckpt_parse_name(line + n, NULL, NULL) ? line + n : NULL;
}

static bt_status parse_line(const char *line, ckpt_journal *journal, bool *good, bt_error *err) {
    int64_t           number = 0;
    const char *const writes = name_behind(line, "writes ");
    const char *const removes = name_behind(line, "removes ");
    if (strncmp(line, "state ", 6) == 0 && bt_parse_i64(line + 6, &number) && number >= 0 &&
        number <= UINT32_MAX) {
        journal->state = (uint32_t)number;
    } else if (writes != NULL && journal->writes == NULL) {
        journal->writes = bt_strdup(writes);
        return journal->writes != NULL ? BT_OK
                                       : BT_FAIL(err, BT_E_NOMEM, "out of memory for a name");
    } else if (removes != NULL) {
        return ckpt_add_name(&journal->removes, removes, err);
    } else {
        *good = false;
    }
    return BT_OK;
}

/* text is cut at its lines. */
static bt_status parse(char *text, ckpt_journal *journal, bt_error *err) {
    bool  good = true;
    char *line = text;
    for (char *end = strchr(line, '\n'); end != NULL && good; end = strchr(line, '\n')) {
        *end = '\0';
        if (line == text) {
            good = strcmp(line, first_line) == 0;
        } else {
            BT_TRY(parse_line(line, journal, &good, err));
        }
        line = end + 1;
    }
    journal->found = good && *line == '\0' && journal->writes != NULL;
    return BT_OK;
}

bt_status ckpt_journal_read(const char *folder, ckpt_journal *journal, bt_error *err) {
    bt_status rc = BT_OK;
    char     *path = NULL;
    char     *text = NULL;
    size_t    n_bytes = 0;
    *journal = (ckpt_journal){0};
    BT_TRY(bt_fs_join(folder, file_name, &path, err));
    bt_fs_info info = {0};
    BT_CHECK(bt_fs_stat(path, &info, err));
    if (info.kind != BT_FS_FILE) {
        goto done;
    }
    BT_CHECK(bt_fs_read_all(path, journal_max_bytes, &text, &n_bytes, err));
    BT_CHECK(parse(text, journal, err));
    if (!journal->found) {
        bt_log(BT_LOG_WARNING, "%s: no journal of ours, so nothing is done by it: removed", path);
        ckpt_journal_deinit(journal);
        BT_CHECK(bt_fs_remove(path, err));
    }
done:
    bt_free(path);
    bt_free(text);
    if (rc != BT_OK) {
        ckpt_journal_deinit(journal);
    }
    return rc;
}

bt_status ckpt_journal_remove(const char *folder, bt_error *err) {
    char *path = NULL;
    BT_TRY(bt_fs_join(folder, file_name, &path, err));
    const bt_status rc = bt_fs_remove(path, err);
    bt_free(path);
    return rc;
}
