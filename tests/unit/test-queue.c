/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The way of events between two threads: order, wake-ups, what happens when it is full, and its end. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "sensor/queue.h"
#include "../tap.h"

enum { MANY = 2000000 };

struct reader {
	uint64_t calls, lost, others, order_errors, next;
	uint32_t module;
};

static int on_events(void *data, const struct event *events, size_t n)
{
	struct reader *reader = data;

	for (size_t i = 0; i < n; i++) {
		if (events[i].kind == EVENT_GAP) {
			reader->lost += events[i].lost;
			reader->next += events[i].lost;
		} else if (events[i].kind == EVENT_CALL) {
			reader->calls++;
			reader->order_errors += events[i].time != reader->next++;
		} else {
			reader->others++;
		}
	}
	return 0;
}

static bool readable(struct event_queue *queue, int patience)
{
	struct pollfd fd = { .fd = event_queue_fd(queue), .events = POLLIN };

	return poll(&fd, 1, patience) == 1;
}

static void check_small(void)
{
	struct event_queue *queue;
	struct sensor sensor = { 0 };
	struct reader reader = { 0 };
	struct errmsg err = { 0 };
	struct module module = { .path = (char *)"/lib/x.so", .inode = 7 };
	const struct errmsg bad = { .text = "broken" };

	ok(event_queue_new(&queue) == 0, "a queue");
	modules_init(&sensor.modules);
	ok(event_queue_dispatch(queue, &sensor, on_events, &reader, &err) == 1 && !reader.calls, "empty at first");
	ok(!readable(queue, 0), "and nothing to read");
	event_queue_push_module(queue, &module);
	event_queue_push(queue, &(struct event){ .kind = EVENT_CALL });
	event_queue_push(queue, &(struct event){ .kind = EVENT_CALL, .time = 1 });
	ok(readable(queue, 5000), "an event makes it readable");
	ok(event_queue_dispatch(queue, &sensor, on_events, &reader, &err) == 1 && reader.calls == 2, "both come at once");
	ok(sensor.modules.n == 2 && !strcmp(sensor.modules.module[1].path, "/lib/x.so"), "with their module");
	ok(!readable(queue, 0), "then it is quiet again");
	event_queue_push(queue, &(struct event){ .kind = EVENT_EXIT });
	event_queue_end(queue, -EIO, &bad);
	ok(readable(queue, 1000), "the end wakes");
	ok(event_queue_dispatch(queue, &sensor, on_events, &reader, &err) == -EIO && reader.others == 1 && !strcmp(err.text, "broken"),
	   "what was left comes first, then the error");
	ok(readable(queue, 1000) && event_queue_dispatch(queue, &sensor, on_events, &reader, &err) == -EIO, "and stays");
	modules_done(&sensor.modules);
	event_queue_free(queue);
}

static void check_full(void)
{
	struct event_queue *queue;
	struct sensor sensor = { 0 };
	struct reader reader = { 0 };
	uint64_t taken = 0, others = 0;

	event_queue_new(&queue);
	modules_init(&sensor.modules);
	while (event_queue_push(queue, &(struct event){ .kind = EVENT_CALL, .time = taken }))
		taken++;
	ok(taken > 100000, "takes %llu calls unread", (unsigned long long)taken);
	while (others < 1000 && event_queue_push(queue, &(struct event){ .kind = EVENT_FORK }))
		others++;
	ok(others == 1000, "and forks beyond that");
	ok(!event_queue_takes_calls(queue), "but no call");
	event_queue_dispatch(queue, &sensor, on_events, &reader, NULL);
	ok(!event_queue_takes_calls(queue) && !event_queue_push(queue, &(struct event){ .kind = EVENT_CALL }),
	   "nor as soon as there is a little room");
	while (reader.calls < taken)
		event_queue_dispatch(queue, &sensor, on_events, &reader, NULL);
	ok(event_queue_takes_calls(queue) && event_queue_push(queue, &(struct event){ .kind = EVENT_CALL, .time = taken }),
	   "only when there is much");
	ok(!reader.order_errors, "all in order");
	ok(!event_queue_wait_read(queue, 100), "waiting for a reader who does not read has an end");
	modules_done(&sensor.modules);
	event_queue_free(queue);
}

static void *produce(void *data)
{
	struct event_queue *queue = data;
	uint64_t lost = 0;

	for (uint64_t i = 0; i < MANY; i++) {
		const struct event gap = { .kind = EVENT_GAP, .lost = lost };

		if (lost && event_queue_takes_calls(queue) && event_queue_push(queue, &gap))
			lost = 0;
		if (lost || !event_queue_push(queue, &(struct event){ .kind = EVENT_CALL, .time = i }))
			lost++;
		if (i % 50000 == 0)
			event_queue_wake(queue);
	}
	while (lost && !event_queue_push(queue, &(struct event){ .kind = EVENT_GAP, .lost = lost }))
		usleep(100);
	event_queue_end(queue, 0, NULL);
	return NULL;
}

static void check_threads(void)
{
	struct event_queue *queue;
	struct sensor sensor = { 0 };
	struct sensor_stats stats;
	struct reader reader = { 0 };
	pthread_t thread;
	int r;

	event_queue_new(&queue);
	modules_init(&sensor.modules);
	pthread_create(&thread, NULL, produce, queue);
	do {
		if (!readable(queue, 10000)) {
			ok(false, "it wakes");
			break;
		}
		r = event_queue_dispatch(queue, &sensor, on_events, &reader, NULL);
	} while (r > 0);
	pthread_join(thread, NULL);
	event_queue_stats(queue, &stats);
	ok(reader.calls + reader.lost == MANY && !reader.order_errors, "two threads: every call comes or is counted as lost, in order");
	ok(stats.calls == reader.calls && stats.lost == reader.lost, "and the statistics say the same");
	modules_done(&sensor.modules);
	event_queue_free(queue);
}

int main(void)
{
	check_small();
	check_full();
	check_threads();
	return tap_done();
}
