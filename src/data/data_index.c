/* SPDX-License-Identifier: Apache-2.0
 *
 * The file of an index: header, facts, places of rows, names of rows, each with its crc32c, checked
 * before anything of it is used. It lies beside the data, or where that folder cannot be written,
 * in the user's cache. It appears whole; several processes may write it, and the last one stays.
 * The facts begin with the question: one that answers another question under the same name is not
 * used. */
#include "data_index.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/crc32c.h"
#include "bt/base/log.h"
#include "bt/base/number.h"

enum { HEADER_BYTES = 72, BLOCK_BYTES = 1 << 18, MAX_FACTS_BYTES = 1 << 28, HEX_MAX = 17 };
static const char    magic[8] = {'b', 't', 'i', 'n', 'd', 'e', 'x', '1'};
static const int64_t least_input_bytes = (int64_t)64 << 20;

/* "": none. */
static const char *variable(const char *name) {
    const char *const value = getenv(name);
    return value != NULL ? value : "";
}

static int64_t least_bytes(void) {
    int64_t n = 0;
    return bt_parse_i64(variable("BERT_TRAIN_INDEX_BYTES"), &n) ? n : least_input_bytes;
}

/* Where caches are; *out NULL: this user has none. */
static bt_status cache_folder(char **out, bt_error *err) {
    const char *const xdg = variable("XDG_CACHE_HOME");
    const char *const home = variable("HOME");
    bt_str            path = BT_STR_INIT;
    *out = NULL;
    if (xdg[0] != '/' && home[0] != '/') {
        return BT_OK;
    }
    BT_TRY(xdg[0] == '/' ? bt_str_appendf(&path, err, "%s/bert-train/index", xdg)
                         : bt_str_appendf(&path, err, "%s/.cache/bert-train/index", home));
    *out = bt_str_take(&path);
    return BT_OK;
}

/* "FOLDER/.NAME.bert-index-0123456789abcdef" of FOLDER/NAME. */
static bt_status name_beside(const char *path, const char *hex, char **out, bt_error *err) {
    const char *const name = bt_fs_basename(path);
    bt_str            beside = BT_STR_INIT;
    BT_TRY(
        bt_str_appendf(&beside, err, "%.*s.%s.bert-index-%s", (int)(name - path), path, name, hex));
    *out = bt_str_take(&beside);
    return BT_OK;
}

static bt_status name_in(const char *folder, const char *hex, char **out, bt_error *err) {
    char name[HEX_MAX + 16];
    (void)snprintf(name, sizeof name, "%s.bert-index", hex);
    return bt_fs_join(folder, name, out, err);
}

bt_status data_index_init(data_index *index, const bt_data_config *config, const data_rows *rows,
                          int64_t n_bytes, bt_str *question, bt_error *err) {
    bt_status         rc = BT_OK;
    char             *cache = NULL;
    char              hex[HEX_MAX];
    const char *const wish = config->index;
    if (wish == NULL || bt_str_equal(wish, "none") || n_bytes < least_bytes()) {
        return BT_OK;
    }
    (void)snprintf(hex, sizeof hex, "%016" PRIx64,
                   data_name_add(0, bt_str_text(question), question->len));
    if (!bt_str_equal(wish, "auto")) {
        BT_CHECK(name_in(wish, hex, &index->beside, err));
    } else {
        BT_CHECK(cache_folder(&cache, err));
        if (!bt_fs_is_remote(rows->parts[0].path)) {
            BT_CHECK(name_beside(rows->parts[0].path, hex, &index->beside, err));
        }
        if (cache != NULL) {
            BT_CHECK(name_in(cache, hex, &index->cached, err));
        }
    }
    index->section = config->section;
    index->may_write = !config->index_is_fixed;
    index->question = *question;
    *question = (bt_str)BT_STR_INIT;
done:
    bt_free(cache);
    return rc;
}

bool data_index_is_used(const data_index *index) {
    return index->beside != NULL || index->cached != NULL;
}

void data_index_deinit(data_index *index) {
    bt_free(index->beside);
    bt_free(index->cached);
    bt_str_deinit(&index->question);
    *index = (data_index){0};
}

/* Reading. */

void data_index_file_deinit(data_index_file *file) {
    bt_fs_close(file->file);
    bt_str_deinit(&file->facts);
    *file = (data_index_file){0};
}

static bt_status fail_damaged(const data_index_file *index, const char *what, bt_error *err) {
    return BT_FAIL(err, BT_E_FORMAT, "%s: %s", bt_fs_path(index->file), what);
}

