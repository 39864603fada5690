/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/diff.h"

#include <string.h>

void diff_done(struct diff *diff)
{
	free(diff->only);
	diff->only = NULL;
	diff->n = 0;
}

/* How many symbols two grams have in common at their ends; *ret_order: how they are ordered reversed. */
static unsigned common_end(const struct gram *a, const struct gram *b, int *ret_order)
{
	unsigned n = 0;

	while (n < a->n && n < b->n && a->symbols[a->n - 1 - n] == b->symbols[b->n - 1 - n])
		n++;
	if (n == a->n || n == b->n)
		*ret_order = (a->n > b->n) - (a->n < b->n);
	else
		*ret_order = a->symbols[a->n - 1 - n] < b->symbols[b->n - 1 - n] ? -1 : 1;
	return n;
}

static int more_frequent(const void *a, const void *b)
{
	const struct gram *x = a, *y = b;

	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return gram_compare(x, y);
}

/* Adds the last n symbols of a gram; the same ones come one after the other. */
static void add_end(struct diff *diff, const struct gram *gram, unsigned n)
{
	struct gram end = { .n = (uint16_t)n, .count = gram->count };

	memcpy(end.symbols, gram->symbols + gram->n - n, n * sizeof(*end.symbols));
	diff->calls += gram->count;
	diff->grams++;
	if (diff->n && !gram_compare(&diff->only[diff->n - 1], &end))
		diff->only[diff->n - 1].count += gram->count;
	else
		diff->only[diff->n++] = end;
}

/*
 * In reversed order, the gram of the other that shares the longest end with ours is one of the two neighbours of the place
 * where ours would stand.
 */
int diff_counts(const struct counts *counts, const struct counts *other, struct diff *ret_diff)
{
	_cleanup_free_ uint32_t *ours = NULL, *theirs = NULL;
	struct diff diff = { 0 };
	size_t at = 0;
	int r;

	if (counts->length != other->length)
		return -EINVAL;
	r = grams_order(counts->grams, counts->n_grams, counts->length, GRAMS_REVERSED, &ours);
	if (r >= 0)
		r = grams_order(other->grams, other->n_grams, other->length, GRAMS_REVERSED, &theirs);
	if (r < 0)
		return r;
	diff.only = malloc((counts->n_grams + 1) * sizeof(*diff.only));
	if (!diff.only)
		return -ENOMEM;
	for (size_t i = 0; i < counts->n_grams; i++) {
		const struct gram *gram = &counts->grams[ours[i]];
		unsigned before = 0, after = 0;
		int order;

		for (; at < other->n_grams; at++) {
			after = common_end(gram, &other->grams[theirs[at]], &order);
			if (order <= 0)
				break;
		}
		if (at == other->n_grams)
			after = 0;
		if (at)
			before = common_end(gram, &other->grams[theirs[at - 1]], &order);
		if (MAX(before, after) < gram->n)
			add_end(&diff, gram, MAX(before, after) + 1);
	}
	qsort(diff.only, diff.n, sizeof(*diff.only), more_frequent);
	*ret_diff = diff;
	return 0;
}
