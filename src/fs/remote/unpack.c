/* SPDX-License-Identifier: Apache-2.0
 *
 * Unpacking an archive that may want to do harm. libarchive reads it; where each entry goes is
 * decided here, component by component, below the folder's own descriptor. */
#include <inttypes.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"

#ifdef BT_HAVE_ARCHIVE

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs_internal.h"
#include "remote.h"

enum { READ_BYTES = 1 << 18, MAX_DEPTH = 32, MAX_NAME = 1024, OPENING_BYTES = 1 << 18 };

typedef struct unpacking {
    const char     *path; /* of the archive, for messages */
    struct archive *archive;
    int             root;
    int64_t         max_entries;
    int64_t         max_bytes;
    int64_t         n_entries;
    int64_t         n_bytes;
    bt_fs_names    *content; /* not NULL: nothing is unpacked, each file's digest goes there */
} unpacking;

static bt_status fail_entry(const unpacking *u, const char *name, const char *why, bt_error *err) {
    char shown[200];
    (void)snprintf(shown, sizeof shown, "%s", name);
    for (char *p = shown; *p != '\0'; p++) {
        *p = (unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p;
    }
    return BT_FAIL(err, BT_E_FORMAT, "%s: refused to unpack '%s': %s", u->path, shown, why);
}

/* Relative, no "..", no empty or strange parts; "." parts are skipped by the caller. */
static const char *what_is_wrong_with(const char *name) {
    if (name[0] == '\0' || strlen(name) >= MAX_NAME) {
        return "its name is empty or too long";
    }
    if (name[0] == '/') {
        return "its path is absolute";
    }
    for (const char *p = name; *p != '\0';) {
        const size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.') {
            return "its path leaves the folder (..)";
        }
        p += n + (p[n] == '/' ? 1 : 0);
    }
    for (const char *p = name; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == '\\' || *p == 0x7f) {
            return "its name has characters that no name needs";
        }
    }
    return NULL;
}

/* Goes down one part, making the folder; *at is replaced. A link is never followed. */
static bt_status enter(const unpacking *u, int *at, const char *part, const char *name,
                       bt_error *err) {
    if (mkdirat(*at, part, 0777) != 0 && errno != EEXIST) {
        return BT_FAIL(err, BT_E_RESOURCE, "%s: cannot make the folder of %s: %s", u->path, name,
                       strerror(errno));
    }
    const int next = openat(*at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*at != u->root) {
        (void)close(*at);
    }
    *at = next;
    return next >= 0 ? BT_OK : fail_entry(u, name, "a file is where a folder must be", err);
}

/* The folder that name is in (owned unless it is the root) and its last part. */
static bt_status walk(const unpacking *u, const char *name, bool is_folder, int *folder,
                      char last[MAX_NAME], bt_error *err) {
    int at = u->root;
    int depth = 0;
    last[0] = '\0';
    for (const char *p = name; *p != '\0';) {
        const size_t n = strcspn(p, "/");
        if (n > 0 && !(n == 1 && p[0] == '.')) {
            if (last[0] != '\0') {
                BT_TRY(enter(u, &at, last, name, err));
            }
            memcpy(last, p, n);
            last[n] = '\0';
            if (++depth > MAX_DEPTH) {
                if (at != u->root) {
                    (void)close(at);
                }
                return fail_entry(u, name, "its folders are nested too deeply", err);
            }
        }
        p += n + (p[n] == '/' ? 1 : 0);
    }
    if (is_folder && last[0] != '\0') {
        BT_TRY(enter(u, &at, last, name, err));
    }
    *folder = at;
    return BT_OK;
}

static bt_status write_all(const unpacking *u, int fd, const uint8_t *bytes, size_t n,
                           const char *name, bt_error *err) {
    while (n > 0) {
        const ssize_t wrote = write(fd, bytes, n);
        if (wrote < 0 && errno != EINTR) {
            return BT_FAIL(err, BT_E_RESOURCE, "%s: cannot write %s: %s", u->path, name,
                           strerror(errno));
        }
        bytes += wrote > 0 ? wrote : 0;
        n -= wrote > 0 ? (size_t)wrote : 0;
    }
    return BT_OK;
}

/* libarchive without memory.
 * It tells of memory that is missing in three ways: by ENOMEM; by "damaged", where zlib, bzip2 or
 * lzma asked for it, and then only errno knows; and, while it puts a name together, by exit(1). */

static _Thread_local bool is_inside;
static pthread_once_t     once = PTHREAD_ONCE_INIT;

/* At exit(), on the thread that calls it. */
static void end_inside(void) {
    static const char line[] = "error: out of memory: cannot unpack an archive\n";
    if (is_inside) {
        (void)!write(STDERR_FILENO, line, sizeof line - 1);
        _exit(bt_status_exit_code(BT_E_NOMEM));
    }
}

static void register_end(void) {
    (void)atexit(end_inside);
}

static void enter_library(void) {
    is_inside = true;
    errno = 0;
}

static void leave_library(void) {
    is_inside = false;
}

static bt_status fail_memory(const unpacking *u, bt_error *err) {
    return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot unpack %s", u->path);
}

