/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The monitor against a hand-made image: alarms with their history, fork, exec, exit, gaps, thread ids used again. */
#include <stdlib.h>
#include <string.h>

#include "alarm/monitor.h"
#include "../tap.h"

enum { CELLS = 4096, A = 1200, F = 2000 };

static struct cell cells[CELLS];
static const struct image_header header = { .cells = CELLS, .length = 2, .fork = F, .exec = IMAGE_ROOT };
static const struct image image = { &header, cells };
static struct policy policy = { .window = { { 4, COST_MAX / 2 } }, .min_calls = 4, .foreign = 1 };

/* Root knows calls 1 and 2; state A is the context (1) and knows 2; state F is a thread's start and knows 1. */
static void make_image(void)
{
	for (int i = 0; i < CELLS; i++)
		cells[i].owner = CELL_FREE;
	cells[0] = (struct cell){ .owner = 0, .next = 0, .cost = 20000 };
	cells[1 + 1] = (struct cell){ .owner = 0, .next = A, .cost = 4096 };
	cells[1 + 2] = (struct cell){ .owner = 0, .next = 0, .cost = 8192 };
	cells[A] = (struct cell){ .owner = A, .next = 0, .cost = 1000, .flags = 1 };
	cells[A + 1 + 2] = (struct cell){ .owner = A, .next = 0, .cost = 100, .flags = CELL_SEQUENCE };
	cells[F] = (struct cell){ .owner = F, .next = 0, .cost = 500, .flags = 1 };
	cells[F + 1 + 1] = (struct cell){ .owner = F, .next = A, .cost = 7, .flags = CELL_SEQUENCE };
	policy_arm(&policy, &header, 0);
}

struct seen {
	struct alarm alarm;
	struct scored_call history[HISTORY_CALLS];
	struct scored_call last;
	uint64_t calls, alarms, closed, gaps, closed_at;
	uint32_t closed_tid;
};

static void on_call(void *data, uint64_t sequence, const struct scored_call *call)
{
	struct seen *seen = data;

	seen->calls++;
	seen->last = *call;
	if (sequence != seen->calls)
		abort();
}

static void on_alarm(void *data, const struct alarm *alarm)
{
	struct seen *seen = data;

	seen->alarms++;
	seen->alarm = *alarm;
	memcpy(seen->history, alarm->history, alarm->n_history * sizeof(*alarm->history));
}

static void on_closed(void *data, uint64_t sequence, uint32_t tid)
{
	struct seen *seen = data;

	seen->closed++;
	seen->closed_at = sequence;
	seen->closed_tid = tid;
}

static void on_gap(void *data, uint64_t sequence, const struct event *gap)
{
	((struct seen *)data)->gaps++;
}

static struct monitor *start(struct seen *seen)
{
	struct monitor_callbacks callbacks = { .call = on_call, .alarm = on_alarm, .closed = on_closed, .gap = on_gap, .data = seen };

	memset(seen, 0, sizeof(*seen));
	return monitor_new(&image, &policy, &callbacks);
}

static void calls(struct monitor *monitor, uint32_t tid, const char *numbers)
{
	for (; *numbers; numbers++) {
		struct event e = { .kind = EVENT_CALL, .tid = tid, .call = (uint16_t)(*numbers - '0') };

		if (monitor_add(monitor, &e, 1) < 0)
			abort();
	}
}

static void event(struct monitor *monitor, enum event_kind kind, uint32_t tid, uint32_t parent, uint32_t pid)
{
	struct event e = { .kind = kind, .tid = tid, .parent = parent, .pid = pid };

	if (monitor_add(monitor, &e, 1) < 0)
		abort();
}

static void gap(struct monitor *monitor, uint32_t tid, uint64_t lost)
{
	struct event e = { .kind = EVENT_GAP, .tid = tid, .lost = lost };

	if (monitor_add(monitor, &e, 1) < 0)
		abort();
}

static void test_alarm(void)
{
	struct seen seen;
	_cleanup_(monitor_freep) struct monitor *monitor = start(&seen);
	struct monitor_stats stats;

	event(monitor, EVENT_FORK, 7, 5, 6);
	calls(monitor, 7, "12121212");
	ok(!seen.alarms, "normal calls raise nothing");
	calls(monitor, 8, "12");
	calls(monitor, 7, "3333");
	ok(seen.alarms == 1, "calls never seen raise one alarm");
	ok(seen.alarm.tid == 7 && seen.alarm.pid == 6 && seen.alarm.parent == 5, "it names the thread, process and parent");
	ok(seen.alarm.n_history == seen.alarm.thread_calls + 1 &&
	   seen.history[seen.alarm.n_history - 1].verdict.flags & VERDICT_ALARM, "its history ends with the call that raised it");
	ok(seen.history[0].node == F && seen.history[0].event.call == 1 && seen.history[1].node == A &&
	   seen.history[1].event.call == 2, "and begins with the thread's first calls and what was expected there");
	ok(seen.alarm.mean[0] > policy.window[0].limit && seen.alarm.mean[0] == seen.history[seen.alarm.n_history - 1].mean,
	   "the mean is the one that crossed the limit");
	ok(seen.alarm.since_gap == UINT64_MAX, "there was no gap");
	calls(monitor, 7, "12121212121212");
	ok(seen.closed == 1 && seen.closed_tid == 7, "the episode closes once the mean has recovered");

	for (int i = 0; i < 100; i++)
		calls(monitor, 7, "12");
	calls(monitor, 7, "3333");
	ok(seen.alarms == 2 && seen.alarm.n_history == HISTORY_CALLS, "a long history is the latest %d calls", HISTORY_CALLS);
	ok(seen.history[HISTORY_CALLS - 1].event.call == 3 && seen.history[0].event.call + seen.history[1].event.call == 3,
	   "oldest first");
	event(monitor, EVENT_EXIT, 7, 0, 0);
	ok(seen.closed == 2, "an episode also ends with its thread");
	monitor_stats(monitor, &stats);
	ok(stats.calls == seen.calls && stats.alarms == 2 && stats.threads == 1 && stats.seen == 2, "everything is counted");
}

