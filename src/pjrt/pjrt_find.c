/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a plug-in is: what the environment says, then what is installed for Python, then where
 * tools/get_pjrt.sh puts it. What the user named and is not there is an error; nothing else is
 * taken in its place. Only looks at names: whether a file is a plug-in shows when it is loaded. */
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"
#include "bt/pjrt.h"

/* Where a wheel has its plug-in, below site-packages and below FOLDER/NAME of get_pjrt.sh. */
typedef struct wheel_row {
    bt_pjrt_kind kind;
    const char  *name; /* as tools/get_pjrt.sh calls it */
    const char  *file;
} wheel_row;

/* The first that is there is taken. */
static const wheel_row wheels[] = {
    {BT_PJRT_CPU, "cpu", "xla_plugins/xla_cpu_pjrt/xla_cpu_pjrt.so"},
    {BT_PJRT_CUDA, "cuda13", "jax_plugins/xla_cuda13/xla_cuda_plugin.so"},
    {BT_PJRT_CUDA, "cuda12", "jax_plugins/xla_cuda12/xla_cuda_plugin.so"},
    {BT_PJRT_TPU, "tpu", "libtpu/libtpu.so"},
};

/* NULL where it is not set, or empty. */
static const char *variable(const char *name) {
    const char *const value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* PREFIX/MIDDLE/FILE if that is a file, else *out stays. MIDDLE may be "". */
static bt_status take_file(const char *prefix, const char *middle, const char *file, char **out,
                           bt_error *err) {
    bt_status rc = BT_OK;
    char     *folder = NULL;
    char     *path = NULL;
    BT_CHECK(bt_fs_join(prefix, middle, &folder, err));
    BT_CHECK(bt_fs_join(middle[0] != '\0' ? folder : prefix, file, &path, err));
    if (bt_fs_require_file(path, NULL, NULL) == BT_OK) {
        *out = path;
        path = NULL;
    }
done:
    bt_free(folder);
    bt_free(path);
    return rc;
}

/* Does a name of PJRT_NAMES_AND_LIBRARY_PATHS mean this kind? */
static bool is_name_of(bt_pjrt_kind kind, const char *name, size_t n) {
    static const struct {
        bt_pjrt_kind kind;
        const char  *name;
    } rows[] = {{BT_PJRT_CPU, "cpu"},  {BT_PJRT_CPU, "xla_cpu"}, {BT_PJRT_CUDA, "cuda"},
                {BT_PJRT_CUDA, "gpu"}, {BT_PJRT_CUDA, "cuda12"}, {BT_PJRT_CUDA, "cuda13"},
                {BT_PJRT_TPU, "tpu"}};
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (rows[i].kind == kind && strlen(rows[i].name) == n &&
            strncmp(rows[i].name, name, n) == 0) {
            return true;
        }
    }
    return false;
}

/* A file that a variable names: it must be there. */
static bt_status take_named(const char *name, const char *path, char **out, bt_error *err) {
    bt_error why = BT_ERROR_INIT;
    if (bt_fs_require_file(path, NULL, &why) != BT_OK) {
        return BT_FAIL(err, BT_E_BACKEND, "the variable %s names no plug-in: %s", name, why.msg);
    }
    *out = bt_strdup(path);
    return *out != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "no memory for a path");
}

/* "NAME:PATH,NAME:PATH", as JAX and PyTorch/XLA read it. */
static bt_status find_in_list(bt_pjrt_kind kind, char **out, bt_error *err) {
    static const char name[] = "PJRT_NAMES_AND_LIBRARY_PATHS";
    const char       *list = variable(name);
    while (list != NULL && *list != '\0') {
        const size_t      n = strcspn(list, ",");
        const char *const colon = memchr(list, ':', n);
        if (colon == NULL) {
            return BT_FAIL(err, BT_E_BACKEND,
                           "the variable %s has '%.*s', which is not NAME:PATH (cpu:/a/b.so)", name,
                           (int)n, list);
        }
        if (is_name_of(kind, list, (size_t)(colon - list))) {
            char *const path = bt_strndup(colon + 1, n - (size_t)(colon + 1 - list));
            if (path == NULL) {
                return BT_FAIL(err, BT_E_NOMEM, "no memory for a path");
            }
            const bt_status rc = take_named(name, path, out, err);
            bt_free(path);
            return rc;
        }
        list += n + (list[n] == ',' ? 1 : 0);
    }
    return BT_OK;
}

static bt_status find_named(bt_pjrt_kind kind, char **out, bt_error *err) {
    BT_TRY(find_in_list(kind, out, err));
    const char *const tpu = variable("TPU_LIBRARY_PATH");
    if (*out == NULL && kind == BT_PJRT_TPU && tpu != NULL) {
        return take_named("TPU_LIBRARY_PATH", tpu, out, err);
    }
    return BT_OK;
}

