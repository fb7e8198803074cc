/* SPDX-License-Identifier: Apache-2.0
 *
 * In the place of this room where it is not built in: no plug-in can be opened, in one sentence. */
#include "bt/pjrt.h"

bool bt_pjrt_is_built_in(void) {
    return false;
}

bt_status bt_pjrt_append_build_info(bt_str *out, bt_error *err) {
    return bt_str_append(out, "plug-ins: none, this build is for processors only\n", err);
}

bt_status bt_pjrt_plugin_open(const char *path, bt_pjrt_purpose purpose, bt_pjrt_plugin **out,
                              bt_error *err) {
    (void)purpose;
    *out = NULL;
    return BT_FAIL(
        err, BT_E_UNSUPPORTED,
        "%s: this program was built without PJRT plug-ins, so it runs on processors only: "
        "run tools/get_pjrt.sh cpu and build it again (docs/devices.md)",
        path);
}
