/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/folds-grams.h"

#include <string.h>

struct folds_grams {
	struct counts counts;
	size_t allocated;
	uint32_t *table; /* index of a gram + 1, 0 = free; open addressing, at most half full */
	unsigned bits;
};

/* The calls before the next one, oldest first, as the learner sees them. */
struct past {
	uint16_t symbols[LENGTH_MAX];
	uint16_t n;
};

struct folds_grams *folds_grams_new(unsigned length)
{
	struct folds_grams *grams = calloc(1, sizeof(*grams));

	if (grams)
		grams->counts.length = length;
	return grams;
}

struct folds_grams *folds_grams_free(struct folds_grams *grams)
{
	if (!grams)
		return NULL;
	counts_done(&grams->counts);
	free(grams->table);
	free(grams);
	return NULL;
}

static size_t gram_slot(const struct folds_grams *grams, const struct gram *gram)
{
	uint64_t words[sizeof(gram->symbols) / (sizeof(uint64_t))], hash = gram->n;
	size_t at;

	memcpy(words, gram->symbols, sizeof(words));
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		hash = (hash ^ words[i]) * 0xd6e8feb86659fd93ULL;
		hash ^= hash >> 32;
	}
	at = hash * 0x9e3779b97f4a7c15ULL >> (64 - grams->bits);
	while (grams->table[at] && gram_compare(&grams->counts.grams[grams->table[at] - 1], gram))
		at = (at + 1) & ((1UL << grams->bits) - 1);
	return at;
}

static int fill_table(struct folds_grams *grams, unsigned bits)
{
	uint32_t *table = calloc(1UL << bits, sizeof(*table));

	if (!table)
		return -ENOMEM;
	free(grams->table);
	grams->table = table;
	grams->bits = bits;
	for (size_t i = 0; i < grams->counts.n_grams; i++)
		table[gram_slot(grams, &grams->counts.grams[i])] = (uint32_t)i + 1;
	return 0;
}

static int grow(struct folds_grams *grams)
{
	size_t allocated = grams->allocated ? 2 * grams->allocated : 1024;
	struct gram *more;

	if (allocated > UINT32_MAX / 2)
		return -ENOMEM;
	more = realloc(grams->counts.grams, allocated * sizeof(*more));
	if (!more)
		return -ENOMEM;
	grams->counts.grams = more;
	grams->allocated = allocated;
	return fill_table(grams, (unsigned)__builtin_ctzl(allocated) + 1);
}

static void past_push(struct past *past, unsigned length, uint16_t symbol)
{
	if (past->n == length - 1) {
		memmove(past->symbols, past->symbols + 1, (past->n - 1U) * sizeof(*past->symbols));
		past->n--;
	}
	past->symbols[past->n++] = symbol;
}

/* Follows a symbol; true if it is a call, whose gram is then *ret_gram. */
static bool past_step(struct past *past, unsigned length, uint16_t symbol, struct gram *ret_gram)
{
	if (symbol >= ALPHABET) {
		past->n = symbol != SYMBOL_RESET;
		past->symbols[0] = symbol;
		return false;
	}
	memset(ret_gram, 0, sizeof(*ret_gram));
	memcpy(ret_gram->symbols, past->symbols, past->n * sizeof(*past->symbols));
	ret_gram->symbols[past->n] = symbol;
	ret_gram->n = past->n + 1;
	past_push(past, length, symbol);
	return true;
}

int folds_grams_add(struct folds_grams *grams, const struct session *session, uint64_t copies)
{
	struct past past = { .n = 0 };
	struct gram gram;

	for (size_t i = 0; i < session->n; i++) {
		struct gram *known;
		size_t slot;

		if (!past_step(&past, grams->counts.length, session->symbols[i], &gram))
			continue;
		if (grams->counts.n_grams == grams->allocated && grow(grams) < 0)
			return -ENOMEM;
		slot = gram_slot(grams, &gram);
		if (!grams->table[slot]) {
			grams->counts.grams[grams->counts.n_grams++] = gram;
			grams->table[slot] = (uint32_t)grams->counts.n_grams;
		}
		known = &grams->counts.grams[grams->table[slot] - 1];
		known->count += copies;
		grams->counts.calls += copies;
	}
	grams->counts.sessions += copies;
	return 0;
}

int folds_grams_sort(struct folds_grams *grams)
{
	_cleanup_free_ uint32_t *order = NULL;
	struct gram *sorted;
	int r;

	r = grams_order(grams->counts.grams, grams->counts.n_grams, grams->counts.length, GRAMS_FORWARD, &order);
	if (r < 0)
		return r;
	sorted = malloc((grams->counts.n_grams + 1) * sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < grams->counts.n_grams; i++)
		sorted[i] = grams->counts.grams[order[i]];
	free(grams->counts.grams);
	grams->counts.grams = sorted;
	grams->allocated = grams->counts.n_grams;
	return fill_table(grams, grams->bits ? grams->bits : 1);
}

static void take_piece(const struct folds *folds, const struct piece *piece, struct counts *counts)
{
	const struct folds_grams *grams = folds->grams;
	const struct folds_session *session = &folds->sessions[piece->session];
	uint32_t i = piece->from >= folds->length ? piece->from - folds->length : 0;
	struct past past = { .n = 0 };
	struct gram gram;

	for (; i < piece->to; i++)
		if (past_step(&past, folds->length, session->session.symbols[i], &gram) && i >= piece->from) {
			counts->grams[grams->table[gram_slot(grams, &gram)] - 1].count -= session->copies;
			counts->calls -= session->copies;
		}
}

int folds_grams_counts(const struct folds *folds, uint32_t without, struct counts *ret_counts)
{
	const struct counts *all = &folds->grams->counts;
	struct counts counts = *all;
	size_t n = 0;

	counts.grams = malloc((all->n_grams + 1) * sizeof(*counts.grams));
	if (!counts.grams)
		return -ENOMEM;
	if (all->n_grams)
		memcpy(counts.grams, all->grams, all->n_grams * sizeof(*counts.grams));
	for (size_t i = 0; without != UINT32_MAX && i < folds->n_pieces; i++)
		if (folds->pieces[i].fold == without) {
			take_piece(folds, &folds->pieces[i], &counts);
			counts.sessions -= folds->pieces[i].from ? 0 : folds->sessions[folds->pieces[i].session].copies;
		}
	for (size_t i = 0; i < all->n_grams; i++)
		if (counts.grams[i].count)
			counts.grams[n++] = counts.grams[i];
	counts.n_grams = n;
	/* All that is needed of them here; a learner's counts say it of every gram. */
	for (size_t i = 0; i < n; i++)
		counts.grams[i].sessions = 1;
	*ret_counts = counts;
	return 0;
}
