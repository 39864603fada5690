/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Completeness: by hand on a handful of sequences, against the mean over many orders, and on data whose truth is known. */
#include <math.h>
#include <string.h>

#include "model/completeness.h"
#include "../tap.h"

static bool near(double a, double b, double tolerance)
{
	return fabs(a - b) <= tolerance;
}

/* Call i is in s sessions, c times in all. */
static struct counts counts_of(struct gram *grams, const unsigned (*what)[2], size_t n, uint64_t sessions)
{
	struct counts counts = { .length = 6, .sessions = sessions, .grams = grams, .n_grams = n };

	for (size_t i = 0; i < n; i++) {
		grams[i] = (struct gram){ .symbols = { (uint16_t)i }, .n = 1, .sessions = what[i][0], .count = what[i][1] };
		counts.calls += what[i][1];
	}
	return counts;
}

static void check_by_hand(void)
{
	/* 4 sessions; sequences in 1, 1, 2, 4 of them: U = 8, Q1 = 2; 20 calls, 3 + 1 in those met once. */
	static const unsigned what[][2] = { { 1, 3 }, { 1, 1 }, { 2, 6 }, { 4, 10 } };
	struct gram grams[4];
	struct counts counts = counts_of(grams, what, 4, 4);
	struct completeness c;

	ok(completeness_of_counts(&counts, &c) == 0, "counts are judged");
	ok(c.sequences == 4 && c.pairs == 8 && c.once == 2, "sequences, pairs, met once");
	ok(near(c.unseen, 2. / 8, 1e-12) && near(c.unseen_calls, 4. / 20, 1e-12), "the next session: 1/4 and 1/5");
	ok(c.n_curve == 3 && c.curve[0].sessions == 1 && c.curve[2].sessions == 3, "the curve has every m before n");
	/* m = 1: a session has 1/4 + 1/4 + 1/2 + 1 = 2 sequences; missed 3/4, 3/4, 1/2, 0, next has it s/3:
	 * (3/4 + 3/4)/3 + 1/2 * 2/3 = 5/6 new of 2. Calls: missed * c/3 = (3/4*3 + 3/4*1 + 1/2*6)/3 = 2 of 5. */
	ok(near(c.curve[0].sequences, 2, 1e-9) && near(c.curve[0].unseen, 5. / 12, 1e-9) &&
	   near(c.curve[0].unseen_calls, 2. / 5, 1e-9), "after one session, by hand");
	/* m = 2: missed 1/2, 1/2, 1/6, 0, next s/2: 1/2 + 1/6 = 2/3 new of 2. */
	ok(near(c.curve[1].unseen, 1. / 3, 1e-9), "after two sessions, by hand");
	ok(near(c.curve[2].unseen, c.unseen, 1e-9) && near(c.curve[2].unseen_calls, c.unseen_calls, 1e-9),
	   "the curve ends in the estimates");
	ok(c.level == COMPLETENESS_TOO_LITTLE, "four sessions are too little to judge");
	ok(c.n_thin == 1 && c.all_thin == 1 && c.thin[0].call == 1 && c.thin[0].count == 1, "call 1 was met once");
	completeness_done(&c);
}

static void check_words(void)
{
	unsigned what[1000][2];
	struct gram grams[1000];
	struct counts counts;
	struct completeness c;

	for (unsigned i = 0; i < 1000; i++)
		what[i][0] = what[i][1] = 100;
	counts = counts_of(grams, what, 1000, 100);
	completeness_of_counts(&counts, &c);
	ok(c.level == COMPLETENESS_COMPLETE && c.unseen == 0 && c.halving == 0, "every session has everything: complete");
	completeness_done(&c);
	counts.gaps = 1;
	completeness_of_counts(&counts, &c);
	ok(c.level == COMPLETENESS_NEARLY, "never complete over a gap");
	completeness_done(&c);
	for (unsigned i = 0; i < 1000; i += 2)
		what[i][0] = what[i][1] = 1;
	counts = counts_of(grams, what, 1000, 100);
	completeness_of_counts(&counts, &c);
	ok(c.level == COMPLETENESS_NEARLY, "1 %% of a session's sequences new: nearly done");
	completeness_done(&c);
	counts.sessions = 0;
	counts.calls = counts.n_grams = 0;
	ok(completeness_of_counts(&counts, &c) == 0 && c.level == COMPLETENESS_TOO_LITTLE && c.unseen == 1 && !c.n_curve,
	   "nothing learned");
	completeness_done(&c);
}

static uint64_t state = 1;

static double next_random(void)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (double)(state >> 11) / 9007199254740992.0;
}

/*
 * A world whose truth is known: each of 3000 sequences is in a session with its own probability, which falls as a power
 * of its rank. What the next session has new is computed from the probabilities and held against what is estimated.
 */
static void check_world(void)
{
	enum { WORLD = 3000, SESSIONS = 200, RUNS = 20 };
	static double p[WORLD];
	static struct gram grams[WORLD];
	double estimated = 0, truth = 0, later = 0, forecast = 0;

	for (int i = 0; i < WORLD; i++)
		p[i] = fmin(1, 20 / pow(i + 1, 1.2));
	for (int run = 0; run < RUNS; run++) {
		struct counts counts = { .length = 6, .sessions = SESSIONS, .grams = grams };
		double all = 0, unseen = 0, unseen_later = 0;
		struct completeness c;

		for (int i = 0; i < WORLD; i++) {
			unsigned s = 0;

			for (int k = 0; k < SESSIONS; k++)
				s += next_random() < p[i];
			all += p[i];
			unseen += s ? 0 : p[i];
			unseen_later += s ? 0 : p[i] * pow(1 - p[i], SESSIONS);
			if (s)
				grams[counts.n_grams++] = (struct gram){ .symbols = { (uint16_t)(i % 511) }, .n = 1, .count = s,
									 .sessions = s };
			counts.calls += s;
		}
		completeness_of_counts(&counts, &c);
		estimated += c.unseen / RUNS;
		truth += unseen / all / RUNS;
		forecast += completeness_after(&c, SESSIONS) / RUNS;
		later += unseen_later / all / RUNS;
		completeness_done(&c);
	}
	ok(near(estimated, truth, 0.1 * truth), "what is new next: %.4f estimated, %.4f true", estimated, truth);
	ok(near(forecast, later, 0.15 * later), "after as many more: %.4f forecast, %.4f true", forecast, later);
}

int main(void)
{
	check_by_hand();
	check_words();
	check_world();
	return tap_done();
}