/* After a call between enter_library() and leave_library() that failed. */
static bt_status fail_reading(const unpacking *u, const char *name, const char *what,
                              bt_error *err) {
    const bool        is_memory = errno == ENOMEM || archive_errno(u->archive) == ENOMEM;
    const char *const why = archive_error_string(u->archive);
    return is_memory ? fail_memory(u, err)
                     : BT_FAIL(err, BT_E_FORMAT, "%s: %s%s%s: %s", u->path, name,
                               name[0] != '\0' ? " " : "", what, why != NULL ? why : "no reason");
}

/* The content of the current entry to the file, or into the digest. */
static bt_status copy_content(unpacking *u, int fd, bt_fs_hasher *hasher, const char *name,
                              bt_error *err) {
    bt_status      rc = BT_OK;
    uint8_t *const buffer = bt_alloc(READ_BYTES);
    if (buffer == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot unpack %s", u->path);
    }
    for (;;) {
        enter_library();
        const la_ssize_t n = archive_read_data(u->archive, buffer, READ_BYTES);
        leave_library();
        if (n < 0) {
            rc = fail_reading(u, name, "is damaged", err);
            break;
        }
        if (n == 0) {
            break;
        }
        u->n_bytes += n;
        if (u->n_bytes > u->max_bytes) {
            rc = BT_FAIL(err, BT_E_FORMAT,
                         "%s: unpacks to more than %" PRId64 " bytes: not unpacked any further",
                         u->path, u->max_bytes);
            break;
        }
        if (hasher != NULL) {
            BT_CHECK(bt_fs_hasher_add(hasher, buffer, (size_t)n, err));
        } else {
            BT_CHECK(write_all(u, fd, buffer, (size_t)n, name, err));
        }
    }
done:
    bt_free(buffer);
    return rc;
}

static bt_status unpack_file(unpacking *u, const char *name, bt_error *err) {
    int  folder = -1;
    char last[MAX_NAME];
    BT_TRY(walk(u, name, false, &folder, last, err));
    bt_status rc = BT_OK;
    const int fd =
        last[0] == '\0'
            ? -1
            : openat(folder, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0) {
        rc = errno == EEXIST || last[0] == '\0'
                 ? fail_entry(u, name, "the name appears twice", err)
                 : BT_FAIL(err, BT_E_RESOURCE, "%s: cannot create %s: %s", u->path, name,
                           strerror(errno));
    } else {
        rc = copy_content(u, fd, NULL, name, err);
        (void)close(fd);
    }
    if (folder != u->root) {
        (void)close(folder);
    }
    return rc;
}

/* "./a//b" -> "a/b": as it will be called below the folder. */
static bt_status append_plain_name(bt_str *out, const char *name, bt_error *err) {
    for (const char *p = name; *p != '\0';) {
        const size_t n = strcspn(p, "/");
        if (n > 0 && !(n == 1 && p[0] == '.')) {
            BT_TRY(bt_str_append(out, out->len > 0 ? "/" : "", err));
            BT_TRY(bt_str_append_n(out, p, n, err));
        }
        p += n + (p[n] == '/' ? 1 : 0);
    }
    return BT_OK;
}

static bt_status note_file(unpacking *u, const char *name, bt_error *err) {
    bt_status     rc = BT_OK;
    bt_fs_hasher *hasher = NULL;
    bt_str        line = BT_STR_INIT;
    char          hex[BT_FS_HEX_MAX];
    BT_CHECK(bt_fs_hasher_create(BT_FS_SHA256, &hasher, err));
    BT_CHECK(append_plain_name(&line, name, err));
    BT_CHECK(copy_content(u, -1, hasher, name, err));
    BT_CHECK(bt_fs_hasher_finish(hasher, hex, err));
    BT_CHECK(bt_str_appendf(&line, err, "\n%s", hex));
    BT_CHECK(fs_names_add(u->content, bt_str_text(&line), err));
done:
    bt_fs_hasher_free(hasher);
    bt_str_deinit(&line);
    return rc;
}

static bt_status unpack_folder(const unpacking *u, const char *name, bt_error *err) {
    int  folder = -1;
    char last[MAX_NAME];
    BT_TRY(walk(u, name, true, &folder, last, err));
    if (folder != u->root) {
        (void)close(folder);
    }
    return BT_OK;
}

static bt_status unpack_entry(unpacking *u, struct archive_entry *entry, bt_error *err) {
    enter_library();
    const char *const name = archive_entry_pathname(entry);
    const char *const hard = archive_entry_hardlink(entry);
    const char *const soft = archive_entry_symlink(entry);
    leave_library();
    if (errno == ENOMEM) {
        return fail_memory(u, err);
    }
    if (name == NULL) {
        return fail_entry(u, "?", "its name is not text", err);
    }
    const char *const wrong = what_is_wrong_with(name);
    if (wrong != NULL) {
        return fail_entry(u, name, wrong, err);
    }
    if (hard != NULL || soft != NULL) {
        return fail_entry(u, name, "it is a link", err);
    }
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
        return u->content != NULL ? note_file(u, name, err) : unpack_file(u, name, err);
    case AE_IFDIR:
        return u->content != NULL ? BT_OK : unpack_folder(u, name, err);
    default:
        return fail_entry(u, name, "it is neither a file nor a folder", err);
    }
}

