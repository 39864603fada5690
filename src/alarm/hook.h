/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Running the user's command on an alarm. The command line is the user's own and goes to the shell as it is; what is known
 * of the alarm never becomes part of it: it stands in environment variables (IMSAFE_...) and, as JSON, on standard input.
 * Never waits: one command at a time. Alarms in the meantime that are news wait in a queue; others, and what does not fit in
 * it, are counted and told to the next command.
 */
#ifndef IMSAFE_ALARM_HOOK_H
#define IMSAFE_ALARM_HOOK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/errmsg.h"

#define HOOK_QUEUE 64

struct hook {
	const char *command;
	bool silent;      /* its output goes to /dev/null, not to our standard error */
	pid_t pid;        /* 0: none is running */
	int pidfd;        /* readable once it has ended */
	uint64_t runs, skipped, failed;
	uint64_t skipped_since; /* the latest run */
	json_t *queue[HOOK_QUEUE]; /* a ring */
	size_t queued, queue_at;
	int status;       /* wait status of the latest that ended */
};

void hook_init(struct hook *hook, const char *command, bool silent);
void hook_done(struct hook *hook); /* does not end a running command */

/*
 * Starts the command for an alarm (the object of output_json()). 1 if it runs, 0 if one was running already, -errno with
 * err filled if it cannot be started. wait: if one is running, the alarm's turn comes later.
 */
int hook_run(struct hook *hook, json_t *alarm, bool wait, struct errmsg *err);

/* Takes the end of a command, if it has ended, and starts the next that waits: 1 if one is running, 0 if not. */
int hook_reap(struct hook *hook);

/* Waits for its end, and of those that wait, up to so many milliseconds (-1: as long as it takes). 1 if it still runs. */
int hook_wait(struct hook *hook, int milliseconds);

#endif
