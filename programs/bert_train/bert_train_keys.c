/* SPDX-License-Identifier: Apache-2.0
 *
 * A sentence about a path says where the path came from: the key of the configuration, or the flag.
 * Rooms below the configuration know paths only, so it is added here, once for all of them and for
 * every key that the schema marks as one of paths. */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "bert_train.h"
#include "bt/base/str.h"
#include "bt/conf.h"

enum { KEY_MAX = 256, PATH_MAX_BYTES = 512 };

typedef struct path_search {
    const char *sentence;
    bool        only_first;   /* the path must be at its beginning */
    char        key[KEY_MAX]; /* of the longest path so far; "": none */
    size_t      n_longest;
    bool        is_named; /* the sentence has the key of such a path already */
} path_search;

static bool is_name_char(char c) {
    return c != '\0' && strchr(" \t,;:()'\"", c) == NULL;
}

/* Words of a language may be names of files, too: one without a dot and a slash counts only where a
 * sentence names its file, at its beginning or after "cannot VERB". */
static bool is_named_there(const char *sentence, const char *at, const char *path) {
    if (at == sentence || strpbrk(path, "./") != NULL) {
        return true;
    }
    const char *const verb = strstr(sentence, "cannot ");
    if (verb == NULL || verb > at) {
        return false;
    }
    const char *const blank = strchr(verb + strlen("cannot "), ' ');
    return blank != NULL && blank + 1 == at;
}

/* As a whole name, or with more below it. */
static bool names_path(const char *sentence, const char *path) {
    const size_t n = strlen(path);
    for (const char *at = strstr(sentence, path); at != NULL; at = strstr(at + 1, path)) {
        const bool begins = at == sentence || !is_name_char(at[-1]);
        const bool ends = !is_name_char(at[n]) || at[n] == '/' || path[n - 1] == '/' ||
                          at[n] == '.'; /* a checkpoint's prefix, the end of a sentence */
        if (begins && ends && is_named_there(sentence, at, path)) {
            return true;
        }
    }
    return false;
}

/* Is some name of the sentence one that the pattern finds? */
static bool names_one_of(const char *sentence, const char *pattern) {
    char name[PATH_MAX_BYTES];
    for (const char *at = sentence; *at != '\0';) {
        size_t n = 0;
        while (is_name_char(at[n])) {
            n++;
        }
        if (n > 0 && n < sizeof name) {
            memcpy(name, at, n);
            name[n] = '\0';
            if (fnmatch(pattern, name, FNM_PATHNAME) == 0) {
                return true;
            }
        }
        at += n + (at[n] != '\0' ? 1 : 0);
    }
    return false;
}

static void consider(path_search *search, const char *key, const char *path) {
    const size_t n = strlen(path);
    const bool   is_pattern = strpbrk(path, "*?[") != NULL;
    if (search->only_first && !bt_str_starts_with(search->sentence, path)) {
        return;
    }
    if (!names_path(search->sentence, path) &&
        !(is_pattern && names_one_of(search->sentence, path))) {
        return;
    }
    search->is_named = search->is_named || strstr(search->sentence, key) != NULL;
    if (n > search->n_longest) {
        search->n_longest = n;
        (void)snprintf(search->key, sizeof search->key, "%s", key);
    }
}

/* A bt_conf_visit_paths function: several are separated by commas. */
static bt_status visit(void *context, const char *key, const char *paths, bt_error *err) {
    (void)err;
    char one[PATH_MAX_BYTES];
    for (const char *at = paths; *at != '\0';) {
        const size_t n = strcspn(at, ",");
        if (n > 0 && n < sizeof one) {
            memcpy(one, at, n);
            one[n] = '\0';
            consider(context, key, one);
        }
        at += n + (at[n] == ',' ? 1 : 0);
    }
    return BT_OK;
}

/* Mistakes of ours and being stopped are about no path. Of keys that contradict each other only
 * what begins with a path is. */
static bool is_about_paths(bt_status rc) {
    return rc == BT_E_IO || rc == BT_E_FORMAT || rc == BT_E_UNSUPPORTED || rc == BT_E_RESOURCE ||
           rc == BT_E_CONFIG;
}

bt_status name_path_key(const bt_flags *flags, const bt_conf *conf, bt_status rc, bt_error *err) {
    static const char *const names[] = {"checkpoint", "output_path", "glue_submission"};
    path_search              search = {.sentence = err->msg, .only_first = rc == BT_E_CONFIG};
    if (!is_about_paths(rc) || err->msg[0] == '\0') {
        return rc;
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        const char *const path = bt_flags_string(flags, names[i]);
        char              key[KEY_MAX];
        (void)snprintf(key, sizeof key, "--%s", names[i]);
        if (path != NULL && path[0] != '\0' && !bt_str_equal(path, "latest") &&
            !bt_str_equal(path, "best")) {
            consider(&search, key, path);
        }
    }
    if (conf != NULL && bt_conf_visit_paths(conf, visit, &search, NULL) != BT_OK) {
        return rc;
    }
    return search.key[0] != '\0' && !search.is_named ? bt_error_prefix(err, "%s", search.key) : rc;
}
