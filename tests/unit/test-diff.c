/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What one profile has that another lacks, against looking at every end of every gram. */
#include <string.h>

#include "model/diff.h"
#include "model/learner.h"
#include "random-trace.h"
#include "../tap.h"

enum { EVENTS = 1200 };

static struct counts learn(unsigned length, unsigned alphabet, uint64_t *seed)
{
	static struct event events[EVENTS];
	struct learner *learner = learner_new(length, NULL, NULL);
	struct counts counts = { 0 };

	random_trace(events, EVENTS, alphabet, seed);
	if (learner_add(learner, events, EVENTS) < 0 || learner_end_trace(learner) < 0 || learner_counts(learner, &counts) < 0)
		abort();
	learner_free(learner);
	return counts;
}

static bool has_end(const struct counts *counts, const uint16_t *end, unsigned n)
{
	for (size_t i = 0; i < counts->n_grams; i++)
		if (counts->grams[i].n >= n &&
		    !memcmp(counts->grams[i].symbols + counts->grams[i].n - n, end, n * sizeof(*end)))
			return true;
	return false;
}

/* The shortest end of a gram that the other has not; 0 if it has them all. */
static unsigned shortest_new(const struct counts *other, const struct gram *gram)
{
	for (unsigned n = 1; n <= gram->n; n++)
		if (!has_end(other, gram->symbols + gram->n - n, n))
			return n;
	return 0;
}

static void compare(unsigned length, unsigned alphabet_a, unsigned alphabet_b, uint64_t seed)
{
	struct counts a = learn(length, alphabet_a, &seed), b = learn(length, alphabet_b, &seed);
	uint64_t calls = 0, grams = 0, listed = 0, wrong = 0;
	struct diff diff;

	if (!ok(!diff_counts(&a, &b, &diff), "length %u: compared", length))
		return;
	for (size_t i = 0; i < a.n_grams; i++) {
		unsigned n = shortest_new(&b, &a.grams[i]);
		bool found = false;

		if (!n)
			continue;
		grams++;
		calls += a.grams[i].count;
		for (size_t k = 0; k < diff.n; k++)
			found |= diff.only[k].n == n &&
				 !memcmp(diff.only[k].symbols, a.grams[i].symbols + a.grams[i].n - n, n * sizeof(uint16_t));
		wrong += !found;
	}
	for (size_t k = 0; k < diff.n; k++) {
		listed += diff.only[k].count;
		wrong += k && diff.only[k].count > diff.only[k - 1].count;
		wrong += has_end(&b, diff.only[k].symbols, diff.only[k].n) || !has_end(&a, diff.only[k].symbols, diff.only[k].n);
		for (size_t l = 0; l < k; l++)
			wrong += !gram_compare(&diff.only[k], &diff.only[l]);
	}
	ok(!wrong && diff.calls == calls && listed == calls && diff.grams == grams,
	   "length %u: %zu differences say all that is new, as shortly as possible", length, diff.n);
	diff_done(&diff);
	ok(!diff_counts(&a, &a, &diff) && !diff.n && !diff.calls, "length %u: no difference from itself", length);
	diff_done(&diff);
	counts_done(&a);
	counts_done(&b);
}

int main(void)
{
	struct counts empty = { .length = 6 }, shorter = { .length = 5 }, some;
	uint64_t seed = 77;
	struct diff diff;

	compare(2, 10, 12, 1);
	compare(6, 20, 20, 2);
	compare(6, 12, 15, 3);
	compare(LENGTH_MAX, 4, 5, 4);
	some = learn(6, 9, &seed);
	ok(!diff_counts(&some, &empty, &diff) && diff.calls == some.calls, "all is new to what has learned nothing");
	diff_done(&diff);
	ok(!diff_counts(&empty, &some, &diff) && !diff.n, "and nothing the other way");
	diff_done(&diff);
	ok(diff_counts(&empty, &shorter, &diff) == -EINVAL, "different lengths are not compared");
	counts_done(&some);
	return tap_done();
}
