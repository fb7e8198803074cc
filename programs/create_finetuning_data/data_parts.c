/* SPDX-License-Identifier: Apache-2.0
 *
 * See data_parts.h. */
#include "data_parts.h"
#include "bt/base/alloc.h"
#include "bt/base/log.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const char *const        data_split_names[DATA_N_SPLITS] = {"train", "eval", "test"};
static const char *const path_flag_names[DATA_N_SPLITS] = {
    "train_data_output_path", "eval_data_output_path", "test_data_output_path"};

const char *data_path_flag(const bt_flags *flags, const char *name) {
    const char *const path = bt_flags_string(flags, name);
    return path == NULL || *path == '\0' ? NULL : path;
}

bool data_uses_language(const data_job *job, const char *language) {
    const char  *at = data_path_flag(job->flags, "languages");
    const size_t n = strlen(language);
    if (at == NULL) {
        return true;
    }
    for (; *at != '\0'; at += strspn(at, ", ")) {
        const size_t n_name = strcspn(at, ", ");
        if (n_name == n && memcmp(at, language, n) == 0) {
            return true;
        }
        at += n_name;
    }
    return false;
}

/* Paths with a place for the language. */

/* Python's format() with one argument: {} and {0} are the language, {{ and }} are braces. */
static bt_status expand(const char *pattern, const char *language, bt_str *out, bool *has_place,
                        bt_error *err) {
    *has_place = false;
    for (const char *at = pattern; *at != '\0';) {
        const bool is_place = bt_str_starts_with(at, "{}") || bt_str_starts_with(at, "{0}");
        if (is_place) {
            BT_TRY(bt_str_append(out, language, err));
            at = strchr(at, '}') + 1;
            *has_place = true;
        } else if ((*at == '{' || *at == '}') && at[1] != at[0]) {
            return BT_FAIL(err, BT_E_CONFIG,
                           "'%s': '%c' stands alone; {} is the place of the language, {{ and }} "
                           "are braces",
                           pattern, *at);
        } else {
            BT_TRY(bt_str_append_char(out, *at, err));
            at += *at == '{' || *at == '}' ? 2 : 1;
        }
    }
    return BT_OK;
}

static bt_status copy_text(char **out, const char *text, bt_error *err) {
    *out = bt_strdup(text);
    return *out == NULL ? BT_FAIL(err, BT_E_NOMEM, "out of memory for '%s'", text) : BT_OK;
}

static void close_source(data_part *part) {
    if (part->source.close != NULL) {
        part->source.close(part->source.state);
    }
    part->source = (example_source){0};
}

static void part_deinit(data_part *part) {
    for (size_t i = 0; i < part->n_inputs; i++) {
        bt_free(part->inputs[i]);
    }
    bt_free(part->inputs);
    bt_free(part->language);
    bt_free(part->name);
    bt_free(part->path);
}

void data_free_parts(data_job *job) {
    for (size_t i = 0; i < job->n_parts; i++) {
        part_deinit(&job->parts[i]);
    }
    bt_free(job->parts);
    job->parts = NULL;
    job->n_parts = 0;
    job->parts_cap = 0;
}

bt_status data_add_part_at(data_job *job, int split, const char *language, const char *path,
                           data_part **part, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    name = BT_STR_INIT;
    data_part made = {.split = split};
    BT_CHECK(copy_text(&made.path, path, err));
    if (language != NULL) {
        BT_CHECK(copy_text(&made.language, language, err));
    }
    BT_CHECK(bt_str_appendf(&name, err, "%s%s%s", data_split_names[split],
                            language == NULL ? "" : " ", language == NULL ? "" : language));
    BT_CHECK(bt_grow(&job->parts, &job->parts_cap, job->n_parts + 1, sizeof *job->parts,
                     OUTPUT_SET_MAX, err));
    made.name = bt_str_take(&name);
    *part = &job->parts[job->n_parts++];
    **part = made;
    made = (data_part){0};
done:
    bt_str_deinit(&name);
    part_deinit(&made);
    return rc;
}

static bool has_part(const data_job *job, int split) {
    for (size_t i = 0; i < job->n_parts; i++) {
        if (job->parts[i].split == split) {
            return true;
        }
    }
    return false;
}

bt_status data_add_part(data_job *job, int split, const char *language, data_part **part,
                        bt_error *err) {
    const char *const pattern = job->paths[split];
    if (language == NULL) {
        return data_add_part_at(job, split, NULL, pattern, part, err);
    }
    bt_str    path = BT_STR_INIT;
    bool      has_place = false;
    bt_status rc = expand(pattern, language, &path, &has_place, err);
    if (rc != BT_OK) {
        rc = bt_error_prefix(err, "--%s", path_flag_names[split]);
        goto done;
    }
    if (!has_place && has_part(job, split)) {
        rc = BT_FAIL(err, BT_E_CONFIG,
                     "--%s=%s: there is a file for each language; put {} where its name goes, or "
                     "name one language with --languages",
                     path_flag_names[split], pattern);
        goto done;
    }
    rc = data_add_part_at(job, split, language, bt_str_text(&path), part, err);
done:
    bt_str_deinit(&path);
    return rc;
}

/* Takes path over, also when it fails. */
static bt_status keep_input(data_part *part, char *path, bt_error *err) {
    const bt_status rc = bt_grow(&part->inputs, &part->inputs_cap, part->n_inputs + 1,
                                 sizeof *part->inputs, SIZE_MAX / 64, err);
    if (rc != BT_OK) {
        bt_free(path);
        return rc;
    }
    part->inputs[part->n_inputs++] = path;
    return BT_OK;
}

