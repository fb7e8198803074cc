/* SPDX-License-Identifier: Apache-2.0
 *
 * The descriptors 0 to 2. */
#ifndef BT_BASE_STANDARD_FILES_H
#define BT_BASE_STANDARD_FILES_H

#include "bt/base/compiler.h"

/* Those that were closed when the program started are opened on /dev/null, so that no file gets
 * their numbers. First in main; false: that cannot be done. */
bool bt_hold_standard_files(void);

#endif
