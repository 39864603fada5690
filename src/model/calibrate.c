/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/calibrate.h"

#include <math.h>
#include <string.h>

#include "model/limits.h"

#define Z95         1.959963984540054
#define ALIKE_FOLDS 20

struct calibrating {
	const struct folds *folds;
	struct calibrate_config config;
	double unit, share;
	struct policy policy;
	struct peaks *pieces; /* folds share no piece */
	bool alone;           /* one fold, nothing to compare with; set by any thread */
};

int calibrating_new(const struct folds *folds, const struct calibrate_config *config, double sessions_per_day,
		    struct calibrating **ret_calibrating, struct errmsg *err)
{
	_cleanup_(calibrating_freep) struct calibrating *c = calloc(1, sizeof(*c));

	if (!c)
		return errmsg_errno(err, -ENOMEM, NULL, "cannot calibrate");
	c->folds = folds;
	c->config = *config;
	c->unit = config->per_day ? sessions_per_day : 1;
	c->share = fmin(config->rate / c->unit, 0.5);
	if (!(c->share > 0))
		return errmsg_set(err, -EINVAL, NULL, 0, "a false-alarm rate must be over zero");
	c->pieces = calloc(folds->n_pieces + 1, sizeof(*c->pieces));
	if (!c->pieces)
		return errmsg_errno(err, -ENOMEM, NULL, "cannot calibrate");
	policy_set(&c->policy, 0, config->means, config->reading);
	if (config->min_calls)
		c->policy.min_calls = (__u16)config->min_calls;
	*ret_calibrating = TAKE_PTR(c);
	return 0;
}

struct calibrating *calibrating_free(struct calibrating *c)
{
	if (c)
		free(c->pieces);
	free(c);
	return NULL;
}

int calibrating_fold(void *data, uint32_t fold, const struct image *image)
{
	struct calibrating *c = data;
	struct policy policy = c->policy;

	if (!image) {
		__atomic_store_n(&c->alone, true, __ATOMIC_RELAXED);
		return 0;
	}
	policy_arm(&policy, image->header, 0);
	for (size_t i = 0; i < c->folds->n_pieces; i++)
		if (c->folds->pieces[i].fold == fold)
			folds_peaks(c->folds, &c->folds->pieces[i], image, &policy, c->pieces[i].window);
	return 0;
}

/* Wilson (1927): the shares for which what was seen lies within 1.96 standard deviations. */
static void wilson(double share, double n, double *ret_low, double *ret_high)
{
	double z2 = Z95 * Z95, centre = (share + z2 / (2 * n)) / (1 + z2 / n);
	double half = Z95 / (1 + z2 / n) * sqrt(share * (1 - share) / n + z2 / (4 * n * n));

	*ret_low = fmax(0, centre - half);
	*ret_high = fmin(1, centre + half);
}

/* Two digits say enough of an estimate. */
static const char *number(double x, char buffer[16])
{
	snprintf(buffer, 16, x >= 10 ? "%.0f" : x >= 0.001 ? "%.2g" : "0", x);
	return buffer;
}

void calibration_say(struct calibration *c, const struct calibrate_config *config)
{
	const char *before = config->per_day ? "" : "false alarms in ";
	const char *after = config->per_day ? " false alarms a day" : " % of sessions";
	double scale = config->per_day ? 1 : 100;
	const char *unit = config->per_day ? "" : " %";
	char rate[16], expected[16], low[16], high[16], alike[16];

	number(config->rate * scale, rate);
	number(c->expected * scale, expected);
	number(c->low * scale, low);
	number(c->high * scale, high);
	number(c->alike * scale, alike);
	if (!c->effective)
		snprintf(c->text, sizeof(c->text),
			 "nothing to estimate false alarms from, as there are no two different sessions: the threshold is a default; "
			 "about %.0f sessions would do", c->needed);
	else if (c->thin)
		snprintf(c->text, sizeof(c->text),
			 "training is too thin to promise %s%s%s: expect %s%s if new sessions are like the recorded ones, %s%s "
			 "(95 %%: %s to %s) if they differ as its kinds of sessions do; it has %.0f sessions, worth %.0f independent ones; "
			 "about %.0f would do", before, rate, after, alike, unit, expected, unit, low, high, c->sessions, c->effective, c->needed);
	else
		snprintf(c->text, sizeof(c->text),
			 "expect %s%s%s (95 %%: %s to %s), estimated by leaving out each of %.0f groups of similar sessions among %.0f%s",
			 before, expected, after, low, high, c->clusters, c->sessions,
			 c->policy.window[0].limit < COST_MAX ? "" : "; it finds little: allow more (--rate) or train for longer");
}

/* The defaults; the policy has its windows already. */
static void nothing_to_compare(const struct folds *folds, struct calibration *c, double share)
{
	for (int w = 0; w < MEAN_WINDOWS && c->policy.window[w].length; w++)
		c->policy.window[w].limit = limit_scaled(THRESHOLD_DEFAULT, MEAN_DEFAULT, c->policy.window[w].length);
	c->sessions = (double)folds->copies;
	c->clusters = folds->n_folds;
	c->needed = ceil(3 / share);
	c->thin = true;
	c->expected = c->high = 1;
}

