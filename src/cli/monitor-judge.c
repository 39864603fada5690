/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/monitor-judge.h"

#include <errno.h>
#include <string.h>

#include "model/calibrate.h"
#include "model/freeze.h"

static int auto_policy(struct judge *judge, const struct judge_config *config, struct errmsg *err)
{
	struct calibrate_config request = {
		.rate = config->rate_given ? config->rate : RATE_DEFAULT, .per_day = config->per_day, .reading = config->reading,
		.min_calls = config->min_calls,
	};
	struct calibration calibration = { 0 };
	struct errmsg why = { 0 };
	bool insist = config->threshold_auto || config->rate_given;
	int r;

	memcpy(request.means, config->means, sizeof(request.means));
	r = calibrate(judge->profile, &request, &calibration, &why);
	if (r == -ENOMEM || (r < 0 && insist)) {
		*err = why;
		return r;
	}
	if (r < 0) {
		policy_set(&judge->policy, THRESHOLD_DEFAULT, config->means, config->reading);
		judge->origin = "a default that promises nothing";
		snprintf(judge->promise, sizeof(judge->promise), "%.480s", why.text);
		return 0;
	}
	judge->policy = calibration.policy;
	judge->origin = "from the training";
	snprintf(judge->promise, sizeof(judge->promise), "%s", calibration.text);
	return 0;
}

static int make_policy(struct judge *judge, const struct judge_config *config, struct errmsg *err)
{
	int r = 0;

	if (config->threshold_given) {
		policy_set(&judge->policy, config->threshold, config->means, config->reading);
		judge->origin = "as asked";
	} else {
		r = auto_policy(judge, config, err);
	}
	if (r < 0)
		return r;
	if (config->min_calls)
		judge->policy.min_calls = (uint16_t)config->min_calls;
	judge->policy.foreign = !config->foreign || strcmp(config->foreign, "off");
	policy_arm(&judge->policy, judge->image.header, 0);
	return 0;
}

static int load_sites(struct judge *judge, const char *path, struct errmsg *err)
{
	int r = profile_sites(judge->profile, 0, &judge->sites, err);

	if (!r && !judge->sites.n)
		r = errmsg_set(err, -ENODATA, path, 0, "the profile does not know where calls came from: "
			       "learn it from traces in the compact format, which keeps that");
	return r;
}

int judge_load(struct judge *judge, const char *path, const struct judge_config *config, struct errmsg *err)
{
	struct counts counts = { 0 };
	int r = profile_open(path, PROFILE_READ, NULL, &judge->profile, err);

	sites_init(&judge->sites);
	if (r < 0)
		return r;
	r = profile_counts(judge->profile, 0, &counts, err);
	if (!r && !counts.calls)
		r = errmsg_set(err, -ENODATA, path, 0, "the profile is empty: nothing was learned yet ('imsafe learn')");
	if (!r)
		r = freeze(&counts, profile_info(judge->profile)->arch, &judge->image, err);
	counts_done(&counts);
	if (!r && config->foreign && !strcmp(config->foreign, "sites"))
		r = load_sites(judge, path, err);
	return r < 0 ? r : make_policy(judge, config, err);
}

void judge_done(struct judge *judge)
{
	image_free(&judge->image);
	sites_done(&judge->sites);
	profile_close(judge->profile);
}
