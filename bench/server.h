/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A made-up server's calls, the same on every machine, and a clock: what several benchmarks measure with. */
#ifndef IMSAFE_BENCH_SERVER_H
#define IMSAFE_BENCH_SERVER_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/event.h"

static inline double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Time that this process had a processor: what to measure with where other load is present and nothing is waited for. */
static inline double processor_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline uint32_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*seed >> 33);
}

/*
 * A server's life: requests are one of so many fixed paths of 8 to 40 calls, served by some threads in turn, and now and
 * then a call is not what it mostly is.
 */
static inline void make_trace(struct event *events, size_t n, unsigned paths, unsigned noise, unsigned threads, uint64_t seed)
{
	unsigned path[64] = { 0 }, at[64] = { 0 };
	uint32_t turn = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t fixed;
		unsigned length;

		if (next_random(&seed) % 16 == 0)
			turn = next_random(&seed) % threads;
		fixed = path[turn] * 7919ULL + 17;
		length = 8 + next_random(&fixed) % 33;
		if (at[turn]++ >= length) {
			at[turn] = 0;
			path[turn] = next_random(&seed) % paths * (next_random(&seed) % 4 ? 1 : 0);
		}
		fixed = path[turn] * 104729ULL + at[turn] * 31 + 5;
		next_random(&fixed);
		events[i] = (struct event){ .tid = 1000 + turn, .kind = EVENT_CALL };
		events[i].call = (uint16_t)(next_random(&fixed) % 60);
		if (noise && next_random(&seed) % 1000 < noise)
			events[i].call = (uint16_t)(next_random(&seed) % 60);
	}
}

#endif
