/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Limits of several windows from sessions' peaks (calibrate.h says by which rule). */
#ifndef IMSAFE_MODEL_LIMITS_H
#define IMSAFE_MODEL_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/score.h"

#define THRESHOLD_DEFAULT 60.0 /* percent; when there is nothing to calibrate from */
#define THRESHOLD_FLOOR   80.0 /* percent; with little to calibrate from, no threshold is above it */
#define THRESHOLD_LEAST   20.0 /* percent; nor, with hardly anything to calibrate from, below it; and never one that finds nothing */
#define HARDLY_ANYTHING   10   /* independent sessions */
#define MEAN_DEFAULT      32   /* calls; the one that is shown */

/*
 * The limit of a window of this length for a threshold in percent that is meant for a mean over so many calls: a mean over
 * fewer scatters more, by the square root, so it must fall lower. Over more it stays.
 */
uint16_t limit_scaled(double threshold, unsigned meant, unsigned length);

/* One session: how high each window's mean rose, the lowest limit without an alarm; how many equal ones; its fold. */
struct peaks {
	uint16_t window[MEAN_WINDOWS];
	uint32_t fold;
	uint64_t copies;
};

/* Whether a session raises an alarm under the policy's limits. */
static inline int peaks_alarm(const struct peaks *peaks, const struct policy *policy)
{
	for (int w = 0; w < MEAN_WINDOWS && policy->window[w].length; w++)
		if (peaks->window[w] > policy->window[w].limit)
			return 1;
	return 0;
}

struct limits {
	double sessions;
	double alarms;    /* sessions above a limit */
	double expected;  /* share of new sessions */
	double effective; /* how many independent sessions they are worth */
	double needed;    /* to promise the rate: 3 / rate */
	bool thin;        /* effective < needed */
};

/*
 * Sets the limits of the policy's windows to the lowest ones at which no more than the share rate of new sessions is
 * expected to alarm, each window exceeded by as many sessions as the others. A few equal sessions do not make a tight
 * threshold: thin training gets no limit under a floor that falls from THRESHOLD_FLOOR's (nothing known) to none (enough
 * known); from HARDLY_ANYTHING or fewer independent sessions none above THRESHOLD_LEAST's, and from more none that is always
 * kept: where one kind of session is like no other, only a threshold of 0 % would keep the rate. -ENOMEM.
 */
int limits_choose(const struct peaks *peaks, size_t n, double rate, struct policy *policy, struct limits *ret_limits);

#endif
