/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Responses to an alarm: freezing or killing the process. Only when asked for. The call that raised the alarm is under
 * way when the signal is sent: that call is not prevented, only what would come after it.
 */
#ifndef IMSAFE_ALARM_RESPOND_H
#define IMSAFE_ALARM_RESPOND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum response { RESPONSE_NONE, RESPONSE_STOP, RESPONSE_KILL };

int response_by_name(const char *name); /* "none", "stop", "kill"; -ENOENT */

/*
 * Sends the signal to the process pid, if it still has the thread tid (a process id that was used again meanwhile is left
 * alone). pid 0: the process that the thread belongs to. Never to process 1 or to ourselves. 0 or -errno; what was
 * done, or why not, is put in words either way.
 */
int respond(enum response response, bool dry_run, uint32_t pid, uint32_t tid, char *ret_words, size_t size);

#endif
