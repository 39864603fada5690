/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Random traces with structure: several threads at once that fork, exec, exit, are attached to and lose calls. */
#ifndef IMSAFE_TESTS_RANDOM_TRACE_H
#define IMSAFE_TESTS_RANDOM_TRACE_H

#include <stdint.h>
#include <string.h>

#include "core/event.h"

#define RANDOM_THREADS 6

static inline uint32_t random_next(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*seed >> 33);
}

/* A call that mostly follows from the one before: numbers repeat, as in real traces. */
static inline uint16_t random_call(uint64_t *seed, uint16_t before, unsigned alphabet)
{
	uint32_t dice = random_next(seed) % 100;

	if (dice < 70)
		return (uint16_t)((before * 7 + 3 + dice / 35) % alphabet);
	return dice == 99 ? CALL_INVALID : (uint16_t)(random_next(seed) % alphabet);
}

static inline void random_trace(struct event *events, size_t n, unsigned alphabet, uint64_t *seed)
{
	uint16_t before[RANDOM_THREADS] = { 0 };

	for (size_t i = 0; i < n; i++) {
		uint32_t thread = random_next(seed) % RANDOM_THREADS, dice = random_next(seed) % 400;
		struct event *event = &events[i];

		*event = (struct event){ .tid = 100 + thread, .time = i + 1, .kind = EVENT_CALL };
		if (dice < 3) {
			event->kind = EVENT_FORK;
		} else if (dice < 6) {
			event->kind = EVENT_EXEC;
		} else if (dice < 9) {
			event->kind = EVENT_EXIT;
		} else if (dice < 11) {
			event->kind = EVENT_ATTACH;
		} else if (dice < 14) {
			event->kind = EVENT_GAP;
			event->lost = dice;
			if (dice == 13)
				event->tid = 0;
		} else if (dice == 14) {
			event->kind = EVENT_EXEC; /* from a thread that is not the leader */
			event->parent = 100 + random_next(seed) % RANDOM_THREADS;
		} else {
			event->call = before[thread] = random_call(seed, before[thread], alphabet);
			event->origin = dice == 15 ? EVENT_FROM(ORIGIN_ANON, ABI_NATIVE) :
				dice == 16 ? EVENT_FROM(ORIGIN_FILE, ABI_COMPAT) : EVENT_FROM(ORIGIN_FILE, ABI_NATIVE);
		}
	}
}

#endif
