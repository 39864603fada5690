/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Within model/: calibrations that a profile remembers, so that a monitor starts at once. */
#ifndef IMSAFE_MODEL_PROFILE_CALIBRATION_H
#define IMSAFE_MODEL_PROFILE_CALIBRATION_H

#include "model/calibrate.h"

/* What a calibration depends on: the kept sessions with their copies and times, the runs, and how scores are made. */
int profile_state(struct profile *profile, uint64_t *ret_state, struct errmsg *err);

/* 1 and the calibration (without its text) if it is remembered for this state, else 0. */
int profile_recall_calibration(struct profile *profile, uint64_t state, const struct calibrate_config *config,
			       struct calibration *ret_calibration, struct errmsg *err);

/* Remembers it, and forgets those of other states. Between begin and commit. */
int profile_remember_calibration(struct profile *profile, uint64_t state, const struct calibrate_config *config,
				 const struct calibration *calibration, struct errmsg *err);
bool profile_in_transaction(const struct profile *profile);

#endif
