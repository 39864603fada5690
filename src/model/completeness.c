/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/completeness.h"

#include <math.h>
#include <string.h>

#define CURVE_POINTS 60
#define SLOPE_MIN    0.05 /* flatter than this, halving takes a million times the training: no forecast */

/* All sequences that are in the same number of sessions. */
struct frequency {
	uint64_t sessions, sequences, calls;
};

static int compare_frequencies(const void *a, const void *b)
{
	const struct frequency *x = a, *y = b;

	return x->sessions < y->sessions ? -1 : x->sessions > y->sessions;
}

static size_t merge_frequencies(struct frequency *list, size_t n)
{
	size_t used = 0;

	if (n)
		qsort(list, n, sizeof(*list), compare_frequencies);
	for (size_t i = 0; i < n; i++) {
		if (used && list[used - 1].sessions == list[i].sessions) {
			list[used - 1].sequences += list[i].sequences;
			list[used - 1].calls += list[i].calls;
		} else {
			list[used++] = list[i];
		}
	}
	return used;
}

/* log of C(n - s, m) / C(n, m): that m of n sessions miss what is in s of them. */
static double log_missed(double n, double s, double m)
{
	return s > n - m ? -INFINITY : lgamma(n - s + 1) - lgamma(n - s - m + 1) + lgamma(n - m + 1) - lgamma(n + 1);
}

static struct completeness_point point_at(const struct completeness *c, const struct frequency *list, size_t n_list,
					   double m)
{
	double n = (double)c->sessions, sequences = 0, unseen = 0, calls = 0;

	for (size_t i = 0; i < n_list; i++) {
		double s = (double)list[i].sessions, missed = exp(log_missed(n, s, m));

		sequences += (double)list[i].sequences * (1 - missed);
		unseen += (double)list[i].sequences * missed * s / (n - m);
		calls += (double)list[i].calls * missed / (n - m);
	}
	return (struct completeness_point){ m, sequences, unseen * n / (double)c->pairs, calls * n / (double)c->calls };
}

static int make_curve(struct completeness *c, const struct frequency *list, size_t n_list)
{
	uint64_t last = 0;

	c->curve = calloc(CURVE_POINTS, sizeof(*c->curve));
	if (!c->curve)
		return -ENOMEM;
	for (unsigned i = 0; i < CURVE_POINTS && c->sessions > 1; i++) {
		uint64_t m = (uint64_t)llround((double)(c->sessions - 1) * (i + 1) / CURVE_POINTS);

		if (m == last || !m)
			continue;
		c->curve[c->n_curve++] = point_at(c, list, n_list, (double)m);
		last = m;
	}
	return 0;
}

/* Slope in logarithms between the shares after a and b sessions. */
static double slope_between(double a, double unseen_a, double b, double unseen_b)
{
	return fmax(0, log(unseen_a / unseen_b) / log(b / a));
}

static void forecast(struct completeness *c, const struct frequency *list, size_t n_list)
{
	double end = (double)c->sessions - 1, half = floor(end / 2), quarter = floor(end / 4), at_half, bend = 0;

	if (c->unseen == 0 || half < 2)
		return;
	at_half = point_at(c, list, n_list, half).unseen;
	c->slope = slope_between(half, at_half, end, c->unseen);
	if (quarter >= 2)
		bend = fmax(0, c->slope - slope_between(quarter, point_at(c, list, n_list, quarter).unseen, half, at_half));
	c->bend = bend;
	c->slope += bend / 2;
	/* slope x + bend x^2 / 2 = 1, x in doublings */
	if (c->slope < SLOPE_MIN)
		c->halving = INFINITY;
	else
		c->halving = (double)c->sessions * (pow(2, 2 / (c->slope + sqrt(c->slope * c->slope + 2 * bend))) - 1);
}

double completeness_after(const struct completeness *c, double more)
{
	double doublings = log2(1 + more / fmax(1, (double)c->sessions));

	return c->unseen * pow(2, -(c->slope + c->bend / 2 * doublings) * doublings);
}

static void find_thin_calls(const struct counts *counts, struct completeness *c)
{
	uint64_t count[ALPHABET] = { 0 };

	for (size_t i = 0; i < counts->n_grams; i++)
		count[counts->grams[i].symbols[counts->grams[i].n - 1] % ALPHABET] += counts->grams[i].count;
	for (uint64_t times = 1; times <= 2; times++)
		for (unsigned call = 0; call < ALPHABET; call++) {
			if (count[call] != times)
				continue;
			c->all_thin++;
			if (c->n_thin < COMPLETENESS_CALLS)
				c->thin[c->n_thin++] = (struct completeness_call){ (uint16_t)call, times };
		}
}

