/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The automatic threshold: a promise of a false-alarm rate, made from the profile alone. The kept sessions are grouped
 * into folds of similar ones (model/folds.h); each is scored by an image learned from all the others, with the same
 * score_step() as live, and what is looked at is each session's peak: how high a window's mean rose. The limits are the
 * lowest ones that keep the share of sessions with a peak above them at the target.
 *
 * Which quantile: a new session that is like the N known ones could as well be any of the N + 1 (Vovk's conformal argument). If
 * each of them in turn is the new one, those alarm that are above a limit, and those that are the limit themselves: that many
 * of N + 1 are expected and are kept within the rate. Several windows share it evenly: each is exceeded by as many sessions.
 *
 * Interval: Wilson's 95 % for the share, with the number of sessions reduced by the design effect of the folds (Kish;
 * similar sessions alarm together, so that they are worth fewer independent ones). With fewer of these than 3 / rate (the
 * rule of three: 3 / n is the upper bound for what was seen 0 times of n) limits are not set under a floor, and if the
 * interval goes beyond twice the rate, the training is called thin.
 *
 * Leaving out all that is similar asks for sessions as new as the recorded kinds are to each other. Thin training has few kinds,
 * and a service that goes on doing what was recorded alarms far less; so there the rate at the same limits is given, too,
 * with pieces left out at random. One of several equal sessions is not new then.
 */
#ifndef IMSAFE_MODEL_CALIBRATE_H
#define IMSAFE_MODEL_CALIBRATE_H

#include <stdbool.h>

#include "base/errmsg.h"
#include "core/score.h"
#include "model/profile.h"
#include "model/folds.h"
#include "model/limits.h"
#include "model/outlier.h"

struct calibrate_config {
	double rate;          /* target: share of sessions with an alarm (0.01 = 1 %), or alarms per day */
	bool per_day;         /* rate is alarms per day, at the rate of sessions seen in training */
	unsigned means[MEAN_WINDOWS]; /* mean lengths, 0 = unused; all 0: the defaults */
	unsigned min_calls;   /* 0: the default */
	enum score_reading reading;
};

struct calibration {
	struct policy policy; /* windows, limits, min_calls, reading; not yet armed */
	double expected, low, high; /* rate expected on new sessions, with its 95 % interval, in the target's unit */
	double alike;         /* if thin: the same rate where new sessions are like the recorded ones; else 0 */
	double sessions, clusters;  /* what it rests on: sessions, folds of similar ones */
	double effective;     /* how many independent sessions they are worth; 0: there was nothing to compare */
	double needed;        /* sessions needed to promise the target */
	bool thin;            /* too little training data to promise the target; text says so */
	char text[384];       /* one sentence for people: the rate, the interval, how it was estimated */
};

#define RATE_DEFAULT 0.01
/*
 * Mean lengths of the automatic threshold: a short one for a few odd calls, and a longer one for what is odd throughout; the
 * first is the one that is shown. Chosen by what they find of foreign segments spliced into left-out normals (bench/trust.md):
 * no single length comes near on all of ADFA-LD, sendmail, xlock and login, and a third one costs more than it finds.
 */
#define MEANS_DEFAULT { MEAN_DEFAULT, 8 }
#define MIN_CALLS_DEFAULT 16

/*
 * -ENODATA: a rate per day was asked for, but the training traces carry no times. It takes seconds for a large profile, so the
 * profile remembers it: between profile_begin() and commit the result is kept with it, and found again at once by anyone as
 * long as nothing else was learned.
 */
int calibrate(struct profile *profile, const struct calibrate_config *config, struct calibration *ret_calibration,
	      struct errmsg *err);

/*
 * What learning ends with, in one cross-validation: the default calibration, remembered (between profile_begin() and commit),
 * and the outliers.
 */
int assess(struct profile *profile, folds_progress_fn *progress, void *progress_data, struct calibration *ret_calibration,
	   struct outliers *ret_outliers, struct errmsg *err);

/*
 * A calibration in steps, for a cross-validation that serves others as well: the data of a folds_fn, the function, and what came of
 * it. sessions_per_day is needed for a rate per day only.
 */
struct calibrating;
int calibrating_new(const struct folds *folds, const struct calibrate_config *config, double sessions_per_day,
		    struct calibrating **ret_calibrating, struct errmsg *err);
struct calibrating *calibrating_free(struct calibrating *calibrating);
DEFINE_CLEANUP(struct calibrating *, calibrating_free)
int calibrating_fold(void *calibrating, uint32_t fold, const struct image *image);
int calibrating_end(struct calibrating *calibrating, struct calibration *ret_calibration, struct errmsg *err);

/* If the calibration is thin: what it promises where new sessions are like the recorded ones. Deals the folds anew. */
int calibrate_alike(struct folds *folds, const struct calibrate_config *config, double sessions_per_day,
		    struct calibration *calibration, struct errmsg *err);

/* All of it, from a folds, which may be dealt anew. */
int calibrate_folds(struct folds *folds, const struct calibrate_config *config, double sessions_per_day,
		     struct calibration *ret_calibration, struct errmsg *err);

/* Puts the text into words again from the numbers. */
void calibration_say(struct calibration *calibration, const struct calibrate_config *config);

/*
 * A policy with a threshold in percent that the user chose, for the first mean length (none given: MEANS_DEFAULT); shorter ones
 * after it get the lower threshold that limit_scaled() says. Not yet armed.
 */
void policy_set(struct policy *policy, double threshold, const unsigned means[MEAN_WINDOWS], enum score_reading reading);

#endif
