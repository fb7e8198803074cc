/* SPDX-License-Identifier: Apache-2.0
 *
 * XML by expat, bounded. Elements are identified by their whole path, so that a "Message" somewhere
 * else is not taken for the one that is meant. Names are only ever sent back to the store. */
#include "s3_xml.h"
#include "bt/base/alloc.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "fs_internal.h"

#ifdef BT_HAVE_EXPAT

#include <expat.h>

enum { MAX_DEPTH = 16, MAX_PATH = 1024, MAX_TEXT = 1 << 16 };

const char *s3_xml_library(void) {
    return XML_ExpatVersion();
}

typedef struct walk {
    /* An element without elements ended: its path and text. */
    bt_status (*leaf)(void *context, const char *path, const bt_str *text, bt_error *err);
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
    if (w->is_leaf) {
        const bt_status rc = w->leaf(w->context, bt_str_text(&w->path), &w->text, w->err);
        if (rc != BT_OK) {
            stop(w, rc);
            return;
        }
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

typedef struct list_answer {
    bt_fs_names entries; /* as they came; a '/' in front: a folder */
    bt_str      token;
    bool        is_list;
    bool        is_truncated;
    bool        is_encoded;
} list_answer;

static bt_status add_entry(list_answer *a, char kind, const bt_str *text, bt_error *err) {
    bt_str    entry = BT_STR_INIT;
    bt_status rc = bt_str_appendf(&entry, err, "%c%s", kind, bt_str_text(text));
    if (rc == BT_OK) {
        rc = fs_names_add(&a->entries, entry.data, err);
    }
    bt_str_deinit(&entry);
    return rc;
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
    if (strcmp(path, "CommonPrefixes/Prefix") == 0) {
        return add_entry(a, '/', text, err);
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

static bt_status add_path(const char *bucket, char *entry, bool is_encoded, bt_fs_names *out,
                          bt_error *err) {
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
        BT_TRY(add_path(bucket, a->entries.items[i], a->is_encoded, out, err));
    }
    bt_str_clear(token);
    return a->is_truncated ? bt_str_append(token, bt_str_text(&a->token), err) : BT_OK;
}

bt_status s3_parse_list(const char *bucket, const char *xml, size_t n_bytes, bt_fs_names *out,
                        bt_str *token, bt_error *err) {
    list_answer a = {.entries = BT_FS_NAMES_INIT, .token = BT_STR_INIT};
    walk        w = {
               .leaf = keep_entry, .context = &a, .path = BT_STR_INIT, .text = BT_STR_INIT_MAX(MAX_TEXT)};
    bt_status rc = walk_xml(xml, n_bytes, &w, err);
    if (rc == BT_OK) {
        rc = take_list(bucket, &a, out, token, err);
    }
    bt_fs_names_deinit(&a.entries);
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