static enum completeness_level judge(const struct completeness *c)
{
	if (c->sessions < COMPLETENESS_JUDGE)
		return COMPLETENESS_TOO_LITTLE;
	if (c->sessions >= COMPLETENESS_COMPLETE_SESSIONS && c->unseen <= COMPLETENESS_COMPLETE_SEQUENCES &&
	    c->unseen_calls <= COMPLETENESS_COMPLETE_CALLS && !c->gaps)
		return COMPLETENESS_COMPLETE;
	if (c->sessions >= COMPLETENESS_NEARLY_SESSIONS && c->unseen <= COMPLETENESS_NEARLY_SEQUENCES &&
	    c->unseen_calls <= COMPLETENESS_NEARLY_CALLS)
		return COMPLETENESS_NEARLY;
	return COMPLETENESS_LEARNING;
}

int completeness_of_counts(const struct counts *counts, struct completeness *ret_completeness)
{
	_cleanup_free_ struct frequency *list = calloc(counts->n_grams + 1, sizeof(*list));
	struct completeness c = { .sessions = counts->sessions, .calls = counts->calls, .gaps = counts->gaps,
				  .lost = counts->lost, .sequences = counts->n_grams };
	uint64_t calls_once = 0;
	size_t n;
	int r;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < counts->n_grams; i++) {
		const struct gram *gram = &counts->grams[i];

		list[i] = (struct frequency){ gram->sessions, 1, gram->count };
		c.pairs += gram->sessions;
		c.once += gram->sessions == 1;
		calls_once += gram->sessions == 1 ? gram->count : 0;
	}
	n = merge_frequencies(list, counts->n_grams);
	c.unseen = c.pairs ? (double)c.once / (double)c.pairs : 1;
	c.unseen_calls = c.calls ? (double)calls_once / (double)c.calls : 1;
	r = make_curve(&c, list, n);
	if (r < 0)
		return r;
	forecast(&c, list, n);
	find_thin_calls(counts, &c);
	c.level = judge(&c);
	*ret_completeness = c;
	return 0;
}

struct source_search {
	struct profile *profile;
	const struct counts *all;
	struct completeness *c;
	struct errmsg *err;
};

/* Sequences of a run that no other run has: all their sessions are its own. */
static uint64_t count_own(const struct counts *all, const struct counts *run)
{
	uint64_t own = 0;
	size_t at = 0;

	for (size_t i = 0; i < run->n_grams; i++) {
		while (at < all->n_grams && gram_compare(&all->grams[at], &run->grams[i]) < 0)
			at++;
		own += at < all->n_grams && all->grams[at].sessions == run->grams[i].sessions;
	}
	return own;
}

static int add_source(struct source_search *search, const struct profile_run *run, uint64_t sequences, uint64_t own)
{
	struct completeness *c = search->c;
	char *name;
	size_t at;

	if (c->n_sources == COMPLETENESS_SOURCES) {
		if (own <= c->sources[c->n_sources - 1].only)
			return 0;
		free(c->sources[--c->n_sources].source);
	}
	name = strdup(run->source ? run->source : "");
	if (!name)
		return errmsg_errno(search->err, -ENOMEM, NULL, "completeness");
	for (at = c->n_sources++; at && c->sources[at - 1].only < own; at--)
		c->sources[at] = c->sources[at - 1];
	c->sources[at] = (struct completeness_source){ .run = run->id, .source = name, .sessions = run->sessions,
						       .sequences = sequences, .only = own };
	return 0;
}

static int see_run(void *data, const struct profile_run *run)
{
	struct source_search *search = data;
	struct counts counts;
	uint64_t sequences, own;
	int r;

	r = profile_run_counts(search->profile, run->id, &counts, search->err);
	if (r < 0)
		return r;
	sequences = counts.n_grams;
	own = count_own(search->all, &counts);
	counts_done(&counts);
	return own ? add_source(search, run, sequences, own) : 0;
}

int completeness_of_profile(struct profile *profile, struct completeness *ret_completeness, struct errmsg *err)
{
	struct completeness c = { 0 };
	struct counts counts;
	struct source_search search = { .profile = profile, .all = &counts, .c = &c, .err = err };
	int r;

	r = profile_counts(profile, 0, &counts, err);
	if (r < 0)
		return r;
	r = completeness_of_counts(&counts, &c);
	if (r < 0)
		errmsg_errno(err, r, NULL, "completeness");
	else
		r = profile_each_run(profile, see_run, &search, err);
	counts_done(&counts);
	if (r < 0) {
		completeness_done(&c);
		return r;
	}
	*ret_completeness = c;
	return 0;
}

void completeness_done(struct completeness *c)
{
	free(c->curve);
	for (size_t i = 0; i < c->n_sources; i++)
		free(c->sources[i].source);
	memset(c, 0, sizeof(*c));
}

const char *completeness_word(enum completeness_level level)
{
	static const char *const words[] = {
		[COMPLETENESS_TOO_LITTLE] = "too little to judge",
		[COMPLETENESS_LEARNING] = "still learning",
		[COMPLETENESS_NEARLY] = "nearly done",
		[COMPLETENESS_COMPLETE] = "complete",
	};

	return words[level];
}
