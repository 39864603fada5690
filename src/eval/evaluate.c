/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eval/evaluate.h"

#include <math.h>
#include <string.h>

#include "eval/split.h"

struct evaluator {
	const struct dataset *set;
	const struct evaluate_config *config;
	struct evaluation *evaluation;
	double *scores;                /* of the split at hand */
	double (*replicates)[MEASURES]; /* [detector * n + replicate] */
	size_t n;                      /* replicates, or re-splits */
	double from, share;            /* of the progress */
};

static void evaluator_done(struct evaluator *e)
{
	free(e->scores);
	free(e->replicates);
}

static void report_progress(void *data, double share)
{
	const struct evaluator *e = data;

	if (e->config->progress)
		e->config->progress(e->config->progress_data, e->from + e->share * share);
}

static double *scores_of(const struct evaluator *e, size_t detector)
{
	return &e->scores[detector * e->set->n_units];
}

/* The tested units of one detector as a curve. */
static int make_roc(const struct evaluator *e, size_t detector, struct roc *ret_roc)
{
	const double *scores = scores_of(e, detector);
	struct tested *tested = calloc(e->set->n_units + 1, sizeof(*tested));
	size_t n = 0, normals = 0;

	if (!tested)
		return -ENOMEM;
	for (size_t i = 0; i < e->set->n_units; i++) {
		const struct unit *unit = &e->set->units[i];
		bool attack = unit->role == ROLE_ATTACK;

		if (isnan(scores[i]))
			continue;
		tested[n++] = (struct tested){
			.score = scores[i], .attack = attack, .index = attack ? unit->attack : (uint32_t)normals,
		};
		normals += !attack;
	}
	roc_init(ret_roc, tested, n);
	return 0;
}

static int replicate_job(void *data, size_t job)
{
	struct evaluator *e = data;
	const struct evaluation *evaluation = e->evaluation;
	_cleanup_free_ uint32_t *normals = malloc((evaluation->normals + 1) * sizeof(*normals));
	_cleanup_free_ uint32_t *attacks = malloc((e->set->n_attacks + 1) * sizeof(*attacks));

	if (!normals || !attacks)
		return -ENOMEM;
	roc_draw(e->config->seed * 2 * e->n + 2 * job, normals, evaluation->normals);
	roc_draw(e->config->seed * 2 * e->n + 2 * job + 1, attacks, e->set->n_attacks);
	for (size_t d = 0; d < evaluation->n_detectors; d++)
		roc_measure(&evaluation->results[d].roc, normals, attacks, e->replicates[d * e->n + job]);
	return 0;
}

/* Of each detector and measure: the middle 95 % of the replicates, also of their differences to the reference. */
static int summarise(const struct evaluator *e, size_t detector, bool resplit)
{
	struct detector_result *result = &e->evaluation->results[detector];
	_cleanup_free_ double *values = malloc((e->n + 1) * sizeof(*values));

	if (!values)
		return -ENOMEM;
	for (int m = 0; m < MEASURES; m++) {
		struct interval *own = resplit ? &result->resplit[m] : &result->measures[m];
		struct interval *paired = resplit ? &result->resplit_differences[m] : &result->differences[m];
		double sums[2] = { 0 };

		for (size_t i = 0; i < e->n; i++) {
			values[i] = e->replicates[detector * e->n + i][m];
			sums[0] += values[i];
		}
		interval_of(values, e->n, own);
		for (size_t i = 0; i < e->n; i++) {
			values[i] = e->replicates[detector * e->n + i][m] -
				    e->replicates[e->evaluation->reference * e->n + i][m];
			sums[1] += values[i];
		}
		interval_of(values, e->n, paired);
		if (resplit) {
			own->value = sums[0] / (double)e->n;
			paired->value = sums[1] / (double)e->n;
		}
	}
	return 0;
}

static int bootstrap(struct evaluator *e)
{
	struct evaluation *evaluation = e->evaluation;
	double measures[DETECTORS_MAX][MEASURES];
	int r;

	for (size_t d = 0; d < evaluation->n_detectors; d++)
		roc_measure(&evaluation->results[d].roc, NULL, NULL, measures[d]);
	e->n = e->config->replicates;
	e->replicates = calloc(evaluation->n_detectors * e->n + 1, sizeof(*e->replicates));
	if (!e->replicates)
		return -ENOMEM;
	r = parallel_for(e->n, e->config->threads, replicate_job, e, report_progress, e);
	for (size_t d = 0; d < evaluation->n_detectors && r >= 0; d++) {
		for (int m = 0; m < MEASURES; m++) {
			evaluation->results[d].measures[m].value = measures[d][m];
			evaluation->results[d].differences[m].value = measures[d][m] - measures[evaluation->reference][m];
		}
		r = summarise(e, d, false);
	}
	free(e->replicates);
	e->replicates = NULL;
	return r;
}

