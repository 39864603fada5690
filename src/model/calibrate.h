/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The automatic threshold: a promise of a false-alarm rate, made from the profile alone. The kept sessions are grouped
 * into clusters of similar ones; each cluster is scored by an image learned from all the others, and the limit of each
 * mean window is the smallest that keeps the share of alarming sessions at the target. What the estimate rests on is
 * part of the answer.
 */
#ifndef IMSAFE_MODEL_CALIBRATE_H
#define IMSAFE_MODEL_CALIBRATE_H

#include <stdbool.h>

#include "base/errmsg.h"
#include "core/score.h"
#include "model/profile.h"

struct calibrate_config {
	double rate;          /* target: share of sessions with an alarm (0.01 = 1 %), or alarms per day */
	bool per_day;         /* rate is alarms per day at the call rate seen in training */
	unsigned means[MEAN_WINDOWS]; /* mean lengths, 0 = unused; all 0: the defaults */
	enum score_reading reading;
};

struct calibration {
	struct policy policy; /* windows, limits, min_calls, reading; not yet armed */
	double expected, low, high; /* rate expected on new sessions, with its 95 % interval, in the target's unit */
	double sessions, clusters;  /* what it rests on */
	bool thin;            /* too little training data to promise the target; text says so */
	char text[256];       /* one sentence for people: the rate, the interval, how it was estimated */
};

#define THRESHOLD_DEFAULT 60.0 /* percent; used when there is nothing to calibrate from */
#define RATE_DEFAULT 0.01
#define MEAN_DEFAULT 32
#define MIN_CALLS_DEFAULT 16

int calibrate(struct profile *profile, const struct calibrate_config *config, struct calibration *ret_calibration,
	      struct errmsg *err);

/* A policy with a threshold in percent that the user chose; not yet armed. */
void policy_set(struct policy *policy, double threshold, const unsigned means[MEAN_WINDOWS], enum score_reading reading);

#endif
