/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eval/split.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

void split_done(struct split *split)
{
	free(split->fold);
	split->fold = NULL;
}

/* Normal units in order of content, so that identical ones lie together, whatever they are called. */
struct content {
	uint64_t hash;
	uint32_t unit;
};

static int by_content(const void *a, const void *b)
{
	const struct content *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->unit < y->unit ? -1 : x->unit > y->unit;
}

static size_t normal_units(const struct dataset *set)
{
	return set->roles[ROLE_TRAINING] + set->roles[ROLE_NORMAL];
}

/* Groups of identical units in random order; returns how many groups, starts has their first index and the end. */
static size_t shuffle_groups(const struct dataset *set, uint64_t seed, struct content *contents, uint32_t *starts,
			     uint32_t *order)
{
	size_t n = normal_units(set), groups = 0;

	for (size_t i = 0; i < n; i++)
		contents[i] = (struct content){ set->processes[set->units[i].first].hash, (uint32_t)i };
	qsort(contents, n, sizeof(*contents), by_content);
	for (size_t i = 0; i < n; i++)
		if (!i || contents[i].hash != contents[i - 1].hash)
			starts[groups++] = (uint32_t)i;
	starts[groups] = (uint32_t)n;
	for (size_t i = 0; i < groups; i++)
		order[i] = (uint32_t)i;
	for (size_t i = groups; i > 1; i--) {
		size_t j = random_below(&seed, i);
		uint32_t swap = order[i - 1];

		order[i - 1] = order[j];
		order[j] = swap;
	}
	return groups;
}

/* Random groups until the training part is as large as it was. */
static void deal_training(const struct dataset *set, const struct content *contents, const uint32_t *starts,
			  const uint32_t *order, size_t groups, struct split *split)
{
	size_t wanted = set->roles[ROLE_TRAINING], taken = 0;

	for (size_t g = 0; g < groups; g++) {
		uint32_t from = starts[order[g]], to = starts[order[g] + 1];
		bool training = taken < wanted;

		for (uint32_t i = from; i < to; i++)
			split->fold[contents[i].unit] = training ? FOLD_TRAINING : 0;
		taken += training ? to - from : 0;
	}
	split->folds = 1;
}

/* Groups one after the other into the fold that has the fewest units. */
static int deal_folds(const struct content *contents, const uint32_t *starts, const uint32_t *order, size_t groups,
		      unsigned folds, struct split *split)
{
	_cleanup_free_ size_t *sizes = NULL;

	split->folds = (unsigned)MIN(folds, groups);
	sizes = calloc(split->folds + 1, sizeof(*sizes));
	if (!sizes)
		return -ENOMEM;
	for (size_t g = 0; g < groups; g++) {
		unsigned fold = 0;

		for (unsigned f = 1; f < split->folds; f++)
			if (sizes[f] < sizes[fold])
				fold = f;
		for (uint32_t i = starts[order[g]]; i < starts[order[g] + 1]; i++, sizes[fold]++)
			split->fold[contents[i].unit] = fold;
	}
	split->all = true;
	return 0;
}

int split_make(const struct dataset *set, unsigned folds, bool anew, uint64_t seed, struct split *ret_split)
{
	size_t n = normal_units(set), groups;
	_cleanup_free_ struct content *contents = calloc(n + 1, sizeof(*contents));
	_cleanup_free_ uint32_t *starts = calloc(n + 1, sizeof(*starts)), *order = calloc(n + 1, sizeof(*order));
	_cleanup_(split_done) struct split split = { .fold = calloc(n + 1, sizeof(*split.fold)) };

	if (!contents || !starts || !order || !split.fold)
		return -ENOMEM;
	groups = shuffle_groups(set, seed, contents, starts, order);
	if (!set->has_training) {
		if (deal_folds(contents, starts, order, groups, folds, &split) < 0)
			return -ENOMEM;
	} else if (anew) {
		deal_training(set, contents, starts, order, groups, &split);
	} else {
		for (size_t i = 0; i < n; i++)
			split.fold[i] = set->units[i].role == ROLE_TRAINING ? FOLD_TRAINING : 0;
		split.folds = 1;
	}
	*ret_split = split;
	split.fold = NULL;
	return 0;
}

/* A fit is learned without one round's normals and then scores these; jobs do that for some units each. */
#define UNITS_A_JOB 64

struct round {
	const struct split *split;
	unsigned number; /* the fold that is tested; split->folds: attacks alone */
	bool attacks;
};

struct scorer {
	const struct dataset *set;
	const struct evaluate_config *config;
	struct round round;
	size_t *fits; /* the first detector of those that share a fit */
	size_t n_fits;
	struct fit **fitted;
	uint32_t *tested;
	size_t n_tested;
	const struct session **sessions;
	size_t n_sessions;
	size_t longest;
	double *scores;
	pthread_mutex_t lock;
	struct errmsg *err;
	bool failed;
};

static int fail(struct scorer *s, int r, const struct errmsg *err)
{
	pthread_mutex_lock(&s->lock);
	if (!s->failed && s->err)
		*s->err = *err;
	s->failed = true;
	pthread_mutex_unlock(&s->lock);
	return r;
}

static int fit_job(void *data, size_t job)
{
	struct scorer *s = data;
	struct errmsg err = { 0 };
	int r = fit_new(&s->config->detectors[s->fits[job]], s->sessions, s->n_sessions, &s->fitted[job], &err);

	return r < 0 ? fail(s, r, &err) : 0;
}

