/* SPDX-License-Identifier: Apache-2.0
 *
 * wire, private: the tags under which TensorBoard's HParams plug-in looks for a session. */
#ifndef BT_EVENT_SESSION_H
#define BT_EVENT_SESSION_H

extern const char events_session_start[];
extern const char events_session_end[];

#endif