static void test_threads(void)
{
	struct seen seen;
	_cleanup_(monitor_freep) struct monitor *monitor = start(&seen);
	struct monitor_stats stats;

	event(monitor, EVENT_FORK, 7, 5, 6);
	calls(monitor, 7, "3333");
	ok(seen.alarms == 1, "an alarm in a first thread");
	event(monitor, EVENT_FORK, 7, 5, 7);
	ok(seen.closed == 1, "a thread id that is used again ends the former thread's episode");
	calls(monitor, 7, "12121");
	ok(seen.alarms == 1 && seen.last.verdict.cost < COST_MAX, "and the new thread is judged afresh");

	event(monitor, EVENT_FORK, 20, 7, 7);
	calls(monitor, 20, "333");
	event(monitor, EVENT_EXEC, 7, 20, 7);
	monitor_stats(monitor, &stats);
	ok(stats.threads == 1, "exec from another thread leaves one thread");
	calls(monitor, 7, "3");
	ok(seen.alarms == 2 && seen.alarm.tid == 7 && seen.alarm.n_history == 4, "which keeps its means and history");

	event(monitor, EVENT_ATTACH, 30, 0, 30);
	calls(monitor, 30, "1");
	ok(seen.last.node == IMAGE_ROOT, "a thread that was attached to begins at the root");
	event(monitor, EVENT_EXIT, 31, 0, 0);
	ok(seen.closed == 1, "the end of a thread never met is nothing");
}

static void test_gaps(void)
{
	struct seen seen;
	_cleanup_(monitor_freep) struct monitor *monitor = start(&seen);
	struct monitor_stats stats;

	calls(monitor, 7, "121");
	calls(monitor, 8, "121");
	gap(monitor, 7, 11);
	calls(monitor, 7, "3");
	ok(seen.last.node == IMAGE_ROOT && seen.last.verdict.flags & VERDICT_TAINTED, "a gap forgets the thread's context");
	calls(monitor, 8, "2");
	ok(seen.last.node == A && !(seen.last.verdict.flags & VERDICT_TAINTED), "and no other thread's");
	calls(monitor, 7, "333");
	ok(seen.alarms == 1 && seen.alarm.flags & VERDICT_TAINTED && seen.alarm.since_gap == 3 && seen.alarm.lost == 11,
	   "an alarm near it says how near and how much");
	gap(monitor, 0, 5);
	calls(monitor, 8, "1");
	ok(seen.last.verdict.flags & VERDICT_TAINTED, "a gap without a thread concerns all");
	monitor_stats(monitor, &stats);
	ok(seen.gaps == 2 && stats.gaps == 2 && stats.lost == 16, "gaps and lost calls are counted");
	gap(monitor, 0, UINT64_MAX - 3);
	monitor_stats(monitor, &stats);
	ok(stats.lost == UINT64_MAX, "and their sum never becomes less");
}

static void test_foreign(void)
{
	struct seen seen;
	_cleanup_(monitor_freep) struct monitor *monitor = start(&seen);
	struct event e = { .kind = EVENT_CALL, .tid = 9, .call = 1, .origin = EVENT_FROM(ORIGIN_STACK, ABI_NATIVE) };
	struct monitor_stats stats;

	monitor_add(monitor, &e, 1);
	monitor_add(monitor, &e, 1);
	ok(seen.alarms == 1 && seen.alarm.flags & VERDICT_ALARM_FOREIGN && seen.alarm.n_history == 1,
	   "the first call from the stack raises one alarm");
	monitor_stats(monitor, &stats);
	ok(stats.foreign == 2, "each foreign call is counted");
}

/* A short mean that recovers before a long one has fallen is the same episode. */
static void test_episode(void)
{
	struct policy two = { .window = { { 2, COST_MAX / 2 }, { 12, COST_MAX / 4 } }, .min_calls = 2 };
	struct seen seen = { 0 };
	struct monitor_callbacks callbacks = { .alarm = on_alarm, .closed = on_closed, .data = &seen };
	_cleanup_(monitor_freep) struct monitor *monitor = NULL;

	policy_arm(&two, &header, 0);
	monitor = monitor_new(&image, &two, &callbacks);
	calls(monitor, 7, "12121212331212133121213312");
	ok(seen.alarms == 1 && !seen.closed, "a short mean that falls again and again is one alarm");
	calls(monitor, 7, "121212121212121212121212121212");
	ok(seen.closed == 1, "which closes after the longest mean's length of calm");
}

static void test_flood(void)
{
	struct seen seen;
	_cleanup_(monitor_freep) struct monitor *monitor = start(&seen);
	struct event e = { .kind = EVENT_CALL, .call = 1 };
	struct monitor_stats stats;

	for (e.tid = 1; e.tid < 3 * MONITOR_THREADS_MAX; e.tid++)
		if (monitor_add(monitor, &e, 1) < 0)
			abort();
	monitor_stats(monitor, &stats);
	ok(stats.threads <= MONITOR_THREADS_MAX && stats.threads + stats.forgotten == stats.seen,
	   "a flood of threads is bounded and what was forgotten is counted");
	calls(monitor, 3 * MONITOR_THREADS_MAX - 1, "2");
	ok(seen.last.node == A, "the latest thread was kept");
}

int main(void)
{
	make_image();
	test_alarm();
	test_threads();
	test_gaps();
	test_foreign();
	test_episode();
	test_flood();
	return tap_done();
}
