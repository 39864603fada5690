/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "alarm/monitor.h"

#include <stdlib.h>
#include <string.h>

#include "trace/thread-table.h"

struct thread {
	struct score score;
	uint32_t pid, parent;
	bool ran_another;      /* since we know it, or the thread that made it did */
	uint64_t calls;
	uint64_t gap_at, lost; /* calls when the latest gap came, plus one; 0 = none did */
	uint64_t last;         /* sequence of the latest call: who has been silent longest */
	struct scored_call history[HISTORY_CALLS]; /* a ring: the next one goes to calls % HISTORY_CALLS */
};

struct monitor {
	const struct image *image;
	const struct policy *policy;
	struct monitor_callbacks callbacks;
	struct thread_table *threads;
	/* Runs of calls by one thread look it up once. */
	struct thread *current;
	uint32_t current_tid;
	struct monitor_stats stats;
	uint64_t keep_after; /* while forgetting: silent since before this */
	struct scored_call unrolled[HISTORY_CALLS];
};

struct monitor *monitor_new(const struct image *image, const struct policy *policy,
			    const struct monitor_callbacks *callbacks)
{
	_cleanup_(monitor_freep) struct monitor *monitor = calloc(1, sizeof(*monitor));

	if (!monitor)
		return NULL;
	monitor->image = image;
	monitor->policy = policy;
	monitor->callbacks = *callbacks;
	monitor->threads = thread_table_new(sizeof(struct thread));
	return monitor->threads ? TAKE_PTR(monitor) : NULL;
}

struct monitor *monitor_free(struct monitor *monitor)
{
	if (monitor) {
		thread_table_free(monitor->threads);
		free(monitor);
	}
	return NULL;
}

static void episode_closed(struct monitor *monitor, uint32_t tid)
{
	if (monitor->callbacks.closed)
		monitor->callbacks.closed(monitor->callbacks.data, monitor->stats.calls, tid);
}

static void remove_thread(struct monitor *monitor, uint32_t tid)
{
	struct thread *thread = thread_table_find(monitor->threads, tid);

	if (!thread)
		return;
	if (thread->score.open)
		episode_closed(monitor, tid);
	if (monitor->current == thread)
		monitor->current = NULL;
	thread_table_remove(monitor->threads, tid);
}

static void forget_silent(void *data, uint32_t tid, void *record)
{
	struct monitor *monitor = data;
	struct thread *thread = record;

	if (thread->last < monitor->keep_after) {
		remove_thread(monitor, tid);
		monitor->stats.forgotten++;
	}
}

static void oldest_silent(void *data, uint32_t tid, void *record)
{
	struct monitor *monitor = data;
	struct thread *thread = record;

	monitor->keep_after = MIN(monitor->keep_after, thread->last);
}

/* Half of the time since the longest silent one spoke is the line; at least that one goes, so this is rare. */
static void make_room(struct monitor *monitor)
{
	monitor->keep_after = UINT64_MAX;
	thread_table_each(monitor->threads, oldest_silent, monitor);
	monitor->keep_after += (monitor->stats.calls - monitor->keep_after) / 2 + 1;
	thread_table_each(monitor->threads, forget_silent, monitor);
}

static __attribute__((noinline)) struct thread *switch_thread(struct monitor *monitor, uint32_t tid)
{
	struct thread *thread = thread_table_find(monitor->threads, tid);
	bool is_new;

	if (!thread) {
		if (thread_table_count(monitor->threads) >= MONITOR_THREADS_MAX)
			make_room(monitor);
		thread = thread_table_get(monitor->threads, tid, &is_new);
		if (!thread)
			return NULL;
		thread->last = monitor->stats.calls;
		monitor->stats.seen++;
		if (monitor->callbacks.started)
			monitor->callbacks.started(monitor->callbacks.data, monitor->stats.calls, tid);
	}
	monitor->current = thread;
	monitor->current_tid = tid;
	return thread;
}

static inline struct thread *get_thread(struct monitor *monitor, uint32_t tid)
{
	return monitor->current && monitor->current_tid == tid ? monitor->current : switch_thread(monitor, tid);
}

static __attribute__((noinline)) void raise_alarm(struct monitor *monitor, const struct thread *thread,
						  const struct scored_call *call, bool went_on)
{
	size_t n = MIN(thread->calls, HISTORY_CALLS);
	struct alarm alarm = {
		.sequence = monitor->stats.calls,
		.tid = call->event.tid,
		.pid = thread->pid,
		.parent = thread->parent,
		.ran_another = thread->ran_another,
		.flags = call->verdict.flags,
		.window = call->verdict.window,
		.thread_calls = thread->calls - 1,
		.since_gap = thread->gap_at ? thread->calls - thread->gap_at : UINT64_MAX,
		.lost = thread->lost,
		.history = monitor->unrolled,
		.n_history = n,
		.went_on = went_on,
	};

	if (went_on)
		alarm.flags |= call->verdict.flags & VERDICT_FOREIGN ? VERDICT_ALARM_FOREIGN : VERDICT_ALARM;
	for (unsigned i = 0; i < MEAN_WINDOWS; i++)
		alarm.mean[i] = score_mean(&thread->score, monitor->policy, i);
	for (size_t i = 0; i < n; i++)
		monitor->unrolled[i] = thread->history[(thread->calls - n + i) & (HISTORY_CALLS - 1)];
	/* One call may open both kinds of episode at once; it is one alarm. */
	monitor->stats.alarms += !went_on;
	if (monitor->callbacks.alarm)
		monitor->callbacks.alarm(monitor->callbacks.data, &alarm);
}

