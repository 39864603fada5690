/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stide as ImSafe does it, for bench/stide: learned by the learner, frozen, and scored by score_step(), on one thread.
 * Usage: bench-eval DIR [K]. Prints calls learned, seconds, calls scored, seconds, mismatches, as stide.py and stide.cpp do.
 */
#include <string.h>
#include <time.h>

#include "base/options.h"
#include "core/score.h"
#include "eval/dataset.h"
#include "eval/detector.h"

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	_cleanup_(dataset_freep) struct dataset *set = NULL;
	_cleanup_(fit_freep) struct fit *fit = NULL;
	_cleanup_free_ const struct session **sessions = NULL;
	_cleanup_free_ uint16_t *costs = NULL;
	struct errmsg err = { 0 };
	struct detector detector;
	char name[32];
	size_t longest = 0, training, learned = 0, scored = 0, mismatches = 0;
	double start, middle, end;

	snprintf(name, sizeof(name), "sequences:%s", argc > 2 ? argv[2] : "6");
	if (argc < 2 || detector_parse(name, &detector, &err) < 0 || dataset_load(argv[1], argv[1], NULL, NULL, &set, &err) < 0) {
		errmsg_print(&err, stderr, "bench-eval");
		return 2;
	}
	sessions = calloc(set->n_processes + 1, sizeof(*sessions));
	for (size_t i = 0; i < set->n_processes; i++) {
		sessions[i] = &set->processes[i].session;
		longest = MAX(longest, sessions[i]->n);
	}
	costs = malloc((longest + 1) * sizeof(*costs));
	training = set->roles[ROLE_TRAINING]; /* one process a unit, these first */
	start = seconds();
	if (!sessions || !costs || fit_new(&detector, sessions, training, &fit, &err) < 0)
		return 2;
	middle = seconds();
	for (size_t i = training; i < set->n_processes; i++) {
		size_t n = fit_costs(fit, sessions[i], costs);

		scored += n;
		for (size_t c = 0; c < n; c++)
			mismatches += costs[c] == COST_MAX;
	}
	end = seconds();
	for (size_t i = 0; i < training; i++)
		learned += session_calls(sessions[i]);
	printf("%zu %g %zu %g %zu\n", learned, middle - start, scored, end - middle, mismatches);
	return 0;
}
