/* SPDX-License-Identifier: Apache-2.0
 *
 * XML by expat, bounded. Elements are identified by their whole path, so that a "Message" somewhere
 * else is not taken for the one that is meant. Names are only ever sent back to the store. */
#include "s3_xml.h"
#include "bt/base/alloc.h"
#include "bt/base/number.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "fs_internal.h"
#include "remote.h"
#include "s3.h"

#ifdef BT_HAVE_EXPAT

#include <expat.h>

enum { MAX_DEPTH = 16, MAX_PATH = 1024, MAX_TEXT = 1 << 16 };

const char *s3_xml_library(void) {
    return XML_ExpatVersion();
}

typedef struct walk {
    /* An element without elements ended: its path and text. */
    bt_status (*leaf)(void *context, const char *path, const bt_str *text, bt_error *err);
    /* One with elements ended; NULL: nobody asks. */
    bt_status (*end)(void *context, const char *path, bt_error *err);
    void      *context;
    XML_Parser parser;
    bt_str     path; /* "a/b" */
    bt_str     text; /* of the innermost element that has begun last */
    int        depth;
    bool       is_leaf;
    bt_status  rc;
    bt_error  *err;
} walk;

static void stop(walk *w, bt_status rc) {
    w->rc = rc;
    (void)XML_StopParser(w->parser, XML_FALSE);
}

static void XMLCALL on_begin(void *context, const XML_Char *name, const XML_Char **attributes) {
    walk *const w = context;
    (void)attributes;
    if (w->rc != BT_OK) {
        return; /* expat may call once more after it was stopped */
    }
    bt_str_clear(&w->text);
    w->is_leaf = true;
    if (++w->depth > MAX_DEPTH || w->path.len + strlen(name) > MAX_PATH) {
        stop(w, BT_FAIL(w->err, BT_E_FORMAT, "more than %d elements in one another", MAX_DEPTH));
        return;
    }
    const bt_status rc = bt_str_appendf(&w->path, w->err, "%s%s", w->path.len > 0 ? "/" : "", name);
    if (rc != BT_OK) {
        stop(w, rc);
    }
}

static void XMLCALL on_end(void *context, const XML_Char *name) {
    walk *const  w = context;
    const size_t n = strlen(name);
    if (w->rc != BT_OK) {
        return;
    }
    bt_status rc = BT_OK;
    if (w->is_leaf) {
        rc = w->leaf(w->context, bt_str_text(&w->path), &w->text, w->err);
    } else if (w->end != NULL) {
        rc = w->end(w->context, bt_str_text(&w->path), w->err);
    }
    if (rc != BT_OK) {
        stop(w, rc);
        return;
    }
    w->is_leaf = false;
    w->depth--;
    w->path.len -= n < w->path.len ? n + 1 : n;
    w->path.data[w->path.len] = '\0';
}

static void XMLCALL on_text(void *context, const XML_Char *text, int n) {
    walk *const w = context;
    if (w->rc != BT_OK || !w->is_leaf || n <= 0) {
        return;
    }
    const bt_status rc = bt_str_append_n(&w->text, text, (size_t)n, w->err);
    if (rc != BT_OK) {
        stop(w, rc);
    }
}

static void XMLCALL on_doctype(void *context, const XML_Char *name, const XML_Char *system,
                               const XML_Char *public, int has_internal) {
    walk *const w = context;
    (void)name, (void)system, (void)public, (void)has_internal;
    if (w->rc == BT_OK) {
        stop(w, BT_FAIL(w->err, BT_E_FORMAT, "a DTD, which no answer of a store has"));
    }
}

static uint64_t line_of(XML_Parser parser) {
#if XML_MAJOR_VERSION > 2 || XML_MINOR_VERSION >= 9
    return XML_GetCurrentLineNumber64(parser); /* the other is deprecated */
#else
    return XML_GetCurrentLineNumber(parser);
#endif
}

