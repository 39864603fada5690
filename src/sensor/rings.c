/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The layout of a ring is the kernel's (BPF_MAP_TYPE_RINGBUF): two position pages, then the data. */
#include <linux/bpf.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "sensor/driver-abi.h"
#include "sensor/rings.h"

enum taking { TAKEN, WAIT_FOR_END };

int rings_open(struct rings *rings, unsigned n)
{
	*rings = (struct rings){ .ring = calloc(n, sizeof(*rings->ring)), .n = n, .living = thread_table_new(1) };
	return rings->ring && rings->living ? 0 : -ENOMEM;
}

int rings_map(struct rings *rings, unsigned cpu, int fd, size_t size)
{
	struct ring *ring = &rings->ring[cpu];
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *consumer, *producer;

	consumer = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (consumer == MAP_FAILED)
		return -errno;
	producer = mmap(NULL, page + 2 * size, PROT_READ, MAP_SHARED, fd, (off_t)page);
	if (producer == MAP_FAILED) {
		munmap(consumer, page);
		return -errno;
	}
	ring->consumer = consumer;
	ring->producer = producer;
	ring->data = (const uint8_t *)producer + page;
	ring->size = size;
	return 0;
}

void rings_close(struct rings *rings)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	for (unsigned i = 0; rings->ring && i < rings->n; i++) {
		if (!rings->ring[i].size)
			continue;
		munmap(rings->ring[i].consumer, page);
		munmap((void *)rings->ring[i].producer, page + 2 * rings->ring[i].size);
	}
	free(rings->ring);
	thread_table_free(rings->living);
	*rings = (struct rings){ NULL };
}

int rings_know(struct rings *rings, uint32_t tid)
{
	bool is_new;

	return thread_table_get(rings->living, tid, &is_new) ? 0 : -ENOMEM;
}

static int deliver_exit(uint32_t tid, uint64_t time, rings_event_fn *fn, void *data)
{
	struct event exit = { .kind = EVENT_EXIT, .tid = tid, .time = time };

	return fn(data, &exit);
}

/* Anything but a call: keeps the book of thread ids. force: do not wait for the former owner's end, it was lost. */
static int take(struct rings *rings, const struct event *event, bool force, rings_event_fn *fn, void *data)
{
	uint32_t tid = event->tid;
	int r;

	switch (event->kind) {
	case EVENT_EXEC:
		if (!event->parent) {
			r = rings_know(rings, tid);
			break;
		}
		if (thread_table_find(rings->living, tid) && !force)
			return WAIT_FOR_END;
		if (thread_table_find(rings->living, tid)) {
			r = deliver_exit(tid, event->time, fn, data);
			if (r < 0)
				return r;
			thread_table_remove(rings->living, tid);
		}
		thread_table_remove(rings->living, event->parent);
		r = rings_know(rings, tid);
		break;
	case EVENT_FORK:
	case EVENT_ATTACH:
		if (thread_table_find(rings->living, tid)) {
			if (!force)
				return WAIT_FOR_END;
			r = deliver_exit(tid, event->time, fn, data);
			if (r < 0)
				return r;
		}
		r = rings_know(rings, tid);
		break;
	case EVENT_EXIT:
		if (!thread_table_find(rings->living, tid))
			return TAKEN; /* already said by rings_end() */
		thread_table_remove(rings->living, tid);
		r = 0;
		break;
	default:
		r = 0;
	}
	if (r >= 0)
		r = fn(data, event);
	return r < 0 ? r : TAKEN;
}

struct pass {
	rings_event_fn *fn;
	void *data;
	size_t taken, limit;
	bool force; /* take the first event that waits for an end */
	bool busy, waiting;
};

static int read_ring(struct rings *rings, struct ring *ring, struct pass *pass)
{
	uint64_t end = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE), start = ring->read;
	int r = 0;

	while (ring->read < end && pass->taken < pass->limit) {
		const uint8_t *at = ring->data + (ring->read & (ring->size - 1));
		uint32_t length = __atomic_load_n((const uint32_t *)at, __ATOMIC_ACQUIRE);
		const struct event *event = (const struct event *)(at + BPF_RINGBUF_HDR_SZ);

		if (length & BPF_RINGBUF_BUSY_BIT) {
			pass->busy = true;
			break;
		}
		if (event->kind == EVENT_CALL) {
			r = pass->fn(pass->data, event);
			if (r < 0)
				break;
		} else if (event->kind == RECORD_MOVED) {
			if (event->call < rings->n && rings->ring[event->call].read < event->lost)
				break;
		} else {
			r = take(rings, event, pass->force, pass->fn, pass->data);
			if (r == WAIT_FOR_END)
				pass->waiting = true;
			if (r)
				break;
			pass->force = false;
		}
		length &= ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
		ring->read += (length + BPF_RINGBUF_HDR_SZ + 7) & ~7U;
		pass->taken++;
	}
	if (ring->read != start)
		__atomic_store_n(ring->consumer, ring->read, __ATOMIC_RELEASE);
	return r < 0 ? r : 0;
}

/*
 * Whatever an event waits for was put in its ring earlier, so rounds over all rings get everything out. If a whole round
 * after one that moved nothing moves nothing either, no record is being written and an event still waits for the end
 * of a thread, then that end was lost.
 */
int rings_read(struct rings *rings, size_t limit, rings_event_fn *fn, void *data)
{
	struct pass pass = { .fn = fn, .data = data, .limit = limit };
	unsigned stuck = 0;

	do {
		size_t before = pass.taken;

		pass.busy = pass.waiting = false;
		for (unsigned i = 0; i < rings->n; i++) {
			int r = rings->ring[i].size ? read_ring(rings, &rings->ring[i], &pass) : 0;

			if (r < 0)
				return r;
		}
		if (pass.taken != before)
			stuck = 0;
		else if (!pass.waiting || pass.busy || stuck++ == 2)
			break;
		pass.force = stuck == 2;
	} while (pass.taken < limit);
	return (int)pass.taken;
}

int rings_end(struct rings *rings, uint32_t tid, rings_event_fn *fn, void *data)
{
	int r;

	if (!thread_table_find(rings->living, tid))
		return 0;
	thread_table_remove(rings->living, tid);
	r = deliver_exit(tid, 0, fn, data);
	return r < 0 ? r : 1;
}

struct sweep {
	struct rings *rings;
	rings_event_fn *fn;
	void *data;
	int error;
};

static void sweep_one(void *data, uint32_t tid, void *record)
{
	struct sweep *sweep = data;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u", tid);
	if (sweep->error < 0 || !access(path, F_OK))
		return;
	sweep->error = deliver_exit(tid, 0, sweep->fn, sweep->data);
	thread_table_remove(sweep->rings->living, tid);
}

int rings_sweep(struct rings *rings, rings_event_fn *fn, void *data)
{
	struct sweep sweep = { rings, fn, data, 0 };

	thread_table_each(rings->living, sweep_one, &sweep);
	return sweep.error;
}
