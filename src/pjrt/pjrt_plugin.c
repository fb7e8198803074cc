/* SPDX-License-Identifier: Apache-2.0
 *
 * Loading a plug-in: the environment before, dlopen, and whether its interface is one that this
 * program can call. Versions 0.x only grow: a plug-in may be newer or older than the header, as
 * long as its table of functions reaches the last one that is called here. */
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"
#include "pjrt_internal.h"

/* The last member of the table that this room calls. */
#define LAST_CALLED PJRT_Executable_GetCompiledMemoryStats

typedef const PJRT_Api *(*get_api_fn)(void);

/* A function of a shared library; POSIX has it as an object pointer. */
static get_api_fn find_function(void *library, const char *name) {
    void *const object = dlsym(library, name);
    get_api_fn  function = NULL;
    memcpy(&function, &object, sizeof function);
    return function;
}

static bt_status check_api(const char *path, const PJRT_Api *api, bt_error *err) {
    /* size and version stand first in every version of the table */
    if (api == NULL || api->struct_size < offsetof(PJRT_Api, PJRT_Error_Destroy)) {
        return BT_FAIL(err, BT_E_BACKEND,
                       "%s: GetPjrtApi gives no table of functions: this is not a PJRT plug-in",
                       path);
    }
    const int major = api->pjrt_api_version.major_version;
    const int minor = api->pjrt_api_version.minor_version;
    if (major != PJRT_API_MAJOR) {
        return BT_FAIL(
            err, BT_E_BACKEND,
            "%s: a plug-in of PJRT interface %d.%d; this program calls %d.x (0.%d when it "
            "was built): take another version of the plug-in (docs/devices.md)",
            path, major, minor, PJRT_API_MAJOR, PJRT_API_MINOR);
    }
    const size_t needed = offsetof(PJRT_Api, LAST_CALLED) + sizeof api->LAST_CALLED;
    if (api->struct_size < needed) {
        return BT_FAIL(
            err, BT_E_BACKEND,
            "%s: a plug-in of PJRT interface %d.%d, whose table of functions has %zu bytes; "
            "this program needs %zu: take a newer plug-in (docs/devices.md)",
            path, major, minor, api->struct_size, needed);
    }
    return BT_OK;
}

/* How many bytes a library has by its own header; 0 where that cannot be told. */
static uint64_t promised_bytes(const bt_file *file) {
    bt_error ignored = BT_ERROR_INIT;
    ElfW(Ehdr) head = {0};
    ElfW(Phdr) part = {0};
    size_t        got = 0;
    uint64_t      needed = 0;
    const int64_t size = bt_fs_size(file);
    if (bt_fs_read_upto(file, 0, &head, sizeof head, &got, &ignored) != BT_OK ||
        got < sizeof head || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
        head.e_phentsize != sizeof part || head.e_phoff > (uint64_t)size) {
        return 0;
    }
    for (size_t i = 0; i < head.e_phnum; i++) {
        const int64_t offset = (int64_t)(head.e_phoff + i * sizeof part);
        if (bt_fs_read_upto(file, offset, &part, sizeof part, &got, &ignored) != BT_OK ||
            got < sizeof part) {
            return 0;
        }
        const uint64_t end = part.p_offset + part.p_filesz;
        needed = part.p_type == PT_LOAD && end > needed ? end : needed;
    }
    return needed;
}

/* A file that ends before what its header promises (a copy that broke off) would kill this process
 * inside dlopen, with SIGBUS. All else that is not a library, or cannot be read, is left to dlopen.
 */
static bt_status check_whole(const char *path, bt_error *err) {
    bt_error ignored = BT_ERROR_INIT;
    bt_file *file = NULL;
    if (bt_fs_open(path, &file, &ignored) != BT_OK) {
        return BT_OK;
    }
    const uint64_t needed = promised_bytes(file);
    const int64_t  size = bt_fs_size(file);
    bt_fs_close(file);
    return needed <= (uint64_t)size
               ? BT_OK
               : BT_FAIL(err, BT_E_BACKEND,
                         "%s: not a plug-in that can be loaded: it has %lld bytes of the %llu that "
                         "its header promises: it was not copied whole, fetch it again",
                         path, (long long)size, (unsigned long long)needed);
}

static bt_status load(const char *path, const PJRT_Api **api, bt_error *err) {
    BT_TRY(check_whole(path, err));
    void *const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        const char *const why = dlerror();
        return BT_FAIL(err, BT_E_BACKEND, "%s: not a plug-in that can be loaded: %s", path,
                       why != NULL ? why : "the dynamic loader does not say why");
    }
    const get_api_fn get_api = find_function(library, "GetPjrtApi");
    if (get_api == NULL) {
        (void)dlclose(library); /* nothing of it ran but its constructors */
        return BT_FAIL(err, BT_E_BACKEND,
                       "%s: a shared library without the function GetPjrtApi: no PJRT plug-in",
                       path);
    }
    *api = get_api();
    return check_api(path, *api, err);
}

bt_status bt_pjrt_plugin_open(const char *path, bt_pjrt_purpose purpose, bt_pjrt_plugin **out,
                              bt_error *err) {
    bt_status       rc = BT_OK;
    bt_pjrt_plugin *plugin = bt_calloc_array(1, sizeof *plugin);
    if (plugin == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "no memory for a plug-in");
    }
    bt_error why = BT_ERROR_INIT;
    if (bt_fs_require_file(path, NULL, &why) != BT_OK) {
        rc = BT_FAIL(err, BT_E_BACKEND, "there is no plug-in: %s", why.msg);
        goto done;
    }
    /* absolute: dlopen would look for a bare name elsewhere */
    BT_CHECK(bt_fs_canonical(path, &plugin->path, err));
    BT_CHECK(pjrt_set_environment(purpose, err));
    BT_CHECK(load(plugin->path, &plugin->api, err));
    PJRT_ARGS(PJRT_Plugin_Initialize, initialize, .extension_start = NULL);
    BT_CHECK(pjrt_take_error(plugin, plugin->api->PJRT_Plugin_Initialize(&initialize),
                             "the plug-in does not start", err));
    *out = plugin;
    plugin = NULL;
done:
    bt_pjrt_plugin_close(plugin);
    return rc;
}

void bt_pjrt_plugin_close(bt_pjrt_plugin *plugin) {
    if (plugin != NULL) {
        bt_free(plugin->path);
        bt_free(plugin);
    }
}

const char *bt_pjrt_plugin_path(const bt_pjrt_plugin *plugin) {
    return plugin->path;
}

int bt_pjrt_plugin_api_minor(const bt_pjrt_plugin *plugin) {
    return plugin->api->pjrt_api_version.minor_version;
}

bool bt_pjrt_is_built_in(void) {
    return true;
}

bt_status bt_pjrt_append_build_info(bt_str *out, bt_error *err) {
    return bt_str_appendf(out, err, "plug-ins: PJRT interface %d.%d\n", PJRT_API_MAJOR,
                          PJRT_API_MINOR);
}
