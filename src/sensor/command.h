/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A command that a sensor starts: forked first, so that the sensor can take hold of the process, and let go when that is
 * done. The command gets this process's file descriptors, directory, environment and controlling terminal as they are.
 */
#ifndef IMSAFE_SENSOR_COMMAND_H
#define IMSAFE_SENSOR_COMMAND_H

#include "sensor/sensor.h"

struct command {
	pid_t pid;
	int go;      /* a byte written here lets it run the program */
	int failure; /* the errno of execve comes here; end of file: it runs */
};

int command_start(const struct target *target, struct command *ret_command, struct errmsg *err);
int command_go(struct command *command);

/*
 * Waits until the program runs (0), or failed to: -ENOEXEC with err filled; the process is then ending. A process that is
 * traced has to be kept going meanwhile: ask only when it has stopped at the exec, or ended.
 */
int command_result(struct command *command, const struct target *target, struct errmsg *err);

void command_done(struct command *command); /* closes what is open; the process stays */
void command_kill(struct command *command); /* it has not run anything yet: ends it, reaps it, command_done */

#endif
