/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watching a stream of events against an image: a score per thread, an alarm per episode, the calls before it.
 * The alarm decision itself is score_step()'s; here it gets its context. Not thread-safe per object.
 */
#ifndef IMSAFE_ALARM_MONITOR_H
#define IMSAFE_ALARM_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "core/score.h"

/*
 * More threads than any kernel runs at once, made up by a broken or hostile trace, must not eat the machine: beyond this
 * many, those that have been silent longest are forgotten (and counted); should they speak again, their past is unknown.
 */
#define MONITOR_THREADS_MAX 65536

struct process_info; /* sensor/process.h */

/* An alarm, as raised. Borrowed by the callback. */
struct alarm {
	uint64_t sequence;     /* number of the call in the stream, from 1; 0 = there is no stream: the kernel scored */
	uint32_t tid, pid;     /* pid 0 = not known */
	uint32_t parent;       /* the thread that made this one, 0 = not known */
	const struct process_info *process; /* as the driver saw it at the call, NULL = not known */
	uint16_t flags;        /* enum verdict_flags of the call that raised it */
	uint16_t window;       /* the first mean below its threshold, if VERDICT_BELOW */
	uint32_t mean[MEAN_WINDOWS]; /* after the call, in cost units */
	uint64_t thread_calls; /* calls of this thread before it */
	uint64_t since_gap;    /* calls of this thread since calls of it were lost; UINT64_MAX = none were */
	uint64_t lost;         /* calls lost in that gap, 0 = not known how many */
	const struct scored_call *history; /* oldest first, the last one raised the alarm */
	size_t n_history;
	bool ran_another;      /* the process has run another program since its first calls; which one, the events do not say */
	bool went_on;          /* not raised now: the episode of the thread's latest alarm went on with this call */
	bool odd_only;         /* with went_on: the history has only those calls since that training did not see */
};

/* A threshold as people set it: the percentage of a limit, not rounded down as a score is. */
static inline double limit_percent(uint32_t limit)
{
	return limit < COST_MAX ? (COST_MAX - (double)limit) * 100 / COST_MAX : 0;
}

struct monitor;

struct monitor_callbacks {
	/* Every call, after scoring; may be NULL. The hot path: keep it short. */
	void (*call)(void *data, uint64_t sequence, const struct scored_call *call);
	void (*alarm)(void *data, const struct alarm *alarm);
	/*
	 * A call in an open episode that training never saw in its place, or a foreign one; may be NULL. Not that which opened it.
	 * True: alarm() is called for it, with went_on.
	 */
	bool (*unforeseen)(void *data, const struct scored_call *call);
	/* A thread begins, or was met for the first time; sequence is that of the call just before. */
	void (*started)(void *data, uint64_t sequence, uint32_t tid);
	/* An episode ended, at a call or because its thread did. */
	void (*closed)(void *data, uint64_t sequence, uint32_t tid);
	void (*gap)(void *data, uint64_t sequence, const struct event *gap);
	void *data;
};

struct monitor_stats {
	uint64_t calls, foreign;
	uint64_t alarms; /* episodes opened */
	uint64_t gaps, lost;
	uint64_t seen;   /* threads met */
	uint64_t forgotten;
	size_t threads;  /* alive now */
};

/* image and policy (armed with it) are borrowed until free. NULL without memory. */
struct monitor *monitor_new(const struct image *image, const struct policy *policy,
			    const struct monitor_callbacks *callbacks);
struct monitor *monitor_free(struct monitor *monitor);
DEFINE_CLEANUP(struct monitor *, monitor_free)

int monitor_add(struct monitor *monitor, const struct event *events, size_t n); /* 0 or -ENOMEM */
void monitor_stats(const struct monitor *monitor, struct monitor_stats *ret_stats);

#endif
