/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ROC measures against counting pair by pair, on random scores with many ties. */
#include <math.h>
#include <string.h>

#include "eval/roc.h"
#include "../tap.h"

#define N 200

static double naive_auc(const struct tested *t, size_t n, const uint32_t *normals, const uint32_t *attacks)
{
	double wins = 0, pairs = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++) {
			double weight;

			if (!t[i].attack || t[j].attack)
				continue;
			weight = (double)attacks[t[i].index] * normals[t[j].index];
			wins += weight * (t[i].score > t[j].score ? 1 : t[i].score == t[j].score ? 0.5 : 0);
			pairs += weight;
		}
	return pairs > 0 ? wins / pairs : 0;
}

/* Tries every threshold that could be the lowest one allowed. */
static double naive_detection(const struct tested *t, size_t n, const uint32_t *normals, const uint32_t *attacks, double rate)
{
	double best = 0;

	for (size_t i = 0; i < n; i++) {
		double above = 0, all = 0, found = 0, sum = 0;

		for (size_t j = 0; j < n; j++) {
			uint32_t weight = t[j].attack ? attacks[t[j].index] : normals[t[j].index];

			*(t[j].attack ? &sum : &all) += weight;
			if (t[j].score > t[i].score)
				*(t[j].attack ? &found : &above) += weight;
		}
		if (sum > 0 && above <= floor(rate * all + 1e-9))
			best = fmax(best, found / sum);
	}
	return best;
}

static void test_measures(void)
{
	uint64_t seed = 1;
	bool auc = true, detection = true;

	for (int round = 0; round < 50; round++) {
		struct tested *t = calloc(N, sizeof(*t)), copy[N];
		uint32_t normals[N], attacks[10];
		double measures[MEASURES];
		struct roc roc;
		uint32_t n = 0;

		for (size_t i = 0; i < N; i++) {
			t[i].attack = random_below(&seed, 3) == 0;
			t[i].score = (double)(random_below(&seed, 40) + (t[i].attack ? 8 : 0)) / 64;
			t[i].index = t[i].attack ? (uint32_t)random_below(&seed, 10) : n++;
		}
		memcpy(copy, t, sizeof(copy));
		roc_draw(round, normals, n);
		roc_draw(round + 1000, attacks, 10);
		roc_init(&roc, t, N);
		roc_measure(&roc, normals, attacks, measures);
		auc &= fabs(measures[0] - naive_auc(copy, N, normals, attacks)) < 1e-9;
		for (int i = 0; i < RATES; i++) {
			double naive = naive_detection(copy, N, normals, attacks, roc_rates[i]);

			/* Below all scores there is one more threshold. */
			detection &= fabs(measures[1 + i] - naive) < 1e-9 || measures[1 + i] == 1;
		}
		roc_done(&roc);
	}
	ok(auc, "AUC is the share of pairs in order, ties half, with weights");
	ok(detection, "detection is that of the lowest threshold that the rate allows");
}

static void test_edges(void)
{
	struct tested *t = calloc(4, sizeof(*t));
	double measures[MEASURES], (*curve)[2];
	struct roc roc;
	int n;

	t[0] = (struct tested){ .score = 0.9, .attack = 1 };
	t[1] = (struct tested){ .score = 0.5, .attack = 1 };
	t[2] = (struct tested){ .score = 0.5 };
	t[3] = (struct tested){ .score = 0.1 };
	roc_init(&roc, t, 4);
	roc_measure(&roc, NULL, NULL, measures);
	ok(measures[0] == 0.875, "a tie counts half");
	ok(measures[1] == 0.5, "at no false alarm a score that ties with a normal is not detected");
	ok(roc_threshold(&roc, 0) == 0.5 && roc_threshold(&roc, 0.5) == 0.1 && isinf(roc_threshold(&roc, 1)),
	   "thresholds let through as many normals as allowed");
	n = roc_curve(&roc, &curve);
	ok(n == 4 && curve[0][0] == 0 && curve[0][1] == 0 && curve[1][1] == 0.5 && curve[2][0] == 0.5 && curve[2][1] == 1 &&
	   curve[3][0] == 1 && curve[3][1] == 1, "the curve goes from nothing to everything");
	free(curve);
	roc_done(&roc);
}

static void test_draws(void)
{
	uint32_t a[100], b[100];
	uint64_t sum = 0;
	double values[1000];
	struct interval interval = { 0 };

	roc_draw(7, a, 100);
	roc_draw(7, b, 100);
	for (int i = 0; i < 100; i++)
		sum += a[i];
	ok(sum == 100 && !memcmp(a, b, sizeof(a)), "a seed draws as many as there are, and the same each time");
	roc_draw(8, b, 100);
	ok(memcmp(a, b, sizeof(a)) != 0, "another seed draws others");
	for (int i = 0; i < 1000; i++)
		values[i] = 999 - i;
	interval_of(values, 1000, &interval);
	ok(interval.low == 25 && interval.high == 974, "an interval is the middle 95 %%");
}

int main(void)
{
	test_measures();
	test_edges();
	test_draws();
	return tap_done();
}
