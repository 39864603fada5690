/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the public library share. */
#ifndef IMSAFE_API_INTERNAL_H
#define IMSAFE_API_INTERNAL_H

#include "alarm/explain.h"
#include "alarm/monitor.h"
#include "api/imsafe.h"
#include "base/cleanup.h"
#include "base/errmsg.h"
#include "model/calibrate.h"
#include "model/profile.h"
#include "sensor/sensor.h"

struct imsafe_profile {
	struct profile *profile;
	struct image image;
};

struct imsafe_watch {
	struct imsafe_profile *profile;
	struct imsafe_callbacks callbacks;
	struct policy policy;
	struct monitor *monitor;
	const struct modules *modules; /* of the source that events come from now; NULL */
	struct recorded recorded;      /* likewise */
	bool live;                     /* that source is not a recording */
	char threshold_text[384];
};

struct imsafe_source {
	struct sensor *sensor;
	bool live;
};

DEFINE_CLEANUP(struct imsafe_profile *, imsafe_profile_close)
DEFINE_CLEANUP(struct imsafe_watch *, imsafe_watch_free)
DEFINE_CLEANUP(struct imsafe_source *, imsafe_source_close)

/* Puts err, escaped, into error (may be NULL) and returns r. */
int api_error(struct imsafe_error *error, const struct errmsg *err, int r);

#endif