/* crc32c of the bytes [begin, end). */
static bt_status sum_range(const bt_file *file, int64_t begin, int64_t end, uint32_t *crc,
                           bt_error *err) {
    bt_status   rc = BT_OK;
    char *const block = bt_alloc(BLOCK_BYTES);
    *crc = 0;
    if (block == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot read %s", bt_fs_path(file));
    }
    while (begin < end) {
        const size_t n = end - begin < BLOCK_BYTES ? (size_t)(end - begin) : BLOCK_BYTES;
        BT_CHECK(bt_fs_read_at(file, begin, block, n, err));
        *crc = bt_crc32c(*crc, block, n);
        begin += (int64_t)n;
    }
done:
    bt_free(block);
    return rc;
}

/* The numbers of the header, none of which can make a sum overflow. */
static bool take_header(data_index_file *out, const uint8_t header[HEADER_BYTES], int64_t size,
                        int64_t *n_facts) {
    bt_reader     r = bt_reader_make(header + sizeof magic, HEADER_BYTES - sizeof magic);
    const int64_t rest = size - HEADER_BYTES;
    return data_index_take(&r, 0, INT64_MAX / 64, &out->n_rows) &&
           data_index_take(&r, 0, INT64_MAX, &out->end) &&
           data_index_take(&r, 0, MAX_FACTS_BYTES, n_facts) &&
           data_index_take(&r, 0, rest, &out->n_group_bytes) &&
           data_index_take(&r, 0, rest, &out->n_distance_bytes) &&
           data_index_take(&r, 0, rest / 8, &out->n_names) && *n_facts <= rest &&
           (out->n_names == 0 || out->n_names == out->n_rows) &&
           out->n_group_bytes == (out->n_rows + DATA_PLACES_GROUP - 1) / DATA_PLACES_GROUP *
                                     DATA_PLACES_ENTRY_BYTES &&
           out->n_group_bytes <= rest - *n_facts &&
           out->n_distance_bytes <= rest - *n_facts - out->n_group_bytes &&
           8 * out->n_names == rest - *n_facts - out->n_group_bytes - out->n_distance_bytes;
}

static bt_status read_facts(data_index_file *out, int64_t n_facts, uint32_t crc, bt_error *err) {
    const size_t n = (size_t)n_facts;
    BT_TRY(bt_grow(&out->facts.data, &out->facts.cap, n + 1, 1, MAX_FACTS_BYTES + 1, err));
    BT_TRY(bt_fs_read_at(out->file, HEADER_BYTES, out->facts.data, n, err));
    out->facts.data[n] = '\0';
    out->facts.len = n;
    return bt_crc32c(0, out->facts.data, n) == crc
               ? BT_OK
               : fail_damaged(out, "its facts are damaged", err);
}

/* out->file is open. BT_E_FORMAT: it is damaged, or of another version. */
static bt_status read_index(data_index_file *out, bt_error *err) {
    const int64_t size = bt_fs_size(out->file);
    uint8_t       header[HEADER_BYTES];
    int64_t       n_facts = 0;
    uint32_t      crc = 0;
    if (size < HEADER_BYTES) {
        return fail_damaged(out, "it is cut", err);
    }
    BT_TRY(bt_fs_read_at(out->file, 0, header, sizeof header, err));
    if (memcmp(header, magic, sizeof magic) != 0) {
        return fail_damaged(out, "it is none of this version", err);
    }
    if (bt_crc32c(0, header, HEADER_BYTES - 4) != bt_load_u32le(header + HEADER_BYTES - 4) ||
        !take_header(out, header, size, &n_facts)) {
        return fail_damaged(out, "its first bytes are damaged, or it is cut", err);
    }
    BT_TRY(read_facts(out, n_facts, bt_load_u32le(header + HEADER_BYTES - 16), err));
    out->groups_at = HEADER_BYTES + n_facts;
    BT_TRY(sum_range(out->file, out->groups_at, size, &crc, err));
    out->crc = crc;
    return crc == bt_load_u32le(header + HEADER_BYTES - 12)
               ? BT_OK
               : fail_damaged(out, "its places of rows are damaged", err);
}

/* Takes the question off the facts. */
static bool is_answer(const data_index *index, data_index_file *file) {
    bt_reader    r = bt_reader_make(file->facts.data, file->facts.len);
    bt_text_span asked = {0};
    return data_index_take_text(&r, &asked) && asked.n_bytes == index->question.len &&
           memcmp(asked.text, bt_str_text(&index->question), asked.n_bytes) == 0;
}

