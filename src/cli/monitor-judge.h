/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A profile made ready to judge by: its image, and the policy that was asked for or follows from its training. */
#ifndef IMSAFE_CLI_MONITOR_JUDGE_H
#define IMSAFE_CLI_MONITOR_JUDGE_H

#include "core/image.h"
#include "core/score.h"
#include "model/profile.h"
#include "model/sites.h"

struct judge_config {
	unsigned min_calls;            /* 0: the default */
	unsigned means[MEAN_WINDOWS];  /* 0: the defaults */
	double threshold;              /* percent */
	bool threshold_given;
	bool threshold_auto;           /* asked for: no default will do */
	double rate;                   /* that the automatic threshold aims at */
	bool rate_given, per_day;
	enum score_reading reading;
	const char *foreign;           /* on (also NULL), off, sites */
};

/* What the profile became. */
struct judge {
	struct profile *profile;
	struct image image;
	struct policy policy;
	struct sites sites; /* none: call sites are not judged */
	const char *origin; /* of the threshold, in words */
	char promise[512];  /* what it promises and rests on, "" = nothing */
};

int judge_load(struct judge *judge, const char *path, const struct judge_config *config, struct errmsg *err);
void judge_done(struct judge *judge); /* also after a failure */

#endif
