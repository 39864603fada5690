/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Groups of similar sets, and the folds that samples are split into. */
#include <string.h>

#include "model/cluster.h"
#include "model/folds.h"
#include "../tap.h"

static struct set set_of(unsigned from, unsigned to)
{
	struct set set = { { 0 } };

	for (unsigned i = from; i < to; i++)
		set_add(&set, i);
	return set;
}

static void check_groups(void)
{
	/* Three families of sets, told apart by everything; inside a family by one bit. */
	struct set items[9];
	uint32_t group[9];

	for (unsigned i = 0; i < 9; i++) {
		items[i] = set_of(i % 3 * 100, i % 3 * 100 + 10);
		set_add(&items[i], 1000 + i / 3);
	}
	ok(cluster(items, 9, 3, group) == 3, "three groups");
	ok(group[0] == 0 && group[1] == 1 && group[2] == 2, "numbered in the order of their first items");
	ok(!memcmp(group, group + 3, 3 * sizeof(*group)) && !memcmp(group, group + 6, 3 * sizeof(*group)),
	   "every family is a group");
	ok(cluster(items, 9, 100, group) == 9, "no more groups than items");
	for (unsigned i = 0; i < 9; i++)
		items[i] = set_of(0, 1 + i % 2);
	ok(cluster(items, 9, 5, group) == 2, "no more groups than different items");
	ok(cluster(items, 1, 5, group) == 1 && group[0] == 0, "one item");
	ok(cluster(items, 0, 5, group) == 0, "no item");
}

/*
 * By hand: A = {0,1}, B = {0}, C = {2,3}, D = {0,1,2,3}. C is farthest from A (4), so the first centres are A and C. B goes to
 * A (1 against 3); D is at 2 from both, and the tie goes to the lower number. The mean of A, B, D is (1, 2/3, 1/3, 1/3): D is at
 * 1 from it, still 2 from C, and B at 6/9: nothing moves any more.
 */
static void check_distance(void)
{
	struct set items[4] = { set_of(0, 2), set_of(0, 1), set_of(2, 4), set_of(0, 4) };
	uint32_t group[4];

	ok(cluster(items, 4, 2, group) == 2, "two groups");
	ok(group[0] == 0 && group[1] == 0 && group[2] == 1 && group[3] == 0, "as computed by hand");
}

static void add(struct folds *folds, const uint16_t *symbols, size_t n, uint64_t copies)
{
	struct session session = { .symbols = symbols, .n = n };

	if (folds_add(folds, &session, copies, 1) < 0)
		ok(false, "folds_add");
}

static void check_folds(void)
{
	_cleanup_(folds_freep) struct folds *folds = folds_new(6);
	uint64_t most = 0, copies[64] = { 0 };
	uint16_t symbols[60];

	/* Two roles with calls of their own, 30 different sessions each. */
	for (unsigned i = 0; i < 60; i++) {
		for (unsigned k = 0; k < 60; k++)
			symbols[k] = (uint16_t)((i & 1) * 100 + (k <= i ? 20 : k % 5));
		add(folds, symbols, 60, 1);
		if (i < 10)
			add(folds, symbols, 60, 2);
	}
	ok(folds_prepare(folds) == 0, "prepared");
	ok(folds->n_sessions == 60 && folds->copies == 80 && folds->n_pieces == 60, "equal sessions are one");
	for (size_t i = 0; i < folds->n_pieces && folds->n_folds <= 64; i++)
		copies[folds->pieces[i].fold] += folds->sessions[i].copies;
	for (unsigned f = 0; f < 64; f++)
		most = MAX(most, copies[f]);
	ok(folds->n_folds >= FOLD_SHARE && folds->n_folds <= 64, "%u folds", folds->n_folds);
	ok(most <= 80 / FOLD_SHARE, "none has more than a tenth (%u of 80)", (unsigned)most);
}

static void check_pieces(void)
{
	_cleanup_(folds_freep) struct folds *folds = folds_new(6);
	_cleanup_free_ uint16_t *symbols = calloc(50000, sizeof(*symbols));
	uint32_t end = 0;
	size_t holes = 0;

	for (unsigned i = 0; i < 50000; i++)
		symbols[i] = (uint16_t)(i / 500 % 7 + i % 3);
	add(folds, symbols, 50000, 1);
	add(folds, symbols, 300, 1);
	ok(folds_prepare(folds) == 0, "prepared");
	for (size_t i = 0; i < folds->n_pieces; i++) {
		const struct piece *piece = &folds->pieces[i];

		holes += piece->from != (piece->from ? end : 0) || piece->to - piece->from < 300;
		end = piece->to;
	}
	ok(folds->n_pieces > 20 && !holes, "few sessions: the long one is cut into %zu pieces, without holes",
	   folds->n_pieces);
}

int main(void)
{
	check_groups();
	check_distance();
	check_folds();
	check_pieces();
	return tap_done();
}
