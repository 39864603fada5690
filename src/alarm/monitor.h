/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watching a stream of events against an image: a score per thread, an alarm per episode, the calls before it.
 * The alarm decision itself is score_step()'s; here it gets its context. Not thread-safe per object.
 */
#ifndef IMSAFE_ALARM_MONITOR_H
#define IMSAFE_ALARM_MONITOR_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "core/score.h"

#define HISTORY_CALLS 64 /* a power of two */

/* One call with all that was known of it when it was scored. */
struct scored_call {
	struct event event;
	struct verdict verdict;
	uint32_t node;  /* the state before the call: what was expected there */
	uint32_t mean;  /* after it, in cost units, of the first window */
};

/* An alarm, as raised. Borrowed by the callback. */
struct alarm {
	uint64_t sequence;     /* number of the call in the stream, from 1 */
	uint32_t tid, pid;     /* pid 0 = not known */
	uint16_t flags;        /* enum verdict_flags of the call that raised it */
	uint64_t thread_calls; /* calls of this thread before it */
	const struct scored_call *history; /* oldest first, the last one raised the alarm */
	size_t n_history;
};

struct monitor;

struct monitor_callbacks {
	/* Every call, after scoring; may be NULL. The hot path: keep it short. */
	void (*call)(void *data, uint64_t sequence, const struct scored_call *call);
	void (*alarm)(void *data, const struct alarm *alarm);
	void (*closed)(void *data, uint64_t sequence, uint32_t tid);
	void (*gap)(void *data, const struct event *gap);
	void *data;
};

struct monitor_stats {
	uint64_t calls, alarms, gaps, lost;
	size_t threads;
};

/* image and policy (armed with it) are borrowed until free. NULL without memory. */
struct monitor *monitor_new(const struct image *image, const struct policy *policy,
			    const struct monitor_callbacks *callbacks);
struct monitor *monitor_free(struct monitor *monitor);
DEFINE_CLEANUP(struct monitor *, monitor_free)

int monitor_add(struct monitor *monitor, const struct event *events, size_t n); /* 0 or -ENOMEM */
void monitor_stats(const struct monitor *monitor, struct monitor_stats *ret_stats);

#endif