/* Why expat stopped. */
static bt_status result_of(walk *w, enum XML_Status status, bt_error *err) {
    if (w->rc != BT_OK) {
        return w->rc; /* one of ours: it is told */
    }
    if (status == XML_STATUS_OK) {
        return BT_OK;
    }
    const enum XML_Error code = XML_GetErrorCode(w->parser);
    if (code == XML_ERROR_NO_MEMORY) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a store's answer");
    }
    return BT_FAIL(err, BT_E_FORMAT, "no XML: %s in line %" PRIu64, XML_ErrorString(code),
                   line_of(w->parser));
}

static bt_status walk_xml(const char *xml, size_t n_bytes, walk *w, bt_error *err) {
    static const XML_Memory_Handling_Suite memory = {bt_alloc_small, bt_realloc_small, bt_free};
    if (n_bytes > INT_MAX) {
        return BT_FAIL(err, BT_E_FORMAT, "an answer of %zu bytes", n_bytes);
    }
    w->parser = XML_ParserCreate_MM(NULL, &memory, NULL);
    if (w->parser == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a store's answer");
    }
    w->err = err;
    XML_SetUserData(w->parser, w);
    XML_SetElementHandler(w->parser, on_begin, on_end);
    XML_SetCharacterDataHandler(w->parser, on_text);
    XML_SetStartDoctypeDeclHandler(w->parser, on_doctype);
    const bt_status rc = result_of(w, XML_Parse(w->parser, xml, (int)n_bytes, XML_TRUE), err);
    XML_ParserFree(w->parser);
    bt_str_deinit(&w->path);
    bt_str_deinit(&w->text);
    return rc;
}

typedef struct field_list {
    s3_xml_field *fields;
    size_t        n;
} field_list;

static bt_status keep_field(void *context, const char *path, const bt_str *text, bt_error *err) {
    const field_list *const list = context;
    for (size_t i = 0; i < list->n; i++) {
        s3_xml_field *const field = &list->fields[i];
        if (!field->found && strcmp(field->path, path) == 0) {
            field->found = true;
            BT_TRY(bt_str_append_n(field->text, bt_str_text(text), text->len, err));
        }
    }
    return BT_OK;
}

bt_status s3_xml_read(const char *xml, size_t n_bytes, s3_xml_field *fields, size_t n_fields,
                      bt_error *err) {
    field_list list = {fields, n_fields};
    walk       w = {.leaf = keep_field,
                    .context = &list,
                    .path = BT_STR_INIT,
                    .text = BT_STR_INIT_MAX(MAX_TEXT)};
    for (size_t i = 0; i < n_fields; i++) {
        fields[i].found = false;
    }
    return walk_xml(xml, n_bytes, &w, err);
}

/* FNV-1a: equal for equal tags; a store's tags of two states are not equal. */
int64_t s3_version_of(const char *etag) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    if (etag[0] == '\0') {
        return BT_FS_ANY_VERSION;
    }
    for (const char *p = etag; *p != '\0'; p++) {
        hash = (hash ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
    }
    return (int64_t)(hash >> 2) + 1; /* never 0, which is "none there" */
}

/* What a list tells of an object. */
typedef struct list_object {
    int64_t n_bytes; /* -1: it does not say */
    double  modified_unix;
    char    etag[REMOTE_ETAG_MAX];
} list_object;

typedef struct list_answer {
    bt_fs_names  entries; /* as they came; a '/' in front: a folder */
    list_object *objects; /* owned; of each entry */
    size_t       cap_objects;
    list_object  current; /* of the one that is read */
    size_t       n_before;
    bt_str       token;
    bool         is_list;
    bool         is_truncated;
    bool         is_encoded;
} list_answer;

static const list_object nothing_told = {.n_bytes = -1};

