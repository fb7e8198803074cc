/* SPDX-License-Identifier: Apache-2.0
 *
 * The answers of S3 taken apart. Names are only ever sent back to the store. */
#include "s3_xml.h"

#include <stdlib.h>
#include <string.h>

#include "fs_internal.h"

/* From "<element>" on; *end at "</element>". NULL: there is none. */
static const char *find_element(const char *xml, const char *element, const char **end) {
    const size_t n = strlen(element);
    for (const char *at = strchr(xml, '<'); at != NULL; at = strchr(at + 1, '<')) {
        if (strncmp(at + 1, element, n) != 0 || (at[1 + n] != '>' && at[1 + n] != ' ')) {
            continue;
        }
        const char *const open = strchr(at, '>');
        if (open == NULL || open[-1] == '/') {
            return NULL;
        }
        for (const char *close = strstr(open, "</"); close != NULL;
             close = strstr(close + 2, "</")) {
            if (strncmp(close + 2, element, n) == 0 && close[2 + n] == '>') {
                *end = close;
                return open + 1;
            }
        }
        return NULL;
    }
    return NULL;
}

static bool append_code_point(bt_str *out, unsigned long c) {
    char   bytes[4];
    size_t n = 0;
    if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
        return false;
    }
    if (c < 0x80) {
        bytes[n++] = (char)c;
    } else if (c < 0x800) {
        bytes[n++] = (char)(0xc0 | c >> 6);
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        bytes[n++] = (char)(0xe0 | c >> 12);
        bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    } else {
        bytes[n++] = (char)(0xf0 | c >> 18);
        bytes[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    }
    return bt_str_append_n(out, bytes, n, NULL) == BT_OK;
}

/* One entity at text ("&amp;"); *n its length. */
static bool append_entity(bt_str *out, const char *text, const char *end, size_t *n) {
    static const struct {
        const char *name;
        char        value;
    } entities[] = {
        {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    for (size_t i = 0; i < BT_ARRAY_LEN(entities); i++) {
        *n = strlen(entities[i].name);
        if ((size_t)(end - text) >= *n && memcmp(text, entities[i].name, *n) == 0) {
            return bt_str_append_char(out, entities[i].value, NULL) == BT_OK;
        }
    }
    if (end - text < 4 || text[1] != '#') {
        return false;
    }
    const bool          is_hex = text[2] == 'x';
    char               *stop = NULL;
    const unsigned long c = strtoul(text + (is_hex ? 3 : 2), &stop, is_hex ? 16 : 10);
    *n = (size_t)(stop - text) + 1;
    return stop < end && *stop == ';' && append_code_point(out, c);
}

static bool append_text(bt_str *out, const char *text, const char *end) {
    while (text < end) {
        size_t n = 1;
        if (*text == '&') {
            if (!append_entity(out, text, end, &n)) {
                return false;
            }
        } else if (bt_str_append_n(out, text, 1, NULL) != BT_OK) {
            return false;
        }
        text += n;
    }
    return true;
}

bool s3_xml_text(const char *xml, const char *element, bt_str *out) {
    const char       *end = NULL;
    const char *const text = find_element(xml, element, &end);
    return text != NULL && append_text(out, text, end);
}

/* Every <inner> in an <outer>, as a path. */
static bt_status add_all(const char *bucket, const char *xml, const char *outer, const char *inner,
                         bt_fs_names *out, bt_error *err) {
    bt_status   rc = BT_OK;
    bt_str      path = BT_STR_INIT;
    const char *end = NULL;
    for (const char *at = find_element(xml, outer, &end); at != NULL;
         at = find_element(end, outer, &end)) {
        const char       *stop = NULL;
        const char *const name = find_element(at, inner, &stop);
        bt_str_clear(&path);
        BT_CHECK(bt_str_appendf(&path, err, "s3://%s/", bucket));
        const size_t n_start = path.len;
        if (name == NULL || stop > end || !append_text(&path, name, stop)) {
            rc = BT_FAIL(err, BT_E_FORMAT, "s3://%s: the store's list cannot be read", bucket);
            goto done;
        }
        const bool is_folder = path.data[path.len - 1] == '/';
        if (is_folder && path.len > n_start && outer[0] == 'C' && outer[2] == 'm') {
            path.data[path.len - 1] = '\0'; /* CommonPrefixes */
        } else if (is_folder) {
            continue; /* a mark for an empty folder */
        }
        BT_CHECK(fs_names_add(out, path.data, err));
    }
done:
    bt_str_deinit(&path);
    return rc;
}

bt_status s3_parse_list(const char *bucket, const char *xml, bt_fs_names *out, bt_str *token,
                        bt_error *err) {
    const char *end = NULL;
    if (find_element(xml, "ListBucketResult", &end) == NULL) {
        return BT_FAIL(err, BT_E_FORMAT, "s3://%s: the store's list cannot be read", bucket);
    }
    BT_TRY(add_all(bucket, xml, "Contents", "Key", out, err));
    BT_TRY(add_all(bucket, xml, "CommonPrefixes", "Prefix", out, err));
    bt_str_clear(token);
    bt_str truncated = BT_STR_INIT;
    if (s3_xml_text(xml, "IsTruncated", &truncated) && bt_str_equal(truncated.data, "true")) {
        (void)s3_xml_text(xml, "NextContinuationToken", token);
    }
    bt_str_deinit(&truncated);
    return BT_OK;
}
