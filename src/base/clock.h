/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How long it has been: CLOCK_MONOTONIC, the clock of struct event's times. It does not count while the machine sleeps. */
#ifndef IMSAFE_BASE_CLOCK_H
#define IMSAFE_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static inline int64_t clock_ms(void)
{
	return (int64_t)(clock_ns() / 1000000);
}

static inline double clock_seconds(void)
{
	return (double)clock_ns() * 1e-9;
}

#endif