bt_status data_add_input(data_part *part, const char *folder, const char *name,
                         const char *language, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    relative = BT_STR_INIT;
    char     *path = NULL;
    bool      ignored = false;
    BT_CHECK(expand(name, language == NULL ? "" : language, &relative, &ignored, err));
    BT_CHECK(bt_fs_join(folder, bt_str_text(&relative), &path, err));
    if (part->language != NULL && !bt_fs_exists(path)) {
        rc = BT_FAIL(err, BT_E_IO,
                     "%s: no such file; --languages names the languages whose files are there",
                     path);
        goto done;
    }
    BT_CHECK(bt_fs_require_file(path, NULL, err));
    rc = keep_input(part, path, err);
    path = NULL;
done:
    bt_free(path);
    bt_str_deinit(&relative);
    return rc;
}

bt_status data_find_file(const char *folder, const char *name, char found[DATA_NAME_BYTES],
                         bool *is_there, bt_error *err) {
    static const char *const packings[] = {"", ".gz", ".bz2", ".xz", ".zst", ".zip"};
    *is_there = false;
    for (size_t i = 0; i < BT_ARRAY_LEN(packings) && !*is_there; i++) {
        char *path = NULL;
        (void)snprintf(found, DATA_NAME_BYTES, "%s%s", name, packings[i]);
        BT_TRY(bt_fs_join(folder, found, &path, err));
        *is_there = bt_fs_exists(path);
        bt_free(path);
    }
    return BT_OK;
}

bt_status data_add_input_folder(data_part *part, const char *folder, const char *name,
                                bt_error *err) {
    bt_status rc = BT_OK;
    char     *path = NULL;
    BT_CHECK(bt_fs_join(folder, name, &path, err));
    BT_CHECK(bt_fs_require_folder(path, err));
    rc = keep_input(part, path, err);
    path = NULL;
done:
    bt_free(path);
    return rc;
}

static bool is_same_file(const char *a, const char *b) {
    struct stat of_a;
    struct stat of_b;
    return stat(a, &of_a) == 0 && S_ISREG(of_a.st_mode) && stat(b, &of_b) == 0 &&
           of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

/* An output that is an input would be gone when the run is done. */
static bt_status check_output(const data_job *job, const char *path, bt_error *err) {
    if (!bt_fs_exists(path)) {
        return BT_OK;
    }
    for (size_t i = 0; i < job->n_parts; i++) {
        for (size_t k = 0; k < job->parts[i].n_inputs; k++) {
            if (is_same_file(path, job->parts[i].inputs[k])) {
                return BT_FAIL(err, BT_E_CONFIG, "output %s is an input, too (%s)", path,
                               job->parts[i].inputs[k]);
            }
        }
    }
    return BT_OK;
}

static bt_status write_part(const data_job *job, data_part *part, const example_settings *common,
                            bt_error *err) {
    example_settings settings = *common;
    settings.tokenizer = job->tokenizer;
    settings.pool = job->pool;
    settings.max_seq_length = job->max_seq_length;
    settings.what = part->name;
    const bt_status rc =
        write_examples(&settings, &part->source, part->writer, &part->n_records, err);
    close_source(part);
    return rc;
}

/* A file without rows among others of its split is told; a split without any is not data. */
static bt_status check_sizes(const data_job *job, bt_error *err) {
    for (size_t i = 0; i < job->n_parts; i++) {
        const data_part *const part = &job->parts[i];
        const char *const      from = part->n_inputs == 1 ? part->inputs[0] : "the inputs";
        if (part->n_records > 0) {
            continue;
        }
        if (data_split_records(job, part->split) == 0) {
            return BT_FAIL(err, BT_E_FORMAT, "%s: %s: there are no rows of data", part->name, from);
        }
        bt_log(BT_LOG_WARNING, "%s: no rows in %s: %s is empty", part->name, from, part->path);
    }
    return BT_OK;
}

bt_status data_write_parts(data_job *job, const example_settings *settings, data_part_open open,
                           const void *context, bt_error *err) {
    bt_status rc = BT_OK;
    BT_CHECK(check_output(job, bt_flags_string(job->flags, "meta_data_file_path"), err));
    for (size_t i = 0; i < job->n_parts; i++) {
        BT_CHECK(check_output(job, job->parts[i].path, err));
    }
    for (size_t i = 0; i < job->n_parts; i++) {
        data_part *const part = &job->parts[i];
        BT_CHECK(open(job, part, context, &part->source, err));
    }
    for (size_t i = 0; i < job->n_parts; i++) {
        data_part *const part = &job->parts[i];
        BT_CHECK(output_set_add(&job->outputs, part->path, &part->writer, err));
    }
    for (size_t i = 0; i < job->n_parts; i++) {
        BT_CHECK(write_part(job, &job->parts[i], settings, err));
    }
    rc = check_sizes(job, err);
done:
    for (size_t i = 0; i < job->n_parts; i++) {
        close_source(&job->parts[i]);
    }
    return rc;
}

int64_t data_split_records(const data_job *job, int split) {
    int64_t n = 0;
    for (size_t i = 0; i < job->n_parts; i++) {
        n += job->parts[i].split == split ? job->parts[i].n_records : 0;
    }
    return n;
}
