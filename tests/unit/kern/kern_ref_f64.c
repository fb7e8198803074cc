/* SPDX-License-Identifier: Apache-2.0
 *
 * The portable kernels once more, in double: the yardstick of the kernel tests. */
#define BT_KERN_REF_F64
#include "../../../src/kern/kern_ref.c"
#include "../../../src/kern/kern_ref_optim.c"