static bt_status add_entry(list_answer *a, char kind, const bt_str *text, bt_error *err) {
    bt_str    entry = BT_STR_INIT;
    bt_status rc = bt_str_appendf(&entry, err, "%c%s", kind, bt_str_text(text));
    if (rc == BT_OK) {
        rc = bt_grow(&a->objects, &a->cap_objects, a->entries.n + 1, sizeof *a->objects,
                     SIZE_MAX / 1024, err);
    }
    if (rc == BT_OK) {
        a->objects[a->entries.n] = nothing_told;
        rc = fs_names_add(&a->entries, entry.data, err);
    }
    bt_str_deinit(&entry);
    return rc;
}

static void keep_told(list_object *object, const char *what, const bt_str *text) {
    int64_t n = -1;
    if (strcmp(what, "Size") == 0 && bt_parse_i64(bt_str_text(text), &n) && n >= 0) {
        object->n_bytes = n;
    } else if (strcmp(what, "ETag") == 0 && text->len < sizeof object->etag) {
        memcpy(object->etag, bt_str_text(text), text->len + 1);
    } else if (strcmp(what, "LastModified") == 0) {
        object->modified_unix = remote_parse_time(bt_str_text(text));
    }
}

/* An object ended, whose elements may stand in any order. */
static bt_status end_object(void *context, const char *path, bt_error *err) {
    list_answer *const a = context;
    (void)err;
    if (strcmp(path, "ListBucketResult/Contents") == 0) {
        if (a->entries.n == a->n_before + 1) {
            a->objects[a->n_before] = a->current;
        }
        a->n_before = a->entries.n;
        a->current = nothing_told;
    }
    return BT_OK;
}

static bt_status keep_entry(void *context, const char *path, const bt_str *text, bt_error *err) {
    list_answer *const a = context;
    static const char  root[] = "ListBucketResult";
    const size_t       n_root = sizeof root - 1;
    if (strncmp(path, root, n_root) != 0 || (path[n_root] != '/' && path[n_root] != '\0')) {
        return BT_OK;
    }
    a->is_list = true;
    path += n_root + (path[n_root] == '/' ? 1 : 0);
    if (strcmp(path, "Contents/Key") == 0) {
        return add_entry(a, '.', text, err);
    }
    if (bt_str_starts_with(path, "Contents/")) {
        keep_told(&a->current, path + strlen("Contents/"), text);
        return BT_OK;
    }
    if (strcmp(path, "CommonPrefixes/Prefix") == 0) {
        BT_TRY(add_entry(a, '/', text, err));
        a->n_before = a->entries.n;
        return BT_OK;
    }
    if (strcmp(path, "NextContinuationToken") == 0) {
        bt_str_clear(&a->token);
        return bt_str_append(&a->token, bt_str_text(text), err);
    }
    a->is_truncated =
        a->is_truncated || (strcmp(path, "IsTruncated") == 0 && bt_str_equal(text->data, "true"));
    a->is_encoded =
        a->is_encoded || (strcmp(path, "EncodingType") == 0 && bt_str_equal(text->data, "url"));
    return BT_OK;
}

static int hex_value(char c) {
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *const at = c != '\0' ? strchr(digits, c) : NULL;
    return at == NULL ? -1 : (int)(at - digits) % 16;
}

/* In place, as encoding-type=url has it ('+' is a space). false: it holds a zero byte. */
static bool decode_name(char *text) {
    char *out = text;
    for (const char *p = text; *p != '\0'; p++) {
        char c = *p == '+' ? ' ' : *p;
        if (*p == '%' && hex_value(p[1]) >= 0 && hex_value(p[2]) >= 0) {
            c = (char)(hex_value(p[1]) * 16 + hex_value(p[2]));
            p += 2;
            if (c == '\0') {
                return false;
            }
        }
        *out++ = c;
    }
    *out = '\0';
    return true;
}

