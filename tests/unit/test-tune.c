/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Advice on lengths: on a loop whose every deviation is foreign, what is found is known. */
#include <string.h>

#include "model/counts.h"
#include "model/freeze.h"
#include "model/learner.h"
#include "model/tune.h"
#include "../tap.h"

enum { SESSIONS = 320, CALLS = 300 };

static uint16_t symbols[SESSIONS][CALLS];

static struct session session_of(unsigned i)
{
	/* A loop of 12 calls, entered at any place, with one rare call of 25; never two equal sessions. */
	for (unsigned k = 0; k < CALLS; k++)
		symbols[i][k] = (uint16_t)((k + i) % 12);
	symbols[i][20 + i % 240] = (uint16_t)(30 + i % 25);
	return (struct session){ .symbols = symbols[i], .n = CALLS };
}

static struct folds *make_folds(void)
{
	struct folds *folds = folds_new(6);

	for (unsigned i = 0; i < SESSIONS; i++) {
		struct session session = session_of(i);

		folds_add(folds, &session, 1, 1);
	}
	ok(folds_prepare(folds) == 0, "prepared");
	return folds;
}

/* What is left when a fold is taken away is what learning the others gives. */
static void check_images(const struct folds *folds)
{
	size_t different = 0, left_out = 0;

	for (uint32_t fold = 0; fold < folds->n_folds; fold++) {
		_cleanup_(learner_freep) struct learner *learner = learner_new(6, NULL, NULL);
		struct counts counts = { 0 };
		struct image taken, learned;

		for (size_t i = 0; i < folds->n_pieces; i++)
			if (folds->pieces[i].fold != fold)
				learner_add_session(learner, &folds->sessions[folds->pieces[i].session].session);
			else
				left_out++;
		if (learner_counts(learner, &counts) < 0 || freeze(&counts, ARCH_UNKNOWN, &learned, NULL) < 0 ||
		    folds_image(folds, fold, &taken, NULL) < 0) {
			ok(false, "images");
			return;
		}
		different += taken.header->cells != learned.header->cells || taken.header->calls != learned.header->calls ||
			     memcmp(taken.cells, learned.cells, taken.header->cells * sizeof(*taken.cells));
		counts_done(&counts);
		image_free(&taken);
		image_free(&learned);
	}
	ok(!different && left_out == SESSIONS, "%u folds: taking away equals learning the others", folds->n_folds);
}

static const struct tune_choice *choice(const struct tune *tune, unsigned length, unsigned mean)
{
	for (size_t i = 0; i < tune->n; i++)
		if (tune->choices[i].length == length && tune->choices[i].means[0] == mean)
			return &tune->choices[i];
	return NULL;
}

int main(void)
{
	_cleanup_(folds_freep) struct folds *folds = make_folds();
	struct session other = { .symbols = (uint16_t[]){ 400, 401, 402, 403, 404 }, .n = 5 };
	struct tune_config config = {
		.rate = 0.05, .lengths = { 6, 3 }, .n_lengths = 2, .means = { { 8 }, { 128 }, { 8, 128 } }, .n_means = 3,
		.min_calls = 8, .calls = 300, .trials = 60, .seed = 1, .other = &other, .n_other = 1,
	};
	struct tune a = { 0 }, b = { 0 };
	const struct tune_choice *quick, *slow;
	bool rising = true, within = true;
	struct errmsg err = { 0 };

	check_images(folds);
	ok(tune(folds, &config, NULL, NULL, &a, &err) == 0 && a.n == 6, "all choices are tried %s", err.text);
	for (size_t i = 0; i < a.n; i++) {
		within &= a.choices[i].alarms <= 0.05;
		for (int kind = 0; kind < TUNE_KINDS; kind++)
			for (int s = 0; s < TUNE_SEGMENTS; s++) {
				within &= a.choices[i].found[kind][s] >= 0 && a.choices[i].found[kind][s] <= 1;
				rising &= !s || a.choices[i].found[kind][s] >= a.choices[i].found[kind][s - 1] - 0.15;
			}
	}
	ok(within, "false alarms within the rate, shares are shares");
	ok(rising, "longer segments are found rather than shorter ones");
	quick = choice(&a, 6, 8);
	slow = choice(&a, 6, 128);
	ok(quick && slow && quick->found[TUNE_OTHER][1] > 0.9, "two calls of another program are found by a mean over 8");
	ok(quick && slow && slow->found[TUNE_OTHER][1] < 0.5 && slow->found[TUNE_OTHER][6] > 0.9,
	   "a mean over 128 misses two, but not a hundred");
	ok(!a.thin && a.choices[a.best].length == 6 && a.choices[a.best].means[0] == 8, "the short mean is recommended, the length kept");
	ok(tune(folds, &config, NULL, NULL, &b, &err) == 0 && b.best == a.best &&
	   !memcmp(a.choices, b.choices, a.n * sizeof(*a.choices)), "the same seed gives the same advice");
	tune_done(&b);
	{
		_cleanup_(folds_freep) struct folds *few = folds_new(6);

		folds_add(few, &other, 1, 1);
		ok(folds_prepare(few) == 0 && tune(few, &config, NULL, NULL, &b, &err) == -ENODATA, "%s", err.text);
	}
	config.rate = 0.001;
	ok(tune(folds, &config, NULL, NULL, &b, &err) == 0 && b.thin, "sessions that cannot carry the rate are no basis for advice");
	tune_done(&b);
	tune_done(&a);
	return tap_done();
}