static bt_status find_at(const data_index *index, const char *path, data_index_file *out,
                         bt_error *err) {
    bt_fs_info info = {0};
    bt_error   damage = BT_ERROR_INIT;
    if (path == NULL || bt_fs_stat(path, &info, NULL) != BT_OK || info.kind != BT_FS_FILE ||
        bt_fs_open(path, &out->file, NULL) != BT_OK) {
        return BT_OK;
    }
    const bt_status rc = read_index(out, &damage);
    if (rc == BT_OK && is_answer(index, out)) {
        return BT_OK;
    }
    data_index_file_deinit(out);
    if (rc == BT_E_FORMAT || rc == BT_E_IO) {
        bt_log(BT_LOG_WARNING, "%s: the index is not used, and is made again: %s", index->section,
               damage.msg);
        return BT_OK;
    }
    if (rc != BT_OK && err != NULL) {
        *err = damage;
    }
    return rc;
}

bt_status data_index_find(const data_index *index, data_index_file *out, bt_error *err) {
    *out = (data_index_file){0};
    BT_TRY(find_at(index, index->beside, out, err));
    if (out->file == NULL && index->cached != NULL) {
        char *folder = NULL;
        BT_TRY(bt_fs_parent(index->cached, &folder, err));
        const bool is_private = bt_fs_check_private_folder(folder, NULL) == BT_OK;
        bt_free(folder);
        return is_private ? find_at(index, index->cached, out, err) : BT_OK;
    }
    return BT_OK;
}

void data_index_use(const data_index_file *file, data_places *places, data_names *names) {
    data_places_deinit(places);
    *places = (data_places){.n = file->n_rows,
                            .end = file->end,
                            .file = file->file,
                            .groups_at = file->groups_at,
                            .distances_at = file->groups_at + file->n_group_bytes,
                            .n_distance_bytes = file->n_distance_bytes,
                            .group = -1};
    data_names_deinit(names);
    names->n = (size_t)file->n_names;
    names->file = file->file;
    names->at = places->distances_at + file->n_distance_bytes;
}

bt_status data_index_use_kept(const data_index *index, const bt_str *facts, data_index_file *file,
                              data_places *places, data_names *names, bt_error *err) {
    BT_TRY(data_index_find(index, file, err));
    if (file->file != NULL && file->n_rows == places->n && file->facts.len == facts->len &&
        memcmp(file->facts.data, facts->data, facts->len) == 0) {
        data_index_use(file, places, names);
    } else {
        data_index_file_deinit(file);
    }
    bt_str_deinit(&file->facts);
    return BT_OK;
}

void data_index_tell_known(const data_index *index, const data_index_file *file) {
    bt_log(BT_LOG_INFO, "%s: where its %" PRId64 " rows are is known from %s", index->section,
           file->n_rows, bt_fs_path(file->file));
}

/* Writing. */

/* Names as the file has them; sums them, and where writer is there writes them. */
static bt_status put_names(const data_names *names, uint32_t *crc, bt_fs_writer *writer,
                           bt_error *err) {
    enum { BLOCK = 512 };
    uint64_t block[BLOCK];
    uint8_t  bytes[8 * BLOCK];
    for (size_t i = 0; i < names->n;) {
        const size_t n = names->n - i < BLOCK ? names->n - i : BLOCK;
        BT_TRY(data_names_read(names, i, n, block, err));
        for (size_t k = 0; k < n; k++) {
            bt_store_u64le(bytes + 8 * k, block[k]);
        }
        *crc = bt_crc32c(*crc, bytes, 8 * n);
        if (writer != NULL) {
            BT_TRY(bt_fs_writer_write(writer, bytes, 8 * n, err));
        }
        i += n;
    }
    return BT_OK;
}

/* What is written: places and names of memory, or what is behind the facts of another file. */
typedef struct index_content {
    const bt_str          *facts;
    const data_places     *places;
    const data_names      *names;
    const data_index_file *from;
} index_content;

static bt_status make_header(uint8_t header[HEADER_BYTES], const index_content *content,
                             bt_error *err) {
    const data_index_file *const from = content->from;
    const data_places *const     places = content->places;
    const int64_t                numbers[] = {from != NULL ? from->n_rows : places->n,
                               from != NULL ? from->end : places->end,
                               (int64_t)content->facts->len,
                               from != NULL ? from->n_group_bytes : (int64_t)places->groups.len,
                               from != NULL ? from->n_distance_bytes
                                            : (int64_t)places->distances.len,
                               from != NULL ? from->n_names : (int64_t)content->names->n};
    uint32_t crc = from != NULL ? from->crc : 0;
    if (from == NULL) {
        crc = bt_crc32c(0, bt_str_text(&places->groups), places->groups.len);
        crc = bt_crc32c(crc, bt_str_text(&places->distances), places->distances.len);
        BT_TRY(put_names(content->names, &crc, NULL, err));
    }
    memset(header, 0, HEADER_BYTES);
    memcpy(header, magic, sizeof magic);
    for (size_t i = 0; i < BT_ARRAY_LEN(numbers); i++) {
        bt_store_u64le(header + sizeof magic + 8 * i, (uint64_t)numbers[i]);
    }
    bt_store_u32le(header + HEADER_BYTES - 16,
                   bt_crc32c(0, content->facts->data, content->facts->len));
    bt_store_u32le(header + HEADER_BYTES - 12, crc);
    bt_store_u32le(header + HEADER_BYTES - 4, bt_crc32c(0, header, HEADER_BYTES - 4));
    return BT_OK;
}

