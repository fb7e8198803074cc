/* SPDX-License-Identifier: Apache-2.0
 *
 * See fuzz_file.h. */
#define _XOPEN_SOURCE 700 /* mkdtemp */
#include "fuzz_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, MAX_FILES = 8 };
static char folder[PATH_BYTES / 2];
static char paths[MAX_FILES][PATH_BYTES];
static int  n_paths;

static void remove_files(void) {
    for (int i = 0; i < n_paths; i++) {
        (void)unlink(paths[i]);
    }
    (void)rmdir(folder);
}

static const char *path_of(const char *name) {
    if (folder[0] == '\0') {
        const char *const base = getenv("TMPDIR");
        (void)snprintf(folder, sizeof folder, "%s/bt_fuzz_XXXXXX", base != NULL ? base : "/tmp");
        if (mkdtemp(folder) == NULL || atexit(remove_files) != 0) {
            abort();
        }
    }
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    for (int i = 0; i < n_paths; i++) {
        if (strcmp(paths[i], path) == 0) {
            return paths[i];
        }
    }
    if (n_paths == MAX_FILES) {
        abort();
    }
    (void)snprintf(paths[n_paths], PATH_BYTES, "%s", path);
    return paths[n_paths++];
}

const char *fuzz_file(const char *name, const uint8_t *data, size_t size) {
    const char *const path = path_of(name);
    FILE *const       file = fopen(path, "wb");
    if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0) {
        abort();
    }
    return path;
}