/* A session's peaks are the highest of its pieces'. */
static void join_pieces(const struct folds *folds, const struct peaks *pieces, struct peaks *peaks)
{
	for (size_t i = folds->n_pieces; i-- > 0;) {
		struct peaks *session = &peaks[folds->pieces[i].session];

		session->copies = folds->sessions[folds->pieces[i].session].copies;
		session->fold = folds->pieces[i].fold;
		for (int w = 0; w < MEAN_WINDOWS; w++)
			session->window[w] = MAX(session->window[w], pieces[i].window[w]);
	}
}

int calibrating_end(struct calibrating *from, struct calibration *ret_calibration, struct errmsg *err)
{
	const struct folds *folds = from->folds;
	_cleanup_free_ struct peaks *peaks = calloc(folds->n_sessions + 1, sizeof(*peaks));
	struct calibration c = { .policy = from->policy };
	struct limits limits;
	int r;

	if (!peaks)
		return errmsg_errno(err, -ENOMEM, NULL, "cannot calibrate");
	if (from->alone || folds->n_folds < 2) {
		nothing_to_compare(folds, &c, from->share);
		calibration_say(&c, &from->config);
		*ret_calibration = c;
		return 0;
	}
	join_pieces(folds, from->pieces, peaks);
	r = limits_choose(peaks, folds->n_sessions, from->share, &c.policy, &limits);
	if (r < 0)
		return errmsg_errno(err, r, NULL, "cannot calibrate");
	c.sessions = limits.sessions;
	c.clusters = folds->n_folds;
	c.effective = limits.effective;
	c.needed = limits.needed;
	wilson(limits.alarms / limits.sessions, limits.effective, &c.low, &c.high);
	/* Few sessions may be enough, if hardly one of them alarms. */
	c.thin = limits.thin && fmax(c.high, limits.expected) > 2 * from->share;
	c.expected = limits.expected * from->unit;
	c.low *= from->unit;
	c.high = fmax(c.high, limits.expected) * from->unit;
	calibration_say(&c, &from->config);
	*ret_calibration = c;
	return 0;
}

int calibrate_alike(struct folds *folds, const struct calibrate_config *config, double sessions_per_day,
		    struct calibration *calibration, struct errmsg *err)
{
	_cleanup_free_ struct peaks *peaks = calloc(folds->n_sessions + 1, sizeof(*peaks));
	_cleanup_(calibrating_freep) struct calibrating *calibrating = NULL;
	double alarms = 0;
	int r;

	if (!calibration->thin || !calibration->effective)
		return 0;
	if (!peaks)
		return errmsg_errno(err, -ENOMEM, NULL, "cannot calibrate");
	r = calibrating_new(folds, config, sessions_per_day, &calibrating, err);
	if (r < 0)
		return r;
	folds_deal(folds, ALIKE_FOLDS);
	r = folds_each(folds, calibrating_fold, calibrating, NULL, NULL, err);
	if (r < 0)
		return r;
	join_pieces(folds, calibrating->pieces, peaks);
	for (size_t i = 0; i < folds->n_sessions; i++)
		alarms += peaks[i].copies == 1 && peaks_alarm(&peaks[i], &calibration->policy);
	calibration->alike = fmin(calibration->expected, fmax(alarms, 1) / (calibration->sessions + 1) * calibrating->unit);
	calibration_say(calibration, config);
	return 0;
}

int calibrate_folds(struct folds *folds, const struct calibrate_config *config, double sessions_per_day,
		    struct calibration *ret_calibration, struct errmsg *err)
{
	_cleanup_(calibrating_freep) struct calibrating *calibrating = NULL;
	int r = calibrating_new(folds, config, sessions_per_day, &calibrating, err);

	if (r >= 0)
		r = folds_each(folds, calibrating_fold, calibrating, NULL, NULL, err);
	if (r >= 0)
		r = calibrating_end(calibrating, ret_calibration, err);
	return r < 0 ? r : calibrate_alike(folds, config, sessions_per_day, ret_calibration, err);
}

void policy_set(struct policy *policy, double threshold, const unsigned means[MEAN_WINDOWS], enum score_reading reading)
{
	static const unsigned defaults[MEAN_WINDOWS] = MEANS_DEFAULT;
	int used = 0;

	memset(policy, 0, sizeof(*policy));
	if (!means || !(means[0] || means[1] || means[2]))
		means = defaults;
	for (int w = 0; w < MEAN_WINDOWS; w++)
		if (means[w])
			policy->window[used++].length = (__u16)MIN(means[w], MEAN_MAX);
	for (int w = 0; w < used; w++)
		policy->window[w].limit = limit_scaled(fmax(0, fmin(100, threshold)), policy->window[0].length, policy->window[w].length);
	policy->min_calls = MIN_CALLS_DEFAULT;
	policy->reading = (__u8)reading;
	policy->foreign = 1;
}
