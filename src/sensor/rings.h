/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rings of a recording, one per CPU, read so that every thread's events come out in the order it made them:
 *  - a ring is in order; a thread that changes to another one says there how far the former has to be read before
 *  - a thread id may come to life again only after its former owner's end has been delivered
 */
#ifndef IMSAFE_SENSOR_RINGS_H
#define IMSAFE_SENSOR_RINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/event.h"
#include "trace/thread-table.h"

struct ring {
	uint64_t *consumer;
	const uint64_t *producer;
	const uint8_t *data; /* mapped twice in a row */
	size_t size;
	uint64_t read;
};

/* Takes the events as they come out; negative stops. */
typedef int rings_event_fn(void *data, const struct event *event);

struct rings {
	struct ring *ring;   /* by CPU */
	unsigned n;
	struct thread_table *living;
};

int rings_open(struct rings *rings, unsigned n);
int rings_map(struct rings *rings, unsigned cpu, int fd, size_t size); /* fd: a BPF ring buffer of that size */
void rings_close(struct rings *rings);

/* Delivers what there is, at most about limit events. Returns how many, or what fn returned. */
int rings_read(struct rings *rings, size_t limit, rings_event_fn *fn, void *data);

/* A thread is there without its ring having said so. */
int rings_know(struct rings *rings, uint32_t tid);

/* The end of a thread found no room in a ring: delivers an EXIT, if it is not known yet. 1 if it did. */
int rings_end(struct rings *rings, uint32_t tid, rings_event_fn *fn, void *data);

/* The same, where not even the thread is known: for all that are gone. */
int rings_sweep(struct rings *rings, rings_event_fn *fn, void *data);

#endif
