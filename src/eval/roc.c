/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eval/roc.h"

#include <math.h>
#include <string.h>

const double roc_rates[RATES] = { 0, 0.01, 0.02, 0.05, 0.10, 0.20 };

uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* The part of the range that would favour small numbers is drawn again. */
uint64_t random_below(uint64_t *state, uint64_t n)
{
	uint64_t limit = (UINT64_MAX / n) * n, x;

	do
		x = random_next(state);
	while (x >= limit);
	return x % n;
}

static int by_score(const void *a, const void *b)
{
	const struct tested *x = a, *y = b;

	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	if (x->attack != y->attack)
		return x->attack - y->attack;
	return x->index < y->index ? -1 : x->index > y->index;
}

void roc_init(struct roc *roc, struct tested *tested, size_t n)
{
	*roc = (struct roc){ .tested = tested, .n = n };
	qsort(tested, n, sizeof(*tested), by_score);
	for (size_t i = 0; i < n; i++)
		roc->attacks += tested[i].attack;
	roc->normals = n - roc->attacks;
}

void roc_done(struct roc *roc)
{
	free(roc->tested);
	*roc = (struct roc){ 0 };
}

static void totals(const struct roc *roc, const uint32_t *normal_weights, const uint32_t *attack_weights,
		   uint64_t *ret_normals, uint64_t *ret_attacks)
{
	uint64_t sums[2] = { 0 };

	for (size_t i = 0; i < roc->n; i++) {
		const struct tested *t = &roc->tested[i];
		const uint32_t *weights = t->attack ? attack_weights : normal_weights;

		sums[t->attack] += weights ? weights[t->index] : 1;
	}
	*ret_normals = sums[0];
	*ret_attacks = sums[1];
}

/* How many normals may lie above the threshold; the small addition is for shares that are not exact in binary. */
static uint64_t allowed(double rate, uint64_t normals)
{
	return (uint64_t)(rate * (double)normals + 1e-9);
}

void roc_measure(const struct roc *roc, const uint32_t *normal_weights, const uint32_t *attack_weights,
		 double ret_measures[MEASURES])
{
	uint64_t normals, attacks, above[2] = { 0 };
	double area = 0;
	int rate = 0;

	totals(roc, normal_weights, attack_weights, &normals, &attacks);
	for (size_t i = 0; i < roc->n;) {
		uint64_t here[2] = { 0 };
		double score = roc->tested[i].score;

		for (; i < roc->n && roc->tested[i].score == score; i++) {
			const struct tested *t = &roc->tested[i];
			const uint32_t *weights = t->attack ? attack_weights : normal_weights;

			here[t->attack] += weights ? weights[t->index] : 1;
		}
		/* A threshold under this score would let too many normals through. */
		for (; rate < RATES && above[0] + here[0] > allowed(roc_rates[rate], normals); rate++)
			ret_measures[1 + rate] = attacks ? (double)above[1] / (double)attacks : 0;
		area += (double)here[0] * ((double)above[1] + (double)here[1] / 2);
		above[0] += here[0];
		above[1] += here[1];
	}
	for (; rate < RATES; rate++)
		ret_measures[1 + rate] = attacks ? 1 : 0;
	ret_measures[0] = normals && attacks ? area / ((double)normals * (double)attacks) : 0;
}

double roc_threshold(const struct roc *roc, double rate)
{
	uint64_t left = allowed(rate, roc->normals);

	for (size_t i = 0; i < roc->n; i++)
		if (!roc->tested[i].attack && !left--)
			return roc->tested[i].score;
	return -INFINITY;
}

int roc_curve(const struct roc *roc, double (**ret_points)[2])
{
	double (*points)[2] = malloc((roc->n + 1) * sizeof(*points));
	size_t above[2] = { 0 };
	int n = 0;

	if (!points)
		return -ENOMEM;
	points[n][0] = points[n][1] = 0;
	n++;
	for (size_t i = 0; i < roc->n;) {
		double score = roc->tested[i].score;

		for (; i < roc->n && roc->tested[i].score == score; i++)
			above[roc->tested[i].attack]++;
		points[n][0] = roc->normals ? (double)above[0] / (double)roc->normals : 0;
		points[n][1] = roc->attacks ? (double)above[1] / (double)roc->attacks : 0;
		n++;
	}
	*ret_points = points;
	return n;
}

void roc_draw(uint64_t seed, uint32_t *weights, size_t n)
{
	memset(weights, 0, n * sizeof(*weights));
	for (size_t i = 0; i < n; i++)
		weights[random_below(&seed, n)]++;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

void interval_of(double *values, size_t n, struct interval *interval)
{
	if (!n) {
		interval->low = interval->high = interval->value;
		return;
	}
	qsort(values, n, sizeof(*values), by_value);
	interval->low = values[(size_t)(0.025 * (double)(n - 1) + 0.5)];
	interval->high = values[(size_t)(0.975 * (double)(n - 1) + 0.5)];
}
