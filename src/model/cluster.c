/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster.h"

#include <string.h>

#include "base/cleanup.h"

#define ROUNDS_MAX 50 /* Lloyd's steps nearly always end long before */
#define MEAN_ONE 65536 /* a bit that every item of the group has */

struct centre {
	uint32_t mean[SET_BITS]; /* in 1/MEAN_ONE */
	uint64_t square;         /* sum of the squares of mean */
	uint32_t items;
};

static void centre_finish(struct centre *centre)
{
	centre->square = 0;
	for (unsigned i = 0; i < SET_BITS; i++) {
		if (centre->items)
			centre->mean[i] = (uint32_t)((uint64_t)centre->mean[i] * MEAN_ONE / centre->items);
		centre->square += (uint64_t)centre->mean[i] * centre->mean[i];
	}
}

static void centre_add(struct centre *centre, const struct set *item)
{
	for (unsigned w = 0; w < SET_BITS / 64; w++)
		for (uint64_t bits = item->words[w]; bits; bits &= bits - 1)
			centre->mean[w * 64 + (unsigned)__builtin_ctzll(bits)]++;
	centre->items++;
}

/* |item - mean|^2 = sum over all bits of mean^2, and over the item's bits of 1 - 2 mean. Never negative. */
static int64_t distance(const struct centre *centre, const struct set *item)
{
	int64_t sum = (int64_t)centre->square;

	for (unsigned w = 0; w < SET_BITS / 64; w++)
		for (uint64_t bits = item->words[w]; bits; bits &= bits - 1)
			sum += MEAN_ONE * (MEAN_ONE - 2 * (int64_t)centre->mean[w * 64 + (unsigned)__builtin_ctzll(bits)]);
	return sum;
}

static unsigned choose_centres(const struct set *items, size_t n, unsigned k, struct centre *centres, int64_t *nearest)
{
	size_t farthest = 0;
	unsigned used = 0;

	for (size_t i = 0; i < n; i++)
		nearest[i] = INT64_MAX;
	while (used < k && nearest[farthest]) {
		struct centre *centre = &centres[used++];

		memset(centre, 0, sizeof(*centre));
		centre_add(centre, &items[farthest]);
		centre_finish(centre);
		for (size_t i = 0; i < n; i++) {
			int64_t d = distance(centre, &items[i]);

			nearest[i] = d < nearest[i] ? d : nearest[i];
		}
		farthest = 0;
		for (size_t i = 1; i < n; i++)
			if (nearest[i] > nearest[farthest])
				farthest = i;
	}
	return used;
}

/* Numbers groups anew by their first items, leaving out empty ones. */
static unsigned renumber(uint32_t *group, size_t n, unsigned k, uint32_t *number)
{
	unsigned used = 0;

	for (unsigned c = 0; c < k; c++)
		number[c] = UINT32_MAX;
	for (size_t i = 0; i < n; i++) {
		if (number[group[i]] == UINT32_MAX)
			number[group[i]] = used++;
		group[i] = number[group[i]];
	}
	return used;
}

int cluster(const struct set *items, size_t n, unsigned k, uint32_t *group)
{
	_cleanup_free_ struct centre *centres = NULL;
	_cleanup_free_ int64_t *nearest = NULL;
	_cleanup_free_ uint32_t *number = NULL;
	int changed = 1;

	if (!n || !k)
		return 0;
	if (k > n)
		k = (unsigned)n;
	centres = malloc(k * sizeof(*centres));
	nearest = malloc(n * sizeof(*nearest));
	number = malloc(k * sizeof(*number));
	if (!centres || !nearest || !number)
		return -ENOMEM;
	k = choose_centres(items, n, k, centres, nearest);
	memset(group, 0xff, n * sizeof(*group));
	for (int round = 0; changed && round < ROUNDS_MAX; round++) {
		changed = 0;
		for (size_t i = 0; i < n; i++) {
			int64_t best = INT64_MAX;
			uint32_t to = 0;

			for (unsigned c = 0; c < k; c++) {
				int64_t d = centres[c].items ? distance(&centres[c], &items[i]) : INT64_MAX;

				if (d < best) {
					best = d;
					to = c;
				}
			}
			changed |= group[i] != to;
			group[i] = to;
		}
		memset(centres, 0, k * sizeof(*centres));
		for (size_t i = 0; i < n; i++)
			centre_add(&centres[group[i]], &items[i]);
		for (unsigned c = 0; c < k; c++)
			centre_finish(&centres[c]);
	}
	return (int)renumber(group, n, k, number);
}