/* PREFIX/lib/python3*: its site-packages, and dist-packages as Debian has them. */
static bt_status find_below_prefix(const char *prefix, const char *file, char **out,
                                   bt_error *err) {
    bt_status   rc = BT_OK;
    bt_fs_names names = BT_FS_NAMES_INIT;
    char       *lib = NULL;
    char       *python = NULL;
    BT_CHECK(bt_fs_join(prefix, "lib", &lib, err));
    if (bt_fs_list(lib, &names, NULL) != BT_OK) {
        goto done; /* no such folder, or not ours to read: nothing is installed there for us */
    }
    for (size_t i = 0; i < names.n && *out == NULL; i++) {
        if (bt_str_starts_with(names.items[i], "python3")) {
            bt_free(python);
            python = NULL;
            BT_CHECK(bt_fs_join(lib, names.items[i], &python, err));
            BT_CHECK(take_file(python, "site-packages", file, out, err));
            if (*out == NULL) {
                BT_CHECK(take_file(python, "dist-packages", file, out, err));
            }
        }
    }
done:
    bt_fs_names_deinit(&names);
    bt_free(lib);
    bt_free(python);
    return rc;
}

typedef bt_status (*folder_fn)(const char *folder, const char *file, char **out, bt_error *err);

static bt_status find_below_folder(const char *folder, const char *file, char **out,
                                   bt_error *err) {
    return take_file(folder, "", file, out, err);
}

/* The first python3 of PATH: what is installed for it. */
static bt_status find_beside_python(const char *folder, const char *file, char **out,
                                    bt_error *err) {
    bt_status rc = BT_OK;
    char     *python = NULL;
    char     *prefix = NULL;
    BT_CHECK(bt_fs_join(folder, "python3", &python, err));
    if (bt_fs_exists(python)) {
        BT_CHECK(bt_fs_parent(folder, &prefix, err));
        BT_CHECK(find_below_prefix(prefix, file, out, err));
    }
done:
    bt_free(python);
    bt_free(prefix);
    return rc;
}

/* fn for each folder of a list like PATH, until one has it. list may be NULL. */
static bt_status each_folder(const char *list, folder_fn fn, const char *file, char **out,
                             bt_error *err) {
    while (list != NULL && *list != '\0' && *out == NULL) {
        const size_t n = strcspn(list, ":");
        if (n > 0) {
            char *const folder = bt_strndup(list, n);
            if (folder == NULL) {
                return BT_FAIL(err, BT_E_NOMEM, "no memory for a path");
            }
            const bt_status rc = fn(folder, file, out, err);
            bt_free(folder);
            BT_TRY(rc);
        }
        list += n + (list[n] == ':' ? 1 : 0);
    }
    return BT_OK;
}

static bt_status find_in_python(const char *file, char **out, bt_error *err) {
    BT_TRY(each_folder(variable("PYTHONPATH"), find_below_folder, file, out, err));
    BT_TRY(each_folder(variable("VIRTUAL_ENV"), find_below_prefix, file, out, err));
    BT_TRY(each_folder(variable("CONDA_PREFIX"), find_below_prefix, file, out, err));
    BT_TRY(each_folder(variable("PATH"), find_beside_python, file, out, err));
    const char *const home = variable("HOME");
    if (home != NULL && *out == NULL) {
        char     *local = NULL;
        bt_status rc = bt_fs_join(home, ".local", &local, err);
        rc = rc == BT_OK ? find_below_prefix(local, file, out, err) : rc;
        bt_free(local);
        BT_TRY(rc);
    }
    return each_folder("/usr/local:/usr", find_below_prefix, file, out, err);
}

bt_status bt_pjrt_append_folder(bt_str *out, bt_error *err) {
    if (variable("BERT_TRAIN_PJRT_DIR") != NULL) {
        return bt_str_append(out, variable("BERT_TRAIN_PJRT_DIR"), err);
    }
    if (variable("XDG_CACHE_HOME") != NULL) {
        return bt_str_appendf(out, err, "%s/bert-train/pjrt", variable("XDG_CACHE_HOME"));
    }
    const char *const home = variable("HOME");
    return bt_str_appendf(out, err, "%s/.cache/bert-train/pjrt", home != NULL ? home : "");
}

bt_status bt_pjrt_plugin_find(bt_pjrt_kind kind, char **path, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    folder = BT_STR_INIT;
    char     *found = NULL;
    BT_CHECK(find_named(kind, &found, err));
    for (size_t i = 0; i < BT_ARRAY_LEN(wheels) && found == NULL; i++) {
        if (wheels[i].kind == kind) {
            BT_CHECK(find_in_python(wheels[i].file, &found, err));
        }
    }
    BT_CHECK(bt_pjrt_append_folder(&folder, err));
    for (size_t i = 0; i < BT_ARRAY_LEN(wheels) && found == NULL; i++) {
        if (wheels[i].kind == kind) {
            BT_CHECK(take_file(bt_str_text(&folder), wheels[i].name, wheels[i].file, &found, err));
        }
    }
    if (found == NULL) {
        rc = BT_FAIL(
            err, BT_E_BACKEND,
            "no PJRT plug-in for %s is here: neither PJRT_NAMES_AND_LIBRARY_PATHS%s, nor "
            "Python's site-packages, nor %s has one; run tools/get_pjrt.sh %s, or name one "
            "with runtime.pjrt_plugin=PATH (docs/devices.md)",
            bt_pjrt_kind_name(kind), kind == BT_PJRT_TPU ? " or TPU_LIBRARY_PATH" : "",
            bt_str_text(&folder), kind == BT_PJRT_CUDA ? "cuda13" : bt_pjrt_kind_name(kind));
        goto done;
    }
    *path = found;
    found = NULL;
done:
    bt_str_deinit(&folder);
    bt_free(found);
    return rc;
}
