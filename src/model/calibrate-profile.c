/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calibrating a profile: its kept sessions, and how many sessions a day it saw. */
#include "model/calibrate.h"
#include "model/profile-calibration.h"

#define NS_PER_DAY 86400e9

/* When the kept sessions of a run began. */
struct span {
	int64_t run;
	uint64_t sessions; /* of the run, kept or not */
	uint64_t kept, first, last;
};

struct spans {
	struct span *of;
	size_t n;
};

static int add_run(void *data, const struct profile_run *run)
{
	struct spans *spans = data;
	struct span *more = realloc(spans->of, (spans->n + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	spans->of = more;
	spans->of[spans->n++] = (struct span){ .run = run->id, .sessions = run->sessions };
	return 0;
}

static void add_session(struct spans *spans, const struct folds_session *session)
{
	uint64_t time = session->session.time;

	for (size_t i = 0; time && i < spans->n; i++)
		if (spans->of[i].run == session->run) {
			struct span *span = &spans->of[i];

			span->first = span->kept && span->first < time ? span->first : time;
			span->last = MAX(span->last, time);
			span->kept++;
		}
}

/* Sessions a day over all runs with times; k beginnings are k - 1 intervals, and the run lasted about two more. */
static int sessions_per_day(struct profile *profile, const struct folds *folds, double *ret_rate, struct errmsg *err)
{
	struct spans spans = { 0 };
	double sessions = 0, ns = 0;
	int r;

	r = profile_each_run(profile, add_run, &spans, err);
	if (r < 0) {
		free(spans.of);
		return r;
	}
	for (size_t i = 0; i < folds->n_sessions; i++)
		add_session(&spans, &folds->sessions[i]);
	for (size_t i = 0; i < spans.n; i++) {
		const struct span *span = &spans.of[i];

		if (span->kept < 2 || span->last == span->first)
			continue;
		sessions += (double)span->sessions;
		ns += (double)(span->last - span->first) * ((double)span->kept + 1) / ((double)span->kept - 1);
	}
	free(spans.of);
	if (ns == 0)
		return errmsg_set(err, -ENODATA, NULL, 0,
				  "the training traces carry no times, so alarms a day cannot be estimated; state the rate as a "
				  "share of sessions");
	*ret_rate = sessions / ns * NS_PER_DAY;
	return 0;
}

struct assessing {
	struct calibrating *calibrating;
	struct outlier_search *search;
};

static int assess_fold(void *data, uint32_t fold, const struct image *image)
{
	const struct assessing *a = data;
	int r = calibrating_fold(a->calibrating, fold, image);

	return r < 0 ? r : outlier_search_fold(a->search, fold, image);
}

static int calibrate_anew(struct profile *profile, const struct calibrate_config *config,
			  struct calibration *ret_calibration, struct errmsg *err)
{
	_cleanup_(folds_freep) struct folds *folds = NULL;
	double per_day = 0;
	int r;

	r = folds_load(profile, &folds, err);
	if (r >= 0 && config->per_day)
		r = sessions_per_day(profile, folds, &per_day, err);
	return r < 0 ? r : calibrate_folds(folds, config, per_day, ret_calibration, err);
}

int assess(struct profile *profile, folds_progress_fn *progress, void *progress_data, struct calibration *ret_calibration,
	   struct outliers *ret_outliers, struct errmsg *err)
{
	const struct calibrate_config config = { .rate = RATE_DEFAULT };
	_cleanup_(folds_freep) struct folds *folds = NULL;
	_cleanup_(calibrating_freep) struct calibrating *calibrating = NULL;
	_cleanup_(outlier_search_freep) struct outlier_search *search = NULL;
	uint64_t state;
	int r;

	r = profile_state(profile, &state, err);
	if (r >= 0)
		r = folds_load(profile, &folds, err);
	if (r >= 0)
		r = calibrating_new(folds, &config, 0, &calibrating, err);
	if (r < 0)
		return r;
	search = outlier_search_new(folds);
	if (!search)
		return errmsg_errno(err, -ENOMEM, NULL, "cannot look for outliers");
	r = folds_each(folds, assess_fold, &(struct assessing){ calibrating, search }, progress, progress_data, err);
	if (r >= 0)
		r = calibrating_end(calibrating, ret_calibration, err);
	if (r < 0)
		return r;
	if (outlier_search_end(search, ret_outliers) < 0)
		return errmsg_errno(err, -ENOMEM, NULL, "cannot look for outliers");
	r = calibrate_alike(folds, &config, 0, ret_calibration, err); /* the last one, as it deals the folds anew */
	if (r >= 0)
		r = profile_remember_calibration(profile, state, &config, ret_calibration, err);
	if (r < 0)
		outliers_done(ret_outliers);
	return r;
}

int calibrate(struct profile *profile, const struct calibrate_config *config, struct calibration *ret_calibration,
	      struct errmsg *err)
{
	uint64_t state;
	int r;

	r = profile_state(profile, &state, err);
	if (r >= 0)
		r = profile_recall_calibration(profile, state, config, ret_calibration, err);
	if (r > 0)
		calibration_say(ret_calibration, config);
	if (r)
		return r < 0 ? r : 0;
	r = calibrate_anew(profile, config, ret_calibration, err);
	if (r >= 0 && profile_in_transaction(profile))
		r = profile_remember_calibration(profile, state, config, ret_calibration, err);
	return r;
}
