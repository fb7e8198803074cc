/* SPDX-License-Identifier: Apache-2.0
 *
 * How much memory is left, and how much was taken: Linux promises more than there is and kills who
 * takes it, so whoever wants much asks here first. */
#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bt/base/memory.h"

enum { PATH_BYTES = 512, LINE_BYTES = 512 };

/* A stream of its own would ask for memory, and without memory the answer would be another one. */
typedef struct small_file {
    int    fd;
    char   block[LINE_BYTES];
    size_t n, at;
} small_file;

static bool open_below(const char *root, const char *folder, const char *name, small_file *out) {
    char      path[PATH_BYTES];
    const int n = snprintf(path, sizeof path, "%s%s/%s", root, folder, name);
    *out = (small_file){.fd = -1};
    if (n > 0 && (size_t)n < sizeof path) {
        out->fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    return out->fd >= 0;
}

static int next_byte(small_file *file) {
    if (file->at == file->n) {
        const ssize_t n = read(file->fd, file->block, sizeof file->block);
        file->n = n > 0 ? (size_t)n : 0;
        file->at = 0;
    }
    return file->at < file->n ? (unsigned char)file->block[file->at++] : EOF;
}

/* The next line without its end, cut where it is too long; false at the end of the file. */
static bool next_line(small_file *file, char line[LINE_BYTES]) {
    size_t n = 0;
    int    c = next_byte(file);
    if (c == EOF) {
        return false;
    }
    for (; c != EOF && c != '\n'; c = next_byte(file)) {
        if (n + 1 < LINE_BYTES) {
            line[n++] = (char)c;
        }
    }
    line[n] = '\0';
    return true;
}

/* The number after `key` at the start of a line; with key "", at the start of the file. */
static bool read_number(const char *root, const char *folder, const char *name, const char *key,
                        uint64_t *out) {
    small_file file;
    char       line[LINE_BYTES];
    bool       found = false;
    const bool is_open = open_below(root, folder, name, &file);
    while (is_open && !found && next_line(&file, line)) {
        if (strncmp(line, key, strlen(key)) == 0) {
            const char *const text = line + strlen(key);
            char             *end = NULL;
            const uint64_t    value = strtoull(text, &end, 10);
            found = end != text; /* "max" is not a number: no limit */
            *out = found ? value : *out;
        }
    }
    if (is_open) {
        (void)close(file.fd);
    }
    return found;
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t minus(uint64_t a, uint64_t b) {
    return a > b ? a - b : 0;
}

/* Names of what a control group of each version says. */
typedef struct group_kind {
    const char *mount, *limit, *used;
    const char *cached[3];
} group_kind;

static const group_kind version_1 = {"/sys/fs/cgroup/memory",
                                     "memory.limit_in_bytes",
                                     "memory.usage_in_bytes",
                                     {"total_active_file ", "total_inactive_file "}};
static const group_kind version_2 = {"/sys/fs/cgroup",
                                     "memory.max",
                                     "memory.current",
                                     {"active_file ", "inactive_file ", "slab_reclaimable "}};

/* Counted as used, and given up when something else needs it: pages of files and what the kernel
 * knows of them. Not tmpfs and shared memory, which "file" and "cache" count, too. */
static uint64_t cached_by_group(const char *root, const char *folder, const group_kind *kind) {
    uint64_t sum = 0;
    for (size_t i = 0; i < BT_ARRAY_LEN(kind->cached) && kind->cached[i] != NULL; i++) {
        uint64_t n_bytes = 0;
        (void)read_number(root, folder, "memory.stat", kind->cached[i], &n_bytes);
        sum += n_bytes;
    }
    return sum;
}

/* Of a group and of all that it lies in. In a container the path may be the host's: what is not
 * there says nothing, and the walk ends at the mount, which is there. */
static uint64_t left_of_group(const char *root, const group_kind *kind, char *path) {
    uint64_t left = UINT64_MAX;
    for (;;) {
        char folder[PATH_BYTES];
        (void)snprintf(folder, sizeof folder, "%s%s", kind->mount, path);
        uint64_t limit = 0;
        uint64_t used = 0;
        if (read_number(root, folder, kind->limit, "", &limit) &&
            read_number(root, folder, kind->used, "", &used)) {
            left = least(left, minus(limit, minus(used, cached_by_group(root, folder, kind))));
        }
        char *const slash = strrchr(path, '/');
        if (slash == NULL) {
            return left;
        }
        *slash = '\0';
    }
}

/* A word of a list with commas? */
static bool has_word(const char *list, const char *word) {
    const size_t n = strlen(word);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, n) == 0 && (at[n] == ',' || at[n] == '\0')) {
            return true;
        }
    }
    return false;
}

/* Lines "hierarchy:controllers:path"; hierarchy 0 is version 2's. */
static uint64_t left_of_groups(const char *root) {
    small_file file;
    char       line[LINE_BYTES];
    uint64_t   left = UINT64_MAX;
    const bool is_open = open_below(root, "/proc/self", "cgroup", &file);
    while (is_open && next_line(&file, line)) {
        char *const controllers = strchr(line, ':');
        char *const path = controllers == NULL ? NULL : strchr(controllers + 1, ':');
        if (path == NULL) {
            continue;
        }
        *path = '\0';
        if (strcmp(line, "0:") == 0) {
            left = least(left, left_of_group(root, &version_2, path + 1));
        } else if (has_word(controllers + 1, "memory")) {
            left = least(left, left_of_group(root, &version_1, path + 1));
        }
    }
    if (is_open) {
        (void)close(file.fd);
    }
    return left;
}

uint64_t bt_memory_within_limits(const char *root) {
    small_file  file;
    char        line[LINE_BYTES] = "";
    uint64_t    pages[6] = {0}; /* size, resident, shared, text, 0, data */
    const char *at = line;
    bool        is_read = open_below(root, "/proc/self", "statm", &file);
    if (is_read) {
        is_read = next_line(&file, line);
        (void)close(file.fd);
    }
    for (size_t i = 0; is_read && i < BT_ARRAY_LEN(pages); i++) {
        char *end = NULL;
        pages[i] = strtoull(at, &end, 10);
        is_read = end != at;
        at = end;
    }
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    struct rlimit  space = {0};
    struct rlimit  data = {0};
    uint64_t       left = UINT64_MAX;
    if (is_read && getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY) {
        left = least(left, minus(space.rlim_cur, pages[0] * page));
    }
    if (is_read && getrlimit(RLIMIT_DATA, &data) == 0 && data.rlim_cur != RLIM_INFINITY) {
        left = least(left, minus(data.rlim_cur, pages[5] * page));
    }
    return left;
}

uint64_t bt_memory_available(const char *root) {
    uint64_t left = UINT64_MAX;
    if (read_number(root, "/proc", "meminfo", "MemAvailable:", &left)) {
        left *= 1024;
    }
    return least(least(left, left_of_groups(root)), bt_memory_within_limits(root));
}

/* Not getrusage: its number is never below that of the program that started this one. */
int64_t bt_peak_resident_bytes(void) {
    uint64_t kib = 0;
    (void)read_number("", "/proc/self", "status", "VmHWM:", &kib);
    return (int64_t)kib * 1024;
}
