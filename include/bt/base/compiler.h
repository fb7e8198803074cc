/* SPDX-License-Identifier: Apache-2.0
 *
 * What the compiler is told about a function, and the basic types that every header of ours uses.
 */
#ifndef BT_BASE_COMPILER_H
#define BT_BASE_COMPILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BT_MUST_USE __attribute__((warn_unused_result))
#define BT_PRINTF(fmt_index, first_arg) __attribute__((format(printf, fmt_index, first_arg)))
#define BT_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
