/* SPDX-License-Identifier: Apache-2.0
 *
 * A shared library that is not a plug-in. */
int bt_no_plugin(void);

int bt_no_plugin(void) {
    return 0;
}
