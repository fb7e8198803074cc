/* SPDX-License-Identifier: Apache-2.0
 *
 * See fuzz_file.h. */
#define _XOPEN_SOURCE 700 /* mkdtemp */
#include "fuzz_file.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, MAX_FILES = 8 };
static char folder[PATH_BYTES / 2];
static char paths[MAX_FILES][PATH_BYTES];
static int  n_paths;

/* Files in folders come after these. */
static void remove_files(void) {
    for (int i = n_paths - 1; i >= 0; i--) {
        (void)remove(paths[i]);
    }
    (void)rmdir(folder);
}

static void make_root(void) {
    static const char memory[] = "/dev/shm";
    const char *const base = access(memory, W_OK) == 0 ? memory : getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/bt_fuzz_XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(folder) == NULL || atexit(remove_files) != 0 ||
        setenv("TMPDIR", folder, 1) != 0) { /* what a parser unpacks goes there, too */
        abort();
    }
}

static const char *path_of(const char *name, bool *is_new) {
    char path[PATH_BYTES];
    if (folder[0] == '\0') {
        make_root();
    }
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    *is_new = false;
    for (int i = 0; i < n_paths; i++) {
        if (strcmp(paths[i], path) == 0) {
            return paths[i];
        }
    }
    if (n_paths == MAX_FILES) {
        abort();
    }
    *is_new = true;
    (void)snprintf(paths[n_paths], PATH_BYTES, "%s", path);
    return paths[n_paths++];
}

const char *fuzz_file(const char *name, const uint8_t *data, size_t size) {
    bool              is_new = false;
    const char *const path = path_of(name, &is_new);
    const int         fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || close(fd) != 0) {
        abort();
    }
    return path;
}

const uint8_t *fuzz_files(const char *const *names, size_t n, const uint8_t *data,
                          const uint8_t *end) {
    for (size_t i = 0; i < n; i++) {
        const uint8_t *const nul = data < end ? memchr(data, 0, (size_t)(end - data)) : NULL;
        const uint8_t *const stop = nul != NULL ? nul : end;
        const char *const    path = fuzz_file(names[i], data, (size_t)(stop - data));
        if (data == stop) {
            (void)unlink(path);
        }
        data = nul != NULL ? nul + 1 : end;
    }
    return data;
}

const char *fuzz_folder(const char *name) {
    bool              is_new = false;
    const char *const path = path_of(name, &is_new);
    if (is_new && mkdir(path, 0700) != 0) {
        abort();
    }
    return path;
}