/* Which attacks are detected at each rate, one by one and by kind. */
static int detect(const struct evaluator *e, size_t detector)
{
	const struct dataset *set = e->set;
	struct detector_result *result = &e->evaluation->results[detector];
	const double *scores = scores_of(e, detector);

	result->attacks = calloc(set->n_attacks + 1, sizeof(*result->attacks));
	result->kinds = calloc(set->n_kinds + 1, sizeof(*result->kinds));
	if (!result->attacks || !result->kinds)
		return -ENOMEM;
	for (size_t i = 0; i < set->n_units; i++) {
		const struct unit *unit = &set->units[i];

		if (unit->role != ROLE_ATTACK)
			continue;
		result->attacks[unit->attack].units++;
		result->kinds[set->attacks[unit->attack].kind].units++;
	}
	for (int rate = 0; rate < RATES; rate++) {
		double threshold = roc_threshold(&result->roc, roc_rates[rate]);

		for (size_t i = 0; i < set->n_units; i++) {
			const struct unit *unit = &set->units[i];
			struct detection *attack = &result->attacks[unit->attack], *kind;

			if (unit->role != ROLE_ATTACK || !(scores[i] > threshold))
				continue;
			kind = &result->kinds[set->attacks[unit->attack].kind];
			result->caught[rate] += attack->share[rate] == 0;
			attack->share[rate] += 1.0 / attack->units;
			kind->share[rate] += 1.0 / kind->units;
		}
	}
	return 0;
}

/* Scores by the split as it is: the curves, the intervals and each attack. */
static int as_it_is(struct evaluator *e, struct errmsg *err)
{
	struct evaluation *evaluation = e->evaluation;
	_cleanup_(split_done) struct split split = { 0 };
	double share = e->share;
	int r = split_make(e->set, e->config->folds, false, e->config->seed, &split);

	if (r < 0)
		return errmsg_errno(err, r, e->set->name, "cannot evaluate");
	evaluation->folds = split.all ? split.folds : 0;
	e->share = 0.8 * share;
	r = split_score(e->set, &split, e->config, report_progress, e, e->scores, err);
	if (r < 0)
		return r;
	e->from += e->share;
	e->share = 0.2 * share;
	for (size_t d = 0; d < evaluation->n_detectors && r >= 0; d++) {
		r = make_roc(e, d, &evaluation->results[d].roc);
		if (r >= 0)
			r = detect(e, d);
	}
	evaluation->normals = evaluation->results[0].roc.normals;
	evaluation->attacks = evaluation->results[0].roc.attacks;
	if (r >= 0)
		r = bootstrap(e);
	e->from += e->share;
	return r < 0 ? errmsg_errno(err, r, e->set->name, "cannot evaluate") : 0;
}

/* The normals dealt out anew, again and again: how much of a result is the split's luck. */
static int resplit(struct evaluator *e, struct errmsg *err)
{
	struct evaluation *evaluation = e->evaluation;
	double from = e->from, share = e->share;
	int r = 0;

	e->n = e->config->resplits;
	e->replicates = calloc(evaluation->n_detectors * e->n + 1, sizeof(*e->replicates));
	if (!e->replicates)
		return errmsg_errno(err, -ENOMEM, e->set->name, "cannot evaluate");
	for (size_t i = 0; i < e->n; i++) {
		_cleanup_(split_done) struct split split = { 0 };

		e->from = from + share * (double)i / (double)e->n;
		e->share = share / (double)e->n;
		r = split_make(e->set, e->config->folds, true, e->config->seed + 1 + i, &split);
		if (r < 0)
			break;
		r = split_score(e->set, &split, e->config, report_progress, e, e->scores, err);
		if (r < 0)
			return r;
		for (size_t d = 0; d < evaluation->n_detectors && r >= 0; d++) {
			_cleanup_(roc_done) struct roc roc = { 0 };

			r = make_roc(e, d, &roc);
			if (r >= 0)
				roc_measure(&roc, NULL, NULL, e->replicates[d * e->n + i]);
		}
	}
	for (size_t d = 0; d < evaluation->n_detectors && r >= 0; d++)
		r = summarise(e, d, true);
	return r < 0 ? errmsg_errno(err, r, e->set->name, "cannot evaluate") : 0;
}

int evaluate(const struct dataset *set, const struct evaluate_config *config, struct evaluation **ret_evaluation,
	     struct errmsg *err)
{
	_cleanup_(evaluation_freep) struct evaluation *evaluation = calloc(1, sizeof(*evaluation));
	_cleanup_(evaluator_done) struct evaluator e = {
		.set = set, .config = config, .evaluation = evaluation, .share = 1.0 / (1 + config->resplits),
	};
	int r;

	if (config->n_detectors > DETECTORS_MAX)
		return errmsg_set(err, -E2BIG, NULL, 0, "more than %d detectors at once", DETECTORS_MAX);
	e.scores = calloc(config->n_detectors * set->n_units + 1, sizeof(*e.scores));
	if (evaluation)
		evaluation->results = calloc(config->n_detectors + 1, sizeof(*evaluation->results));
	if (!evaluation || !evaluation->results || !e.scores)
		return errmsg_errno(err, -ENOMEM, set->name, "cannot evaluate");
	evaluation->set = set;
	evaluation->detectors = config->detectors;
	evaluation->n_detectors = config->n_detectors;
	evaluation->reference = config->reference;
	evaluation->resplits = config->resplits;
	r = as_it_is(&e, err);
	if (!r && config->resplits) {
		e.share = 1 - e.from;
		r = resplit(&e, err);
	}
	if (r < 0)
		return r;
	*ret_evaluation = TAKE_PTR(evaluation);
	return 0;
}

struct evaluation *evaluation_free(struct evaluation *evaluation)
{
	if (!evaluation)
		return NULL;
	for (size_t d = 0; evaluation->results && d < evaluation->n_detectors; d++) {
		struct detector_result *result = &evaluation->results[d];

		roc_done(&result->roc);
		free(result->attacks);
		free(result->kinds);
	}
	free(evaluation->results);
	free(evaluation);
	return NULL;
}
