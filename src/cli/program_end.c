/* SPDX-License-Identifier: Apache-2.0
 *
 * How every program ends. Errors are shown whatever --verbosity says. */
#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "bt/cli.h"

int bt_cli_end(bt_status rc, const bt_error *err) {
    if (rc == BT_OK) {
        return bt_status_exit_code(rc);
    }
    if (rc == BT_E_INTERRUPTED) {
        const int code = bt_stop_exit_code();
        if (err->msg[0] != '\0') {
            bt_log(BT_LOG_INFO, "%s%s", err->msg,
                   code == bt_status_exit_code(rc) ? "" : "; there was nothing to save");
        }
        return code;
    }
    if (err->msg[0] != '\0') {
        bt_log(BT_LOG_ERROR, "%s", err->msg);
    }
    if (rc == BT_E_INTERNAL) {
        bt_log(BT_LOG_ERROR,
               "this is a bug of this program (%s:%d); please report it with the command line",
               err->file != NULL ? err->file : "?", err->line);
    }
    return bt_status_exit_code(rc);
}
