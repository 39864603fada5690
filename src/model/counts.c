/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/counts.h"

#include <stdbool.h>
#include <string.h>

void counts_done(struct counts *counts)
{
	free(counts->grams);
	counts->grams = NULL;
	counts->n_grams = 0;
}

int gram_compare(const struct gram *a, const struct gram *b)
{
	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	for (unsigned i = 0; i < a->n; i++)
		if (a->symbols[i] != b->symbols[i])
			return a->symbols[i] < b->symbols[i] ? -1 : 1;
	return 0;
}

/*
 * Sorting by radix: a gram is a number of at most 17 digits of 10 bits, most significant first; six digits make a word.
 * Digit 0 means "no symbol here", so that shorter ones come first.
 */
#define DIGIT_BITS     10
#define DIGITS         (1 << DIGIT_BITS)
#define DIGITS_IN_WORD 6
_Static_assert(SYMBOL_EXEC + 1 < DIGITS, "every symbol is a digit");

struct sort_item {
	uint64_t word;
	uint32_t index;
};

static unsigned gram_digit(const struct gram *gram, unsigned length, enum gram_order order, unsigned position)
{
	if (order == GRAMS_FORWARD)
		return !position ? gram->n : position <= gram->n ? gram->symbols[position - 1] + 1U : 0;
	if (order == GRAMS_REVERSED)
		return position < gram->n ? gram->symbols[gram->n - 1 - position] + 1U : 0;
	if (position == length - 1)
		return gram->symbols[gram->n - 1] + 1U;
	return position + 2 <= gram->n ? gram->symbols[gram->n - 2 - position] + 1U : 0;
}

/* Sorts by one digit of the words, keeping the order of equals; false if nothing had to be moved. */
static bool sort_pass(const struct sort_item *from, struct sort_item *to, size_t n, unsigned shift)
{
	uint32_t start[DIGITS] = { 0 };
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++)
		start[from[i].word >> shift & (DIGITS - 1)]++;
	if (start[from[0].word >> shift & (DIGITS - 1)] == n)
		return false;
	for (unsigned d = 0; d < DIGITS; d++) {
		uint32_t count = start[d];

		start[d] = sum;
		sum += count;
	}
	for (size_t i = 0; i < n; i++)
		to[start[from[i].word >> shift & (DIGITS - 1)]++] = from[i];
	return true;
}

