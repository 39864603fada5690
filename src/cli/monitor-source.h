/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the monitor's events come from: a trace file, a sensor of its own, or sensors that send theirs over a socket. */
#ifndef IMSAFE_CLI_MONITOR_SOURCE_H
#define IMSAFE_CLI_MONITOR_SOURCE_H

#include <poll.h>
#include <stdbool.h>

#include "cli/targets.h"
#include "control/stream.h"

#define SOURCE_SENSORS 256 /* at once: one, or as many connections */

/* What the command line asks for. */
struct source_config {
	struct targets targets;
	const char *trace;   /* file, "-", or NULL */
	bool listen;
	const char *socket;  /* NULL: the usual one */
	bool follow_fork, follow_exec, origins;
	int interrupt;       /* of a trace that is a pipe: readable when it is not to be waited for; 0 = none */
};

struct source {
	struct sensor *sensors[SOURCE_SENSORS];
	bool checked[SOURCE_SENSORS];
	size_t n;
	struct stream_listener *listener;
	bool live;
	const char *sensor_name;
	uint64_t connections;
	char title[512];  /* what is watched, for people; not escaped */
	char record[512]; /* how "imsafe trace" would record it, shell words; "" if it can't */
	char note[512];   /* why not a better sensor; "" = nothing to say */
	struct errmsg warning; /* what went wrong with a connection, text "" = nothing; the reader empties it */
};

/* Whether the configuration makes sense; says if the source is live. Nothing is opened. */
int source_check(const struct source_config *config, bool *ret_live, struct errmsg *err);

/* Only in words: title and record. */
void source_describe(struct source *source, const struct source_config *config);

int source_open(struct source *source, const struct source_config *config, struct errmsg *err);
void source_close(struct source *source);
pid_t source_command(const struct source *source); /* that a sensor started, 0 = none */

/* Fills in what to poll for (at most SOURCE_SENSORS + 1) and says whether there is always work. */
size_t source_poll(const struct source *source, struct pollfd *fds, bool *ret_ready);

/* Called with the sensor before its events, and once with n = 0 when its info is complete. */
typedef int source_event_fn(void *data, struct sensor *sensor, const struct event *events, size_t n);

/* Whatever there is, without waiting. 1: go on, 0: all has ended, -errno. */
int source_dispatch(struct source *source, source_event_fn *fn, void *data, struct errmsg *err);

#endif