/* In an open episode: does it make the alarm another one? */
static bool is_unforeseen(const struct monitor *monitor, const struct scored_call *call)
{
	unsigned unseen = monitor->policy->reading == READING_SEQUENCES ? VERDICT_MISMATCHED : 0;

	return monitor->callbacks.unforeseen &&
	       (!(call->verdict.flags & VERDICT_SEEN) || call->verdict.flags & (VERDICT_FOREIGN | unseen));
}

static inline __attribute__((flatten)) int add_call(struct monitor *monitor, const struct event *event)
{
	struct thread *thread = get_thread(monitor, event->tid);
	struct scored_call *call;

	if (!thread)
		return -ENOMEM;
	call = &thread->history[thread->calls++ & (HISTORY_CALLS - 1)];
	call->event = *event;
	call->node = thread->score.node;
	call->verdict = score_call(&thread->score, monitor->image, monitor->policy, event);
	call->mean = score_first_mean(&thread->score, monitor->policy);
	thread->last = ++monitor->stats.calls;

	if (monitor->callbacks.call)
		monitor->callbacks.call(monitor->callbacks.data, monitor->stats.calls, call);
	if (call->verdict.flags & (VERDICT_ALARMS | VERDICT_CLOSED | VERDICT_FOREIGN) || thread->score.open) {
		monitor->stats.foreign += !!(call->verdict.flags & VERDICT_FOREIGN);
		if (call->verdict.flags & VERDICT_ALARMS)
			raise_alarm(monitor, thread, call, false);
		else if (thread->score.open && is_unforeseen(monitor, call) && monitor->callbacks.unforeseen(monitor->callbacks.data, call))
			raise_alarm(monitor, thread, call, true);
		if (call->verdict.flags & VERDICT_CLOSED)
			episode_closed(monitor, event->tid);
	}
	return 0;
}

static void step_thread(struct monitor *monitor, struct thread *thread, const struct event *event)
{
	score_step(&thread->score, monitor->image, monitor->policy, event);
	if (event->kind == EVENT_GAP) {
		thread->gap_at = thread->calls + 1;
		thread->lost = event->lost;
	}
}

struct gap_to_all {
	struct monitor *monitor;
	const struct event *event;
};

static void add_gap(void *data, uint32_t tid, void *record)
{
	struct gap_to_all *gap = data;

	step_thread(gap->monitor, record, gap->event);
}

static int add_other(struct monitor *monitor, const struct event *event)
{
	struct thread *thread;

	switch (event->kind) {
	case EVENT_EXIT:
		remove_thread(monitor, event->tid);
		return 0;
	case EVENT_GAP:
		monitor->stats.gaps++;
		monitor->stats.lost = event_add_lost(monitor->stats.lost, event->lost);
		if (monitor->callbacks.gap)
			monitor->callbacks.gap(monitor->callbacks.data, monitor->stats.calls, event);
		if (!event->tid) {
			thread_table_each(monitor->threads, add_gap, &(struct gap_to_all){ monitor, event });
			return 0;
		}
		break;
	case EVENT_FORK:
		/* A thread id that is used again is another thread: nothing of the former one stays. */
		remove_thread(monitor, event->tid);
		break;
	case EVENT_EXEC:
		if (event->parent && event->parent != event->tid) {
			remove_thread(monitor, event->tid);
			monitor->current = NULL;
			thread_table_rename(monitor->threads, event->parent, event->tid);
		}
		break;
	default:
		break;
	}

	thread = get_thread(monitor, event->tid);
	if (!thread)
		return -ENOMEM;
	if (event->kind == EVENT_FORK) {
		const struct thread *parent = thread_table_find(monitor->threads, event->parent);

		thread->parent = event->parent;
		thread->ran_another = parent && parent->ran_another;
	}
	/* That which a trace begins with, and the call that some begin with, are how the application itself was started. */
	if (event->kind == EVENT_EXEC)
		thread->ran_another |= thread->parent || thread->calls > 1;
	if (event->kind != EVENT_GAP && event->pid)
		thread->pid = event->pid;
	step_thread(monitor, thread, event);
	return 0;
}

int monitor_add(struct monitor *monitor, const struct event *events, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int r = events[i].kind == EVENT_CALL ? add_call(monitor, &events[i]) : add_other(monitor, &events[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

void monitor_stats(const struct monitor *monitor, struct monitor_stats *ret_stats)
{
	*ret_stats = monitor->stats;
	ret_stats->threads = thread_table_count(monitor->threads);
}
