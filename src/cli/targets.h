/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The live processes that a command line names: -p, -x, -u, --cgroup and -- COMMAND; and the sensor to watch them. */
#ifndef IMSAFE_CLI_TARGETS_H
#define IMSAFE_CLI_TARGETS_H

#include <limits.h>

#include "base/options.h"
#include "cli/service.h"
#include "sensor/sensor.h"

struct targets {
	struct option_list pids, exes, units, cgroups;
	char *const *command; /* NULL: none */
	const sigset_t *mask; /* of signals, for the command */
	const char *sensor;   /* which is to watch them; NULL: the best */
};

#define TARGETS_MAX (4 * OPTION_LIST_MAX + 1)

/* The options of a verb whose config has a struct targets as this field. */
#define TARGETS_OPTIONS(type, field)                                                                                       \
	OPTION_LIST('p', "pid", "PID", type, field.pids, "a running process with all its threads; may be given several times"), \
	OPTION_LIST('x', "exe", "FILE", type, field.exes, "all processes that run FILE, also ones not yet started"),        \
	OPTION_LIST('u', "unit", "UNIT", type, field.units, "all processes of a systemd unit"),                             \
	OPTION_LIST(0, "cgroup", "PATH", type, field.cgroups, "all processes of a control group"),                          \
	OPTION_STRING(0, "sensor", "auto|ebpf|ptrace", type, field.sensor, "ebpf (the driver), ptrace, or auto: the best that works here (default)")

/* Takes "-- COMMAND ..." off the arguments before options are read, as COMMAND has its own. NULL: there is none. */
char **targets_split_command(int *argc, char **argv);

size_t targets_count(const struct targets *targets);

/* -EINVAL with err filled if a PID is none. */
int targets_list(const struct targets *targets, struct target list[TARGETS_MAX], size_t *ret_n, struct errmsg *err);

/*
 * A file's name from a pattern: %p is the command's process id (0: there is none; then the first of -p, or ours), %t the
 * time, %% a %. Processes that write at the same time need a file each.
 */
int targets_file_name(const struct targets *targets, pid_t command, const char *pattern, char ret_path[PATH_MAX],
		      struct errmsg *err);

/* One line for each unit that has no process now: it is waited for, be it stopped or misspelt. */
void targets_say_waiting(const struct targets *targets, const struct messages *messages);

#endif
