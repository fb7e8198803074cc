/* SPDX-License-Identifier: Apache-2.0
 *
 * The regular expressions of the weight-decay and layer-adaptation lists, which Model Garden
 * searches with Python's re.search. PCRE2 does the work. A search ends in "found", "not found" or
 * an error: memory that is gone and patterns that take for ever never count as "not found",
 * because that would train other weights. */
#include <stdio.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "bt/base/alloc.h"
#include "pattern.h"

/* Bounds of one search: what names of variables need is a thousandth. */
enum { MAX_STEPS = 2000000, MAX_DEPTH = 100000, MAX_KIB = 16384 };

struct pattern_list {
    const char            *key;
    pcre2_general_context *memory;
    pcre2_match_context   *bounds;
    pcre2_match_data      *match;
    pcre2_code           **compiled;
    char                 **texts; /* as the user wrote them */
    size_t                 n;
};

static void *allocate(PCRE2_SIZE n_bytes, void *unused) {
    (void)unused;
    return bt_alloc(n_bytes);
}

static void release(void *ptr, void *unused) {
    (void)unused;
    bt_free(ptr);
}

static void explain(int code, char *text, size_t size) {
    if (pcre2_get_error_message(code, (PCRE2_UCHAR *)text, size) < 0) {
        text[size - 1] = '\0'; /* cut, or unknown */
    }
}

static bt_status no_memory(const char *key, bt_error *err) {
    return BT_FAIL(err, BT_E_NOMEM, "out of memory for the patterns of %s", key);
}

static bt_status compile_text(pattern_list *list, const char *pattern, const char *text,
                              pcre2_compile_context *context, pcre2_code **out, bt_error *err) {
    int        code = 0;
    PCRE2_SIZE at = 0;
    *out = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
                         PCRE2_UTF | PCRE2_UCP | PCRE2_ALT_CIRCUMFLEX | PCRE2_NEVER_BACKSLASH_C,
                         &code, &at, context);
    if (*out != NULL) {
        return BT_OK;
    }
    if (code == PCRE2_ERROR_HEAP_FAILED) {
        return no_memory(list->key, err);
    }
    char why[128] = "";
    explain(code, why, sizeof why);
    return BT_FAIL(err, BT_E_CONFIG, "%s: pattern '%s': PCRE2 cannot compile it: %s", list->key,
                   pattern, why);
}

/* From Python's syntax to something that searches. */
static bt_status compile(pattern_list *list, const char *pattern, pcre2_code **out, bt_error *err) {
    bt_status              rc = BT_OK;
    pcre2_compile_context *context = NULL;
    pattern_reader *const  reader = bt_calloc_array(1, sizeof *reader);
    if (reader == NULL) {
        return no_memory(list->key, err);
    }
    reader->key = list->key;
    reader->pattern = pattern;
    context = pcre2_compile_context_create(list->memory);
    if (context == NULL) {
        rc = no_memory(list->key, err);
        goto done;
    }
    (void)pcre2_set_newline(context, PCRE2_NEWLINE_LF); /* what . and $ mean in Python */
    BT_CHECK(pattern_read(reader, err));
    BT_CHECK(compile_text(list, pattern, bt_str_text(&reader->out), context, out, err));
done:
    pcre2_compile_context_free(context);
    bt_str_deinit(&reader->out);
    bt_free(reader);
    return rc;
}

static bt_status make_tools(pattern_list *list, bt_error *err) {
    list->memory = pcre2_general_context_create(allocate, release, NULL);
    if (list->memory == NULL) {
        return no_memory(list->key, err);
    }
    list->bounds = pcre2_match_context_create(list->memory);
    list->match = pcre2_match_data_create(1, list->memory);
    if (list->bounds == NULL || list->match == NULL) {
        return no_memory(list->key, err);
    }
    (void)pcre2_set_match_limit(list->bounds, MAX_STEPS);
    (void)pcre2_set_depth_limit(list->bounds, MAX_DEPTH);
    (void)pcre2_set_heap_limit(list->bounds, MAX_KIB);
    return BT_OK;
}

bt_status pattern_list_create(const char *key, const bt_conf_str_list *texts, pattern_list **out,
                              bt_error *err) {
    bt_status     rc = BT_OK;
    pattern_list *list = bt_calloc_array(1, sizeof *list);
    if (list == NULL) {
        return no_memory(key, err);
    }
    list->key = key;
    list->compiled = bt_calloc_array(texts->n, sizeof(pcre2_code *));
    list->texts = bt_calloc_array(texts->n, sizeof(char *));
    if (list->compiled == NULL || list->texts == NULL) {
        rc = no_memory(key, err);
        goto done;
    }
    BT_CHECK(make_tools(list, err));
    for (size_t i = 0; i < texts->n; i++) {
        list->n++;
        list->texts[i] = bt_strdup(texts->items[i]);
        if (list->texts[i] == NULL) {
            rc = no_memory(key, err);
            goto done;
        }
        BT_CHECK(compile(list, list->texts[i], &list->compiled[i], err));
    }
    *out = list;
    list = NULL;
done:
    pattern_list_free(list);
    return rc;
}

void pattern_list_free(pattern_list *list) {
    if (list == NULL) {
        return;
    }
    for (size_t i = 0; i < list->n; i++) {
        pcre2_code_free(list->compiled[i]);
        bt_free(list->texts[i]);
    }
    bt_free(list->compiled);
    bt_free(list->texts);
    pcre2_match_data_free(list->match);
    pcre2_match_context_free(list->bounds);
    pcre2_general_context_free(list->memory);
    bt_free(list);
}

bool pattern_list_is_empty(const pattern_list *list) {
    return list->n == 0;
}

static bt_status search_failed(const pattern_list *list, size_t i, const char *text, int code,
                               bt_error *err) {
    char why[128] = "";
    switch (code) {
    case PCRE2_ERROR_NOMEMORY:
        return BT_FAIL(err, BT_E_NOMEM, "%s: out of memory while pattern '%s' is searched in '%s'",
                       list->key, list->texts[i], text);
    case PCRE2_ERROR_MATCHLIMIT:
    case PCRE2_ERROR_DEPTHLIMIT:
    case PCRE2_ERROR_HEAPLIMIT:
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s: pattern '%s' takes more than %d steps or %d KiB to be searched in "
                       "'%s': write it without repetitions inside repetitions",
                       list->key, list->texts[i], (int)MAX_STEPS, (int)MAX_KIB, text);
    default:
        explain(code, why, sizeof why);
        return BT_FAIL(err, BT_E_INTERNAL, "%s: pattern '%s' cannot be searched in '%s': %s",
                       list->key, list->texts[i], text, why);
    }
}

bt_status pattern_list_search(const pattern_list *list, const char *text, bool *found,
                              bt_error *err) {
    *found = false;
    for (size_t i = 0; i < list->n && !*found; i++) {
        const int code = pcre2_match(list->compiled[i], (PCRE2_SPTR)text, strlen(text), 0, 0,
                                     list->match, list->bounds);
        if (code < 0 && code != PCRE2_ERROR_NOMATCH) {
            return search_failed(list, i, text, code, err);
        }
        *found = code != PCRE2_ERROR_NOMATCH;
    }
    return BT_OK;
}

void pattern_library_version(char *text, size_t size) {
    char version[64] = ""; /* PCRE2 wants at least 24 */
    if (pcre2_config(PCRE2_CONFIG_VERSION, NULL) > (int)sizeof version ||
        pcre2_config(PCRE2_CONFIG_VERSION, version) < 0) {
        version[0] = '\0';
    }
    (void)snprintf(text, size, "PCRE2 %s", version);
}