/* All but a checksum of the whole, which only a look at the object itself tells. */
static void tell(const char *path, const list_object *object) {
    remote_info info = {
        .kind = BT_FS_FILE, .n_bytes = object->n_bytes, .modified_unix = object->modified_unix};
    if (object->n_bytes >= 0 && object->etag[0] != '\0') {
        memcpy(info.etag, object->etag, sizeof info.etag);
        info.version = s3_version_of(info.etag);
        remote_told_put(path, &info, false);
    }
}

static bt_status add_path(const char *bucket, char *entry, const list_object *object,
                          bool is_encoded, bt_fs_names *out, bt_error *err) {
    bt_str      path = BT_STR_INIT;
    bt_status   rc = BT_OK;
    const bool  is_folder = entry[0] == '/';
    char *const name = entry + 1;
    if (is_encoded && !decode_name(name)) {
        return BT_OK;
    }
    const size_t n = strlen(name);
    if (n == 0 || (!is_folder && name[n - 1] == '/')) {
        return BT_OK; /* a mark for an empty folder */
    }
    if (is_folder && name[n - 1] == '/') {
        name[n - 1] = '\0';
    }
    rc = bt_str_appendf(&path, err, "s3://%s/%s", bucket, name);
    if (rc == BT_OK) {
        rc = fs_names_add(out, path.data, err);
    }
    if (rc == BT_OK && !is_folder) {
        tell(path.data, object);
    }
    bt_str_deinit(&path);
    return rc;
}

static bt_status take_list(const char *bucket, const list_answer *a, bt_fs_names *out,
                           bt_str *token, bt_error *err) {
    if (!a->is_list) {
        return BT_FAIL(err, BT_E_FORMAT, "no ListBucketResult");
    }
    if (a->is_truncated && a->token.len == 0) {
        return BT_FAIL(err, BT_E_FORMAT, "it says that more follows, but not how to ask for it");
    }
    for (size_t i = 0; i < a->entries.n; i++) {
        BT_TRY(add_path(bucket, a->entries.items[i], &a->objects[i], a->is_encoded, out, err));
    }
    bt_str_clear(token);
    return a->is_truncated ? bt_str_append(token, bt_str_text(&a->token), err) : BT_OK;
}

bt_status s3_parse_list(const char *bucket, const char *xml, size_t n_bytes, bt_fs_names *out,
                        bt_str *token, bt_error *err) {
    list_answer a = {.entries = BT_FS_NAMES_INIT, .current = nothing_told, .token = BT_STR_INIT};
    walk        w = {.leaf = keep_entry,
                     .end = end_object,
                     .context = &a,
                     .path = BT_STR_INIT,
                     .text = BT_STR_INIT_MAX(MAX_TEXT)};
    bt_status   rc = walk_xml(xml, n_bytes, &w, err);
    if (rc == BT_OK) {
        rc = take_list(bucket, &a, out, token, err);
    }
    bt_fs_names_deinit(&a.entries);
    bt_free(a.objects);
    bt_str_deinit(&a.token);
    return rc == BT_OK || rc == BT_E_NOMEM
               ? rc
               : bt_error_prefix(err, "s3://%s: the store's list cannot be read", bucket);
}

#else

static bt_status fail_not_built(bt_error *err) {
    return BT_FAIL(err, BT_E_UNSUPPORTED,
                   "this build has no expat, which reads the answers of s3:// (--version says what "
                   "is built in)");
}

const char *s3_xml_library(void) {
    return NULL;
}

bt_status s3_xml_read(const char *xml, size_t n_bytes, s3_xml_field *fields, size_t n_fields,
                      bt_error *err) {
    (void)xml, (void)n_bytes, (void)fields, (void)n_fields;
    return fail_not_built(err);
}

bt_status s3_parse_list(const char *bucket, const char *xml, size_t n_bytes, bt_fs_names *out,
                        bt_str *token, bt_error *err) {
    (void)bucket, (void)xml, (void)n_bytes, (void)out, (void)token;
    return fail_not_built(err);
}

#endif