static void score_unit(struct scorer *s, size_t fit, uint32_t index, uint16_t *costs, uint16_t *scratch)
{
	const struct unit *unit = &s->set->units[index];
	const struct detector *detectors = s->config->detectors;

	for (uint32_t p = unit->first; p < unit->first + unit->n; p++) {
		size_t n = fit_costs(s->fitted[fit], &s->set->processes[p].session, costs);

		for (size_t d = s->fits[fit]; d < s->config->n_detectors; d++) {
			double *score = &s->scores[d * s->set->n_units + index], here;

			if (!detector_same_fit(&detectors[d], &detectors[s->fits[fit]]))
				continue;
			here = detector_score(&detectors[d], costs, n, scratch);
			*score = isnan(*score) ? here : fmax(*score, here);
		}
	}
}

static int score_job(void *data, size_t job)
{
	struct scorer *s = data;
	size_t fit = job % s->n_fits, from = job / s->n_fits * UNITS_A_JOB;
	_cleanup_free_ uint16_t *costs = malloc((s->longest + 1) * sizeof(*costs));
	_cleanup_free_ uint16_t *scratch = malloc((s->longest + 1) * sizeof(*scratch));
	struct errmsg err = { 0 };

	if (!costs || !scratch) {
		int r = errmsg_errno(&err, -ENOMEM, NULL, "cannot score");

		return fail(s, r, &err);
	}
	for (size_t i = from; i < MIN(from + UNITS_A_JOB, s->n_tested); i++)
		score_unit(s, fit, s->tested[i], costs, scratch);
	return 0;
}

/* Who teaches and who is tested in this round. */
static void deal(struct scorer *s)
{
	const struct dataset *set = s->set;

	s->n_sessions = s->n_tested = 0;
	for (size_t i = 0; i < set->n_units; i++) {
		const struct unit *unit = &set->units[i];

		if (unit->role == ROLE_ATTACK) {
			if (s->round.attacks)
				s->tested[s->n_tested++] = (uint32_t)i;
		} else if (s->round.split->fold[i] == s->round.number) {
			s->tested[s->n_tested++] = (uint32_t)i;
		} else {
			s->sessions[s->n_sessions++] = &set->processes[unit->first].session;
		}
	}
}

static void free_fits(struct scorer *s)
{
	for (size_t i = 0; i < s->n_fits; i++)
		s->fitted[i] = fit_free(s->fitted[i]);
}

static int scorer_init(struct scorer *s)
{
	const struct evaluate_config *config = s->config;

	s->fits = calloc(config->n_detectors + 1, sizeof(*s->fits));
	s->fitted = calloc(config->n_detectors + 1, sizeof(struct fit *));
	s->tested = calloc(s->set->n_units + 1, sizeof(*s->tested));
	s->sessions = calloc(s->set->n_units + 1, sizeof(*s->sessions));
	if (!s->fits || !s->fitted || !s->tested || !s->sessions)
		return -ENOMEM;
	for (size_t d = 0; d < config->n_detectors; d++) {
		size_t f = 0;

		while (f < s->n_fits && !detector_same_fit(&config->detectors[s->fits[f]], &config->detectors[d]))
			f++;
		if (f == s->n_fits)
			s->fits[s->n_fits++] = d;
	}
	for (size_t i = 0; i < s->set->n_processes; i++)
		s->longest = MAX(s->longest, s->set->processes[i].session.n);
	return 0;
}

static void scorer_done(struct scorer *s)
{
	if (s->fitted)
		free_fits(s);
	free(s->fits);
	free(s->fitted);
	free(s->tested);
	free(s->sessions);
	pthread_mutex_destroy(&s->lock);
}

/* Passes a part's progress on as the share of the whole. */
struct part {
	parallel_progress_fn *progress;
	void *data;
	double from, share;
};

static void part_progress(void *data, double share)
{
	const struct part *part = data;

	if (part->progress)
		part->progress(part->data, part->from + part->share * share);
}

int split_score(const struct dataset *set, const struct split *split, const struct evaluate_config *config,
		parallel_progress_fn *progress, void *progress_data, double *scores, struct errmsg *err)
{
	_cleanup_(scorer_done) struct scorer s = {
		.set = set, .config = config, .scores = scores, .err = err, .lock = PTHREAD_MUTEX_INITIALIZER,
	};
	unsigned rounds = split->folds + split->all;

	if (scorer_init(&s) < 0)
		return errmsg_errno(err, -ENOMEM, NULL, "cannot score");
	for (size_t i = 0; i < config->n_detectors * set->n_units; i++)
		scores[i] = NAN;
	for (unsigned round = 0; round < rounds; round++) {
		struct part part = { progress, progress_data, (double)round / rounds, 0.3 / rounds };
		int r;

		s.round = (struct round){ split, round, !split->all || round == split->folds };
		deal(&s);
		r = parallel_for(s.n_fits, config->threads, fit_job, &s, part_progress, &part);
		part.from += part.share;
		part.share = 0.7 / rounds;
		if (!r)
			r = parallel_for(s.n_fits * ((s.n_tested + UNITS_A_JOB - 1) / UNITS_A_JOB), config->threads, score_job, &s,
					 part_progress, &part);
		if (r < 0)
			return r;
		free_fits(&s);
	}
	return 0;
}