static bt_status copy_rest(const data_index_file *from, bt_fs_writer *writer, bt_error *err) {
    const int64_t end = bt_fs_size(from->file);
    char          block[4096];
    for (int64_t at = from->groups_at; at < end;) {
        const size_t n = end - at < (int64_t)sizeof block ? (size_t)(end - at) : sizeof block;
        BT_TRY(bt_fs_read_at(from->file, at, block, n, err));
        BT_TRY(bt_fs_writer_write(writer, block, n, err));
        at += (int64_t)n;
    }
    return BT_OK;
}

static bt_status write_rest(const index_content *content, bt_fs_writer *writer, bt_error *err) {
    const data_places *const places = content->places;
    uint32_t                 crc = 0;
    if (content->from != NULL) {
        return copy_rest(content->from, writer, err);
    }
    BT_TRY(bt_fs_writer_write(writer, bt_str_text(&places->groups), places->groups.len, err));
    BT_TRY(bt_fs_writer_write(writer, bt_str_text(&places->distances), places->distances.len, err));
    return put_names(content->names, &crc, writer, err);
}

static bt_status write_index(const char *path, const index_content *content, bt_error *err) {
    bt_status     rc = BT_OK;
    bt_fs_writer *writer = NULL;
    uint8_t       header[HEADER_BYTES];
    BT_CHECK(make_header(header, content, err));
    BT_CHECK(bt_fs_writer_create(path, &writer, err));
    BT_CHECK(bt_fs_writer_write(writer, header, sizeof header, err));
    BT_CHECK(bt_fs_writer_write(writer, content->facts->data, content->facts->len, err));
    BT_CHECK(write_rest(content, writer, err));
    BT_CHECK(bt_fs_writer_commit(&writer, err));
done:
    bt_fs_writer_abort(writer);
    return rc;
}

/* Temporary files of processes that were killed while they wrote it go first. */
static bt_status write_at(const char *path, bool is_private, const index_content *content,
                          bt_error *err) {
    char     *folder = NULL;
    bt_status rc = BT_OK;
    BT_TRY(bt_fs_parent(path, &folder, err));
    BT_CHECK(is_private ? bt_fs_make_private_folder(folder, err) : bt_fs_make_folders(folder, err));
    BT_CHECK(bt_fs_check_writable(folder, err));
    BT_CHECK(bt_fs_sweep(folder, bt_fs_basename(path), err));
    BT_CHECK(write_index(path, content, err));
done:
    bt_free(folder);
    return rc;
}

static bt_status write_somewhere(const data_index *index, const index_content *content,
                                 int64_t n_rows, bt_error *err) {
    const char *const paths[] = {index->beside, index->cached};
    bt_error          why = BT_ERROR_INIT;
    for (size_t i = 0; i < BT_ARRAY_LEN(paths) && index->may_write; i++) {
        bt_error problem = BT_ERROR_INIT;
        if (paths[i] == NULL) {
            continue;
        }
        const bt_status rc = write_at(paths[i], paths[i] == index->cached, content, &problem);
        if (rc == BT_OK && n_rows > 0) {
            bt_log(BT_LOG_INFO,
                   "%s: where its %" PRId64 " rows are is kept in %s, so that the next start need "
                   "not read them all (runtime.data_index)",
                   index->section, n_rows, paths[i]);
        }
        if (rc == BT_OK) {
            return BT_OK;
        }
        if (rc == BT_E_INTERRUPTED || rc == BT_E_NOMEM) {
            return BT_FAIL(err, rc, "%s", problem.msg);
        }
        why = problem;
    }
    if (why.code != BT_OK) {
        bt_log(BT_LOG_INFO, "%s: where its rows are cannot be kept for the next start: %s",
               index->section, why.msg);
    }
    return BT_OK;
}

bt_status data_index_keep(const data_index *index, const bt_str *facts, const data_places *places,
                          const data_names *names, bt_error *err) {
    const index_content content = {.facts = facts, .places = places, .names = names};
    return write_somewhere(index, &content, places->n, err);
}

bt_status data_index_renew(const data_index *index, const data_index_file *file,
                           const bt_str *facts, bt_error *err) {
    const index_content content = {.facts = facts, .from = file};
    return write_somewhere(index, &content, file->n_rows, err);
}