static bt_status unpack_all(unpacking *u, bt_error *err) {
    for (;;) {
        struct archive_entry *entry = NULL;
        enter_library();
        const int result = archive_read_next_header(u->archive, &entry);
        leave_library();
        if (errno == ENOMEM) { /* also where it went on without: a name may be lost */
            return fail_memory(u, err);
        }
        if (result == ARCHIVE_EOF) {
            break;
        }
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
            return fail_reading(u, "", "no archive, or a damaged one", err);
        }
        if (++u->n_entries > u->max_entries) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "%s: has more than %" PRId64 " entries: not unpacked any further",
                           u->path, u->max_entries);
        }
        BT_TRY(unpack_entry(u, entry, err));
    }
    return u->n_entries > 0
               ? BT_OK
               : BT_FAIL(err, BT_E_FORMAT, "%s: an archive with nothing in it", u->path);
}

static bt_status read_archive(unpacking *u, bt_error *err) {
    static int (*const parts[])(struct archive *) = {
        archive_read_support_format_tar, archive_read_support_filter_gzip,
        archive_read_support_filter_bzip2, archive_read_support_filter_xz};
    (void)pthread_once(&once, register_end);
    /* its filter for xz crashes where it has no memory to begin: what it needs then is free then */
    uint8_t *const reserve = bt_alloc(OPENING_BYTES);
    enter_library();
    u->archive = reserve != NULL ? archive_read_new() : NULL;
    if (u->archive == NULL || errno == ENOMEM) { /* it may lack its entry, and crash later */
        leave_library();
        bt_free(reserve);
        (void)archive_read_free(u->archive);
        return fail_memory(u, err);
    }
    bool is_ready = true;
    for (size_t i = 0; i < BT_ARRAY_LEN(parts); i++) {
        is_ready = parts[i](u->archive) != ARCHIVE_FATAL && is_ready;
    }
    bt_free(reserve);
    const bool is_open =
        is_ready && archive_read_open_filename(u->archive, u->path, READ_BYTES) == ARCHIVE_OK;
    leave_library();
    const bt_status rc = is_open    ? unpack_all(u, err)
                         : is_ready ? fail_reading(u, "", "no archive", err)
                                    : fail_memory(u, err);
    (void)archive_read_free(u->archive);
    return rc;
}

bt_status bt_fs_unpack(const char *path, const char *folder, int64_t max_entries, int64_t max_bytes,
                       bt_error *err) {
    unpacking u = {.path = path, .max_entries = max_entries, .max_bytes = max_bytes};
    u.root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (u.root < 0) {
        return BT_FAIL(err, BT_E_RESOURCE, "%s: cannot unpack into %s: %s", path, folder,
                       strerror(errno));
    }
    const bt_status rc = read_archive(&u, err);
    (void)close(u.root);
    return rc;
}

bt_status bt_fs_archive_content(const char *path, int64_t max_entries, int64_t max_bytes,
                                bt_fs_names *out, bt_error *err) {
    bt_fs_names     names = BT_FS_NAMES_INIT;
    unpacking       u = {.path = path,
                         .root = -1,
                         .max_entries = max_entries,
                         .max_bytes = max_bytes,
                         .content = &names};
    const bt_status rc = read_archive(&u, err);
    if (rc != BT_OK) {
        bt_fs_names_deinit(&names);
        return rc;
    }
    fs_names_sort(&names);
    *out = names;
    return BT_OK;
}

static const char *archive_library(void) {
    return archive_version_string();
}

#else

bt_status bt_fs_unpack(const char *path, const char *folder, int64_t max_entries, int64_t max_bytes,
                       bt_error *err) {
    (void)folder, (void)max_entries, (void)max_bytes;
    return BT_FAIL(err, BT_E_UNSUPPORTED,
                   "%s: this build has no libarchive and cannot unpack it (--version says what is "
                   "built in): unpack it yourself and name the folder",
                   path);
}

bt_status bt_fs_archive_content(const char *path, int64_t max_entries, int64_t max_bytes,
                                bt_fs_names *out, bt_error *err) {
    (void)out;
    return bt_fs_unpack(path, "", max_entries, max_bytes, err);
}

static const char *archive_library(void) {
    return NULL;
}

#endif

#include "http.h"
#include "s3_xml.h"
#include "secrets.h"

bt_status bt_fs_append_build_info(bt_str *out, bt_error *err) {
#ifdef BT_HAVE_CURL
    const char *const curl = http_library();
#else
    const char *const curl = NULL;
#endif
    const char *const ssl = secrets_library();
    const char *const archive = archive_library();
    const char *const xml = s3_xml_library();
    return bt_str_appendf(out, err, "remote files: %s\ns3: %s\nmodules: %s; %s\n",
                          curl != NULL ? curl : "not built in (no libcurl)",
                          xml != NULL ? xml : "not built in (no expat)",
                          ssl != NULL ? ssl : "no OpenSSL",
                          archive != NULL ? archive : "no libarchive");
}
