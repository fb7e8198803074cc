/* SPDX-License-Identifier: Apache-2.0
 *
 * Standard output. A reader may be slow, stop reading for ever, or go away. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "bt/base/stop.h"
#include "bt/cli.h"

bt_status bt_cli_wait(int fd, short events, bt_error *err) {
    struct pollfd fds[] = {{.fd = fd, .events = events}, {.fd = bt_stop_fd(), .events = POLLIN}};
    while (poll(fds, BT_ARRAY_LEN(fds), -1) <= 0 || fds[0].revents == 0) {
        BT_TRY(bt_stop_check(err));
    }
    return BT_OK;
}

bt_status bt_cli_print(const bt_str *text, bt_cli_reader reader, bt_error *err) {
    const char *at = bt_str_text(text);
    for (size_t left = text->len; left > 0;) {
        BT_TRY(bt_cli_wait(STDOUT_FILENO, POLLOUT, err));
        /* a pipe that is ready takes so much without waiting */
        const ssize_t n = write(STDOUT_FILENO, at, left < PIPE_BUF ? left : PIPE_BUF);
        if (n < 0 && errno == EPIPE && reader != BT_READER_NEEDS_ALL) {
            if (reader == BT_READER_MAY_LEAVE) {
                bt_stop_broken_pipe();
            }
            return BT_OK;
        }
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            return BT_FAIL(err, BT_E_RESOURCE, "cannot write to standard output: %s",
                           strerror(errno));
        }
        at += n > 0 ? n : 0;
        left -= n > 0 ? (size_t)n : 0;
    }
    return BT_OK;
}