int grams_order(const struct gram *grams, size_t n, unsigned length, enum gram_order order, uint32_t **ret_index)
{
	unsigned digits = order == GRAMS_FORWARD ? length + 1 : length;
	_cleanup_free_ struct sort_item *from = NULL, *to = NULL;
	uint32_t *index;

	if (n > UINT32_MAX)
		return -E2BIG;
	index = malloc((n + 1) * sizeof(*index));
	from = malloc((n + 1) * sizeof(*from));
	to = malloc((n + 1) * sizeof(*to));
	if (!index || !from || !to) {
		free(index);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		from[i].index = (uint32_t)i;
	for (unsigned end = digits; n && end;) {
		unsigned begin = end > DIGITS_IN_WORD ? end - DIGITS_IN_WORD : 0;

		for (size_t i = 0; i < n; i++) {
			uint64_t word = 0;

			for (unsigned d = begin; d < end; d++)
				word = word << DIGIT_BITS | gram_digit(&grams[from[i].index], length, order, d);
			from[i].word = word;
		}
		for (unsigned d = 0; d < end - begin; d++)
			if (sort_pass(from, to, n, d * DIGIT_BITS)) {
				struct sort_item *swap = from;

				from = to;
				to = swap;
			}
		end = begin;
	}
	for (size_t i = 0; i < n; i++)
		index[i] = from[i].index;
	*ret_index = index;
	return 0;
}

static void totals_add(struct counts *counts, const struct counts *more)
{
	counts->calls += more->calls;
	counts->sessions += more->sessions;
	counts->gaps += more->gaps;
	counts->lost = event_add_lost(counts->lost, more->lost);
	for (int i = 0; i < ORIGIN_KINDS; i++) {
		counts->origins[i] += more->origins[i];
		counts->origin_sessions[i] += more->origin_sessions[i];
	}
}

int counts_add(struct counts *counts, const struct counts *more)
{
	size_t a = 0, b = 0, n = 0;
	struct gram *sum;

	if (counts->length != more->length)
		return -EINVAL;
	if (more->n_grams) {
		sum = malloc((counts->n_grams + more->n_grams) * sizeof(*sum));
		if (!sum)
			return -ENOMEM;
		while (a < counts->n_grams || b < more->n_grams) {
			int order = a == counts->n_grams ? 1 : b == more->n_grams ? -1 :
				    gram_compare(&counts->grams[a], &more->grams[b]);

			sum[n] = order <= 0 ? counts->grams[a] : more->grams[b];
			if (!order) {
				sum[n].count += more->grams[b].count;
				sum[n].sessions += more->grams[b].sessions;
			}
			a += order <= 0;
			b += order >= 0;
			n++;
		}
		free(counts->grams);
		counts->grams = sum;
		counts->n_grams = n;
	}
	totals_add(counts, more);
	return 0;
}

int counts_shorten(struct counts *counts, unsigned length)
{
	_cleanup_free_ uint32_t *index = NULL;
	struct gram *shorter;
	size_t n = 0;
	int r;

	if (length < LENGTH_MIN || length > counts->length)
		return -EINVAL;
	shorter = malloc((counts->n_grams + 1) * sizeof(*shorter));
	if (!shorter)
		return -ENOMEM;
	for (size_t i = 0; i < counts->n_grams; i++) {
		struct gram *gram = &counts->grams[i];
		unsigned drop = gram->n > length ? gram->n - length : 0;

		memmove(gram->symbols, gram->symbols + drop, (gram->n - drop) * sizeof(*gram->symbols));
		memset(gram->symbols + gram->n - drop, 0, drop * sizeof(*gram->symbols));
		gram->n -= (uint16_t)drop;
	}
	r = grams_order(counts->grams, counts->n_grams, length, GRAMS_FORWARD, &index);
	if (r < 0) {
		free(shorter);
		return r;
	}
	for (size_t i = 0; i < counts->n_grams; i++) {
		const struct gram *gram = &counts->grams[index[i]];

		if (n && !gram_compare(&shorter[n - 1], gram)) {
			shorter[n - 1].count += gram->count;
			shorter[n - 1].sessions += gram->sessions;
			shorter[n - 1].sessions = MIN(shorter[n - 1].sessions, counts->sessions);
		} else {
			shorter[n++] = *gram;
		}
	}
	free(counts->grams);
	counts->grams = shorter;
	counts->n_grams = n;
	counts->length = length;
	return 0;
}

static bool gram_is_valid(const struct gram *gram, const struct counts *counts)
{
	if (!gram->n || gram->n > counts->length || !gram->count || !gram->sessions || gram->sessions > gram->count ||
	    gram->sessions > counts->sessions)
		return false;
	for (unsigned i = 0; i < gram->n; i++)
		if (gram->symbols[i] > (!i && gram->n > 1 ? SYMBOL_EXEC : SYMBOL_OTHER))
			return false;
	return true;
}

int counts_check(const struct counts *counts)
{
	uint64_t calls = 0, origins = 0;

	/* Far from overflow, so that any number of runs can be added up. */
	if (counts->length < LENGTH_MIN || counts->length > LENGTH_MAX || counts->calls >> 56 || counts->gaps >> 56 ||
	    counts->lost >> 56 || counts->sessions > counts->calls)
		return -EBADMSG;
	for (size_t i = 0; i < counts->n_grams; i++) {
		const struct gram *gram = &counts->grams[i];

		if (!gram_is_valid(gram, counts) || (i && gram_compare(gram - 1, gram) >= 0) ||
		    gram->count > counts->calls - calls)
			return -EBADMSG;
		calls += gram->count;
	}
	for (int i = 0; i < ORIGIN_KINDS; i++) {
		if (counts->origins[i] > counts->calls - origins || counts->origin_sessions[i] > counts->sessions ||
		    counts->origin_sessions[i] > counts->origins[i])
			return -EBADMSG;
		origins += counts->origins[i];
	}
	return calls == counts->calls && origins == counts->calls ? 0 : -EBADMSG;
}
