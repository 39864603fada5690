/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attacks spliced into training are named, and nobody else is. */
#include <string.h>

#include "model/outlier.h"
#include "../tap.h"

static uint64_t state = 3;

static unsigned below(unsigned n)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)((state >> 33) % n);
}

enum { CALLS = 200 };

/* Two programs with loops of their own; an odd call now and then. */
static void add_normal(struct folds *folds)
{
	unsigned program = below(2);
	uint16_t symbols[CALLS];

	for (unsigned i = 0; i < CALLS; i++)
		symbols[i] = (uint16_t)(below(40) ? program * 30 + i % 7 + (i / 7 % 5 ? 0 : 7) : below(60));
	folds_add(folds, &(struct session){ .symbols = symbols, .n = CALLS, .tid = 1 }, 1, 1);
}

/* Mostly calls that others make, in an order that none has; call 200 is its own. */
static void add_attack(struct folds *folds, uint32_t tid)
{
	uint16_t symbols[CALLS];

	for (unsigned i = 0; i < CALLS; i++)
		symbols[i] = (uint16_t)(i == 50 ? 200 : below(60));
	folds_add(folds, &(struct session){ .symbols = symbols, .n = CALLS, .tid = tid }, 1, 2);
}

static struct outliers find(unsigned normals, unsigned attacks)
{
	_cleanup_(folds_freep) struct folds *folds = folds_new(6);
	struct outliers outliers = { 0 };
	struct errmsg err = { 0 };

	state = 3;
	for (unsigned i = 0; i < normals; i++)
		add_normal(folds);
	for (unsigned i = 0; i < attacks; i++)
		add_attack(folds, 900 + i);
	if (folds_prepare(folds) < 0 || outliers_find(folds, NULL, NULL, &outliers, &err) < 0)
		ok(false, "outliers_find: %s", err.text);
	return outliers;
}

int main(void)
{
	struct outliers outliers = find(100, 0);
	size_t attacks = 0;

	ok(!outliers.n, "clean training: nobody is accused (%zu)", outliers.n);
	outliers_done(&outliers);

	outliers = find(100, 3);
	for (size_t i = 0; i < outliers.n; i++)
		attacks += outliers.list[i].tid >= 900 && outliers.list[i].run == 2;
	ok(attacks == 3 && outliers.n == 3, "three attacks of a kind: all found (%zu), nobody else (%zu)", attacks,
	   outliers.n - attacks);
	if (outliers.n) {
		const struct outlier *worst = &outliers.list[0];

		ok(worst->mean > outliers.mean && worst->unseen > 0.5 && worst->calls == CALLS && worst->copies == 1,
		   "why: mean cost %.1f bits, %.0f %% of its calls unseen", worst->mean / (double)COST_BIT, 100 * worst->unseen);
		ok(worst->n_unknown == worst->all_unknown && worst->n_unknown <= 1, "calls of its own are few");
	}
	outliers_done(&outliers);

	outliers = find(100, 1);
	ok(outliers.n == 1 && outliers.list[0].n_unknown == 1 && outliers.list[0].unknown[0] == 200,
	   "one attack: the call that only it makes is named");
	outliers_done(&outliers);

	outliers = find(4, 1);
	ok(!outliers.n, "among five sessions nobody can be told apart");
	outliers_done(&outliers);
	return tap_done();
}
