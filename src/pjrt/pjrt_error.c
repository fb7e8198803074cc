/* SPDX-License-Identifier: Apache-2.0
 *
 * What a plug-in answers: its errors as ours, and the events that it hands out. */
#include <string.h>

#include "bt/base/alloc.h"
#include "pjrt_internal.h"

/* A plug-in's message may be pages long (a whole program, a stack). */
enum { MESSAGE_MAX = 640 };

/* On one line: control characters and runs of spaces become one space. */
static void copy_line(char out[MESSAGE_MAX + 4], const char *text, size_t n) {
    size_t len = 0;
    bool   blank = true; /* none at the start */
    for (size_t i = 0; i < n && len < MESSAGE_MAX; i++) {
        const bool is_blank = (unsigned char)text[i] <= ' ' || text[i] == 0x7f;
        if (!is_blank || !blank) {
            out[len++] = is_blank ? ' ' : text[i];
        }
        blank = is_blank;
    }
    const char *end = len == MESSAGE_MAX ? "..." : "";
    while (len > 0 && out[len - 1] == ' ') {
        len--;
    }
    memcpy(out + len, end, strlen(end) + 1);
}

static bt_status status_of(PJRT_Error_Code code) {
    /* Not a switch: plug-ins of later versions may know more codes. */
    return code == PJRT_Error_Code_RESOURCE_EXHAUSTED ? BT_E_NOMEM : BT_E_BACKEND;
}

bt_status pjrt_take_error(const bt_pjrt_plugin *plugin, PJRT_Error *error, const char *what,
                          bt_error *err) {
    if (error == NULL) {
        return BT_OK;
    }
    PJRT_ARGS(PJRT_Error_Message, message, .error = error);
    plugin->api->PJRT_Error_Message(&message);
    char line[MESSAGE_MAX + 4];
    copy_line(line, message.message != NULL ? message.message : "",
              message.message != NULL ? message.message_size : 0);
    PJRT_ARGS(PJRT_Error_GetCode, code, .error = error, .code = PJRT_Error_Code_UNKNOWN);
    pjrt_drop_error(plugin, plugin->api->PJRT_Error_GetCode(&code));
    pjrt_drop_error(plugin, error);
    return BT_FAIL(err, status_of(code.code), "%s: %s: %s", plugin->path, what,
                   line[0] != '\0' ? line : "the plug-in failed and does not say why");
}

bt_status pjrt_copy_text(const char *text, size_t n, char **out, bt_error *err) {
    *out = bt_strndup(text != NULL ? text : "", text != NULL ? n : 0);
    return *out != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "no memory for a text of a plug-in");
}

void pjrt_drop_error(const bt_pjrt_plugin *plugin, PJRT_Error *error) {
    if (error != NULL) {
        PJRT_ARGS(PJRT_Error_Destroy, destroy, .error = error);
        plugin->api->PJRT_Error_Destroy(&destroy);
    }
}

bt_status pjrt_await(const bt_pjrt_plugin *plugin, PJRT_Event *event, const char *what,
                     bt_error *err) {
    if (event == NULL) {
        return BT_OK;
    }
    PJRT_ARGS(PJRT_Event_Await, await, .event = event);
    PJRT_Error *const error = plugin->api->PJRT_Event_Await(&await);
    pjrt_drop_event(plugin, event);
    return pjrt_take_error(plugin, error, what, err);
}

void pjrt_drop_event(const bt_pjrt_plugin *plugin, PJRT_Event *event) {
    if (event != NULL) {
        PJRT_ARGS(PJRT_Event_Destroy, destroy, .event = event);
        pjrt_drop_error(plugin, plugin->api->PJRT_Event_Destroy(&destroy));
    }
}
