/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/limits.h"

#include <math.h>

#include "base/cleanup.h"

struct ranked {
	uint16_t peak;
	uint64_t copies;
};

static int compare_ranked(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	return x->peak != y->peak ? (x->peak > y->peak ? -1 : 1) : 0;
}

struct search {
	const struct peaks *peaks;
	size_t n;
	struct ranked *ranked[MEAN_WINDOWS]; /* highest first */
	unsigned windows;
};

/* The lowest limit that sessions worth at most so many copies exceed. */
static uint16_t limit_for(const struct ranked *ranked, size_t n, uint64_t copies)
{
	uint64_t above = 0;
	size_t i = 0;

	while (i < n) {
		uint64_t same = 0;
		size_t j = i;

		for (; j < n && ranked[j].peak == ranked[i].peak; j++)
			same += ranked[j].copies;
		if (above + same > copies)
			return ranked[i].peak;
		above += same;
		i = j;
	}
	return 0;
}

/*
 * How many of n + 1 sessions would alarm if each in turn were the new one: those above a limit, and those that are the limit,
 * because without them it would be lower (an equal session would still hold it).
 */
static double expected_alarms(const struct peaks *peaks, size_t n, const struct policy *policy)
{
	double expected = 0;
	uint64_t holders[MEAN_WINDOWS] = { 0 };

	for (size_t i = 0; i < n; i++)
		for (int w = 0; w < MEAN_WINDOWS && policy->window[w].length; w++)
			if (peaks[i].window[w] == policy->window[w].limit)
				holders[w] += peaks[i].copies;
	for (size_t i = 0; i < n; i++) {
		bool alone = false;

		for (int w = 0; w < MEAN_WINDOWS && policy->window[w].length; w++)
			alone |= peaks[i].window[w] == policy->window[w].limit && holders[w] == 1;
		expected += peaks_alarm(&peaks[i], policy) ? (double)peaks[i].copies : alone;
	}
	return fmax(expected, 1);
}

/* Sets every window's limit so that each is exceeded by so many sessions. */
static double try_limits(const struct search *search, uint64_t each, struct policy *policy)
{
	for (unsigned w = 0; w < search->windows; w++)
		policy->window[w].limit = limit_for(search->ranked[w], search->n, each);
	return expected_alarms(search->peaks, search->n, policy);
}

static void lowest_limits(const struct search *search, double allowed, struct policy *policy)
{
	uint64_t low = 0, high = (uint64_t)allowed;

	while (low < high) {
		uint64_t middle = high - (high - low) / 2;

		if (try_limits(search, middle, policy) <= allowed)
			low = middle;
		else
			high = middle - 1;
	}
	try_limits(search, low, policy);
}

/*
 * How many independent sessions they are worth: the variance of a ratio over groups (Cochran, Sampling Techniques, 6.4) is
 * that of so many independent ones. Without any alarm there is no variance to see: then equal sessions count once.
 */
static int effective_sessions(const struct peaks *peaks, size_t n, const struct policy *policy, double *ret_effective)
{
	double total = 0, alarms = 0, share, variance = 0;
	_cleanup_free_ double *sizes = NULL, *alarmed = NULL;
	uint32_t folds = 0;

	for (size_t i = 0; i < n; i++)
		folds = MAX(folds, peaks[i].fold + 1);
	sizes = calloc(folds + 1, sizeof(*sizes));
	alarmed = calloc(folds + 1, sizeof(*alarmed));
	if (!sizes || !alarmed)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		double copies = (double)peaks[i].copies, a = peaks_alarm(&peaks[i], policy) ? copies : 0;

		total += copies;
		alarms += a;
		sizes[peaks[i].fold] += copies;
		alarmed[peaks[i].fold] += a;
	}
	share = alarms / total;
	if (alarms == 0 || alarms == total || folds < 2) {
		*ret_effective = (double)n;
		return 0;
	}
	for (uint32_t fold = 0; fold < folds; fold++)
		variance += pow(alarmed[fold] - share * sizes[fold], 2);
	variance *= folds / (folds - 1.0) / (total * total);
	*ret_effective = fmax(fmin(share * (1 - share) / variance, total), fmin(total, folds));
	return 0;
}

uint16_t limit_scaled(double threshold, unsigned meant, unsigned length)
{
	return (uint16_t)lround((1 - threshold / 100 * fmin(1, sqrt(length / (double)meant))) * COST_MAX);
}

/* Limits of thin training are kept between those of two thresholds. */
static void keep_in_bounds(struct policy *policy, const struct limits *limits)
{
	double part = fmax(0, 1 - limits->effective / limits->needed);

	for (int w = 0; w < MEAN_WINDOWS && policy->window[w].length; w++) {
		__u16 lowest = (__u16)lround(part * limit_scaled(THRESHOLD_FLOOR, MEAN_DEFAULT, policy->window[w].length));
		__u16 highest = limit_scaled(THRESHOLD_LEAST, MEAN_DEFAULT, policy->window[w].length);

		policy->window[w].limit = MAX(policy->window[w].limit, lowest);
		if (limits->effective <= HARDLY_ANYTHING || policy->window[w].limit >= COST_MAX)
			policy->window[w].limit = MIN(policy->window[w].limit, highest);
	}
}

int limits_choose(const struct peaks *peaks, size_t n, double rate, struct policy *policy, struct limits *ret_limits)
{
	struct search search = { .peaks = peaks, .n = n };
	struct limits limits = { .needed = ceil(3 / rate) };
	_cleanup_free_ struct ranked *ranked = malloc((MEAN_WINDOWS * n + 1) * sizeof(*ranked));
	int r;

	if (!ranked)
		return -ENOMEM;
	for (; search.windows < MEAN_WINDOWS && policy->window[search.windows].length; search.windows++) {
		struct ranked *of = ranked + search.windows * n;

		for (size_t i = 0; i < n; i++)
			of[i] = (struct ranked){ peaks[i].window[search.windows], peaks[i].copies };
		qsort(of, n, sizeof(*of), compare_ranked);
		search.ranked[search.windows] = of;
	}
	for (size_t i = 0; i < n; i++)
		limits.sessions += (double)peaks[i].copies;
	lowest_limits(&search, rate * (limits.sessions + 1), policy);
	r = effective_sessions(peaks, n, policy, &limits.effective);
	if (r < 0)
		return r;
	limits.thin = limits.effective < limits.needed;
	if (limits.thin)
		keep_in_bounds(policy, &limits);
	for (size_t i = 0; i < n; i++)
		limits.alarms += peaks_alarm(&peaks[i], policy) ? (double)peaks[i].copies : 0;
	/* No fewer than one of as many independent sessions as they are worth. */
	limits.expected = fmin(1, fmax(expected_alarms(peaks, n, policy) / (limits.sessions + 1), 1 / (limits.effective + 1)));
	*ret_limits = limits;
	return 0;
}
