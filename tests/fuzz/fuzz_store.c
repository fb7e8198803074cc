/* SPDX-License-Identifier: Apache-2.0
 *
 * The answers of stores: JSON of Google Cloud Storage, XML of S3. Lists give whole paths of that
 * bucket and nothing else. */
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "fuzz_targets.h"
#include "remote.h"
#include "s3_xml.h"
#ifdef BT_HAVE_CURL
#include "gcs.h"
#endif

static void check_names(bt_fs_names *names, const char *start) {
    for (size_t i = 0; i < names->n; i++) {
        if (!bt_str_starts_with(names->items[i], start)) {
            abort();
        }
    }
    bt_fs_names_deinit(names);
}

#ifdef BT_HAVE_CURL
static void parse_json(const char *text, size_t n) {
    bt_fs_names names = BT_FS_NAMES_INIT;
    bt_str      next = BT_STR_INIT;
    remote_info info = {0};
    if (gcs_parse_resource("gs://bucket/a", text, n, &info, NULL) == BT_OK &&
        (info.n_bytes < 0 || info.version <= 0)) {
        abort();
    }
    (void)(gcs_parse_list("bucket", text, n, &names, &next, NULL) == BT_OK);
    check_names(&names, "gs://bucket/");
    bt_str_deinit(&next);
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bt_fs_names names = BT_FS_NAMES_INIT;
    bt_str      token = BT_STR_INIT;
    char *const text = bt_strndup((const char *)data, size);
    if (text == NULL) {
        return 0;
    }
#ifdef BT_HAVE_CURL
    parse_json((const char *)data, size);
#endif
    (void)(s3_parse_list("bucket", text, size, &names, &token, NULL) == BT_OK);
    check_names(&names, "s3://bucket/");
    (void)remote_parse_time(text);
    bt_str_deinit(&token);
    bt_free(text);
    return 0;
}
