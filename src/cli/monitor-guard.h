/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The monitor with the kernel as its source: the driver scores and decides, what it finds comes into the same report. */
#ifndef IMSAFE_CLI_MONITOR_GUARD_H
#define IMSAFE_CLI_MONITOR_GUARD_H

#include "cli/monitor-report.h"
#include "cli/monitor-source.h"
#include "model/sites.h"

struct guard;

struct guarding {
	struct guard *guard; /* NULL: not in use */
	unsigned application;
	struct monitor_report *report;
	uint64_t sampled;
	struct scored_call unforeseen[HISTORY_CALLS]; /* in open episodes, all threads together: a ring */
	uint64_t n_unforeseen;
	bool dry_run;
};

struct guarding_config {
	const struct source_config *source;
	const struct image *image;
	const struct policy *policy;
	const struct sites *sites; /* none in it: they are not judged */
	enum response response;
	bool dry_run;
	bool view; /* every call is handed out */
};

/* Whether the kernel may be asked: live processes, and no other sensor was named. */
bool guarding_serves(const struct source_config *config);

/* Nothing is delivered before guarding_dispatch(). -EOPNOTSUPP if this build has no driver. */
int guarding_open(struct guarding *guarding, const struct guarding_config *config, struct errmsg *err);
void guarding_close(struct guarding *guarding);
pid_t guarding_command(const struct guarding *guarding); /* 0 = none */
int guarding_fd(const struct guarding *guarding);
int guarding_dispatch(struct guarding *guarding, struct errmsg *err); /* 1: go on, 0: all have ended, -errno */

/* For the report, whose data is the guarding. */
void guarding_stats(void *data, struct monitor_stats *ret_stats);

/* What the kernel could not do, in words; false if there is nothing to say. */
bool guarding_losses(const struct guarding *guarding, char *words, size_t size);

#endif
