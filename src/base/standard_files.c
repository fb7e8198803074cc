/* SPDX-License-Identifier: Apache-2.0
 *
 * Descriptors 0 to 2 are taken before anything else is opened: a program that is started with one
 * of them closed would give its number to the first file that it opens, and log lines would go
 * into that file. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "bt/base/standard_files.h"

bool bt_hold_standard_files(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) {
            continue;
        }
        int opened = open("/dev/null", O_RDWR); /* the lowest free number, which is fd */
        if (opened < 0) {
            opened =
                open("/", O_RDONLY); /* no /dev: what is written is refused, and nowhere else */
        }
        if (opened != fd) {
            return false;
        }
    }
    return true;
}
