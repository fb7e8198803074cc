/* SPDX-License-Identifier: Apache-2.0
 *
 * Being asked to stop: SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 and SIGXCPU ask the process to
 * stop in good order: the handler writes one line at once and sets a flag; what waits or loops
 * over input asks for it. Any second signal has its default effect. Process-wide, as signals are;
 * safe from every thread. */
#ifndef BT_BASE_STOP_H
#define BT_BASE_STOP_H

#include "bt/base/status.h"

/* Called once, by main, after bt_log_setup. What was ignored at the start (nohup, a job in the
 * background) stays ignored. SIGPIPE is ignored, and a write beyond a file size limit (SIGXFSZ) is
 * an error of that write: both must not end a run that can still save. */
void bt_stop_install(void);
/* For a filter whose reader went away: ends as it would have without bt_stop_install, in silence.
 * Returns where SIGPIPE was ignored at the start. */
void bt_stop_broken_pipe(void);
bool bt_stop_requested(void); /* since the first signal: true */
int  bt_stop_signal(void);    /* which one; 0: none */
/* "SIGTERM", or "a request" for one without a name here. */
const char *bt_stop_signal_name(void);
/* For the line of the handler: "stopping WORDS; again to stop now". Static storage; NULL: just
 * "stopping". Returns what was there. */
const char *bt_stop_say(const char *words);

/* BT_E_INTERRUPTED "stopped by SIGTERM" once the process was asked. For loops over input and over
 * results, once a record or a line: it costs a load. Never in what saving needs. */
BT_MUST_USE bt_status bt_stop_check(bt_error *err);
/* Of this thread: what waits below it (for a server, for a lock) goes on although the process was
 * asked to stop, because the thread is saving. Nests; each true needs its false. A thread that
 * writes for another one shields itself. */
void bt_stop_shield(bool on);
/* Should a wait end now: was the process asked to stop, and is this thread not shielded? */
bool bt_stop_now(void);
/* As bt_stop_check, but only when bt_stop_now: for what saving may need as well. */
BT_MUST_USE bt_status bt_stop_check_now(bt_error *err);
/* Sleeps, in slices; false: cut short because bt_stop_now. A shielded thread is woken by the
 * request, too, and then sleeps as long as it likes. */
bool bt_stop_sleep(double seconds);
/* Readable once the process was asked to stop, for poll(2) and its kin; -1 before
 * bt_stop_install. Never read from it. */
int bt_stop_fd(void);

/* Another process of the same job got that signal, and this one stops with it. A signal that comes
 * to this one later is its first. */
void bt_stop_tell(int signal_number);

/* The state of the work is on disk: exit status 75 from now on, else 128 + signal. */
void bt_stop_mark_saved(void);
/* Of a run that ended with BT_E_INTERRUPTED. */
int bt_stop_exit_code(void);

/* As if the signal had come; 0 forgets everything. For tests. */
void bt_stop_set(int signal_number);

#endif
