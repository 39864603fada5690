/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Running the user's command on an alarm. The command line is the user's own and goes to the shell as it is; what is known
 * of the alarm never becomes part of it: it stands in environment variables (IMSAFE_...) and, as JSON, on standard input.
 * Never waits: one command at a time, alarms in the meantime are counted and told to the next one.
 */
#ifndef IMSAFE_ALARM_HOOK_H
#define IMSAFE_ALARM_HOOK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/errmsg.h"

struct hook {
	const char *command;
	bool silent;      /* its output goes to /dev/null, not to our standard error */
	pid_t pid;        /* 0: none is running */
	int pidfd;        /* readable once it has ended */
	uint64_t runs, skipped, failed;
	uint64_t skipped_since; /* the latest run */
	int status;       /* wait status of the latest that ended */
};

void hook_init(struct hook *hook, const char *command, bool silent);
void hook_done(struct hook *hook); /* does not end a running command */

/*
 * Starts the command for an alarm (the object of output_json()). 1 if it runs, 0 if one was running already, -errno with
 * err filled if it cannot be started.
 */
int hook_run(struct hook *hook, json_t *alarm, struct errmsg *err);

/* Takes the end of a command, if it has ended: 1 if one is still running, 0 if not. */
int hook_reap(struct hook *hook);

/* Waits for its end up to so many milliseconds (-1: as long as it takes). 1 if it still runs. */
int hook_wait(struct hook *hook, int milliseconds);

#endif
