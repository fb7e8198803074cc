/* SPDX-License-Identifier: Apache-2.0
 *
 * For patterns.py: reads lines of two fields in hexadecimal, PATTERN NAME (NAME may be "-", the
 * empty one), and writes one line each: 1 found, 0 not found, or E and the sentence. */
#include <stdio.h>
#include <string.h>

#include "optim_internal.h"

enum { FIELD_MAX = 4096 };

static bool unhex(const char *text, char *out, size_t size) {
    const size_t n = strlen(text);
    size_t       used = 0;
    if (strcmp(text, "-") != 0) {
        for (size_t i = 0; i + 1 < n && used + 1 < size; i += 2) {
            unsigned byte = 0;
            if (sscanf(text + i, "%2x", &byte) != 1) {
                return false;
            }
            out[used++] = (char)byte;
        }
    }
    out[used] = '\0';
    return true;
}

static void answer(const char *pattern, const char *name) {
    bt_error               err = BT_ERROR_INIT;
    const char *const      items[] = {pattern};
    const bt_conf_str_list texts = {.items = items, .n = 1};
    pattern_list          *list = NULL;
    bool                   found = false;
    bt_status              rc = pattern_list_create("key", &texts, &list, &err);
    if (rc == BT_OK) {
        rc = pattern_list_search(list, name, &found, &err);
    }
    if (rc == BT_OK) {
        (void)printf("%d\n", found ? 1 : 0);
    } else {
        for (char *p = err.msg; *p != '\0'; p++) {
            *p = (unsigned char)*p < ' ' ? ' ' : *p;
        }
        (void)printf("E %s %s\n", bt_status_name(err.code), err.msg);
    }
    pattern_list_free(list);
}

int main(void) {
    static char line[4 * FIELD_MAX];
    static char pattern[FIELD_MAX];
    static char name[FIELD_MAX];
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *const space = strchr(line, ' ');
        if (space == NULL) {
            return 2;
        }
        *space = '\0';
        if (!unhex(line, pattern, sizeof pattern) || !unhex(space + 1, name, sizeof name)) {
            return 2;
        }
        answer(pattern, name);
    }
    return 0;
}
