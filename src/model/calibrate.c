/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/calibrate.h"

#include <math.h>
#include <string.h>

#include "model/freeze.h"

#define Z95 1.959963984540054

/* A session's highest means when it was scored by what was learned from the other folds. */
struct peaks {
	uint16_t window[MEAN_WINDOWS];
};

struct scoring {
	const struct folds *folds;
	const struct policy *policy;
	struct peaks *pieces; /* folds share no piece */
	bool alone;           /* one fold, nothing to compare with */
};

static int score_fold(void *data, uint32_t fold, const struct image *image)
{
	struct scoring *scoring = data;
	struct policy policy = *scoring->policy;

	if (!image) {
		scoring->alone = true;
		return 0;
	}
	policy_arm(&policy, image->header, 0);
	for (size_t i = 0; i < scoring->folds->n_pieces; i++)
		if (scoring->folds->pieces[i].fold == fold)
			folds_peaks(scoring->folds, &scoring->folds->pieces[i], image, &policy,
				     scoring->pieces[i].window);
	return 0;
}

struct ranked {
	uint16_t peak;
	uint64_t copies;
};

static int compare_ranked(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	return x->peak != y->peak ? (x->peak > y->peak ? -1 : 1) : 0;
}

struct limits {
	const struct folds *folds;
	const struct peaks *peaks;             /* by session */
	struct ranked *ranked[MEAN_WINDOWS];   /* highest first */
	unsigned windows;
};

/* The lowest limit that sessions worth at most so many copies exceed. */
static uint16_t limit_for(const struct ranked *ranked, size_t n, uint64_t copies)
{
	uint64_t above = 0;
	size_t i = 0;

	while (i < n) {
		uint64_t same = 0;
		size_t j = i;

		for (; j < n && ranked[j].peak == ranked[i].peak; j++)
			same += ranked[j].copies;
		if (above + same > copies)
			return ranked[i].peak;
		above += same;
		i = j;
	}
	return 0;
}

static bool session_alarms(const struct peaks *peaks, const struct policy *policy)
{
	for (int w = 0; w < MEAN_WINDOWS && policy->window[w].length; w++)
		if (peaks->window[w] > policy->window[w].limit)
			return true;
	return false;
}

/* Sets every window's limit so that each is exceeded by so many; returns how many exceed any. */
static uint64_t limits_try(const struct limits *limits, uint64_t each, struct policy *policy)
{
	uint64_t any = 0;

	for (unsigned w = 0; w < limits->windows; w++)
		policy->window[w].limit = limit_for(limits->ranked[w], limits->folds->n_sessions, each);
	for (size_t i = 0; i < limits->folds->n_sessions; i++)
		if (session_alarms(&limits->peaks[i], policy))
			any += limits->folds->sessions[i].copies;
	return any;
}

/* The lowest limits at which at most so many sessions alarm. Returns how many do. */
static int choose_limits(const struct folds *folds, const struct peaks *peaks, uint64_t allowed, struct policy *policy,
			 uint64_t *ret_alarms)
{
	struct limits limits = { .folds = folds, .peaks = peaks };
	_cleanup_free_ struct ranked *ranked = malloc(MEAN_WINDOWS * folds->n_sessions * sizeof(*ranked));
	uint64_t low = 0, high = allowed;

	if (!ranked)
		return -ENOMEM;
	for (; limits.windows < MEAN_WINDOWS && policy->window[limits.windows].length; limits.windows++) {
		struct ranked *of = ranked + limits.windows * folds->n_sessions;

		for (size_t i = 0; i < folds->n_sessions; i++)
			of[i] = (struct ranked){ peaks[i].window[limits.windows], folds->sessions[i].copies };
		qsort(of, folds->n_sessions, sizeof(*of), compare_ranked);
		limits.ranked[limits.windows] = of;
	}
	while (low < high) {
		uint64_t middle = high - (high - low) / 2;

		if (limits_try(&limits, middle, policy) <= allowed)
			low = middle;
		else
			high = middle - 1;
	}
	*ret_alarms = limits_try(&limits, low, policy);
	return 0;
}

/*
 * How many independent sessions they are worth. The variance of a ratio over groups (Cochran, Sampling Techniques,
 * 11.8) against that of as many independent sessions. Without any alarm there is no variance to see: then equal sessions
 * count once.
 */
static int effective_sessions(const struct folds *folds, const struct peaks *peaks, const struct policy *policy,
			      double *ret_effective)
{
	_cleanup_free_ double *size = calloc(folds->n_folds + 1, sizeof(*size));
	_cleanup_free_ double *alarms = calloc(folds->n_folds + 1, sizeof(*alarms));
	double n = (double)folds->copies, sum = 0, share, variance = 0, effective;
	size_t piece = 0;

	if (!size || !alarms)
		return -ENOMEM;
	for (size_t i = 0; i < folds->n_sessions; i++) {
		while (folds->pieces[piece].session != i)
			piece++;
		size[folds->pieces[piece].fold] += (double)folds->sessions[i].copies;
		if (session_alarms(&peaks[i], policy)) {
			alarms[folds->pieces[piece].fold] += (double)folds->sessions[i].copies;
			sum += (double)folds->sessions[i].copies;
		}
	}
	share = sum / n;
	if (sum == 0 || sum == n || folds->n_folds < 2) {
		*ret_effective = (double)folds->n_sessions;
		return 0;
	}
	for (uint32_t fold = 0; fold < folds->n_folds; fold++)
		variance += pow(alarms[fold] - share * size[fold], 2);
	variance *= folds->n_folds / (folds->n_folds - 1.0) / (n * n);
	effective = share * (1 - share) / variance;
	*ret_effective = fmax(fmin(effective, n), fmin(n, folds->n_folds));
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

static void say(struct calibration *c, const struct calibrate_config *config, double unit)
{
	const char *of = config->per_day ? "alarms a day" : "% of sessions with a false alarm";
	double scale = config->per_day ? 1 : 100;

	(void)unit;
	if (c->thin)
		snprintf(c->text, sizeof(c->text),
			 "training is too thin to promise %.3g %s: expect %.2g (95 %%: %.2g to %.2g), from %.0f sessions in %.0f "
			 "groups; about %.0f sessions would do", config->rate * scale, of, c->expected * scale, c->low * scale,
			 c->high * scale, c->sessions, c->clusters, c->needed);
	else
		snprintf(c->text, sizeof(c->text),
			 "expect %.2g %s (95 %%: %.2g to %.2g), estimated by leaving out each of %.0f groups of similar sessions "
			 "among %.0f", c->expected * scale, of, c->low * scale, c->high * scale, c->clusters, c->sessions);
}

static void nothing_to_compare(const struct folds *folds, const struct calibrate_config *config,
			       struct calibration *c, double share)
{
	policy_set(&c->policy, THRESHOLD_DEFAULT, config->means, config->reading);
	c->sessions = (double)folds->copies;
	c->clusters = folds->n_folds;
	c->effective = MIN(folds->n_folds, 1U);
	c->needed = ceil(3 / share);
	c->thin = true;
	c->expected = c->high = 1;
	snprintf(c->text, sizeof(c->text),
		 "nothing to estimate false alarms from (%.0f sessions, all alike): the threshold is the default, %.0f %%; about "
		 "%.0f different sessions would do", c->sessions, THRESHOLD_DEFAULT, c->needed);
}

int calibrate_folds(const struct folds *folds, const struct calibrate_config *config, double sessions_per_day,
		     struct calibration *ret_calibration, struct errmsg *err)
{
	double unit = config->per_day ? sessions_per_day : 1, n = (double)folds->copies;
	double share = fmin(config->rate / unit, 0.5);
	_cleanup_free_ struct peaks *pieces = calloc(folds->n_pieces + 1, sizeof(*pieces));
	_cleanup_free_ struct peaks *peaks = calloc(folds->n_sessions + 1, sizeof(*peaks));
	struct calibration c = { 0 };
	struct scoring scoring = { .folds = folds, .policy = &c.policy, .pieces = pieces };
	uint64_t alarms;
	int r;

	if (!pieces || !peaks)
		return errmsg_errno(err, -ENOMEM, NULL, "calibration");
	if (!(share > 0))
		return errmsg_set(err, -EINVAL, NULL, 0, "a false-alarm rate must be over zero");
	policy_set(&c.policy, 0, config->means, config->reading);
	r = folds_each(folds, score_fold, &scoring, NULL, NULL, err);
	if (r < 0)
		return r;
	if (scoring.alone || folds->n_folds < 2) {
		nothing_to_compare(folds, config, &c, share);
		*ret_calibration = c;
		return 0;
	}
	for (size_t i = 0; i < folds->n_pieces; i++)
		for (int w = 0; w < MEAN_WINDOWS; w++) {
			uint16_t *peak = &peaks[folds->pieces[i].session].window[w];

			*peak = MAX(*peak, pieces[i].window[w]);
		}
	r = choose_limits(folds, peaks, (uint64_t)fmax(floor(share * (n + 1)) - 1, 0), &c.policy, &alarms);
	if (r >= 0)
		r = effective_sessions(folds, peaks, &c.policy, &c.effective);
	if (r < 0)
		return errmsg_errno(err, r, NULL, "calibration");
	c.sessions = n;
	c.clusters = folds->n_folds;
	c.needed = ceil(3 / share);
	c.thin = c.effective < c.needed;
	c.expected = ((double)alarms + 1) / (n + 1);
	wilson((double)alarms / n, c.effective, &c.low, &c.high);
	c.high = fmax(c.high, c.expected);
	c.expected *= unit;
	c.low *= unit;
	c.high *= unit;
	say(&c, config, unit);
	*ret_calibration = c;
	return 0;
}

void policy_set(struct policy *policy, double threshold, const unsigned means[MEAN_WINDOWS], enum score_reading reading)
{
	static const unsigned defaults[MEAN_WINDOWS] = MEANS_DEFAULT;
	bool given = false;
	int used = 0;

	for (int w = 0; w < MEAN_WINDOWS; w++)
		given |= means && means[w];
	memset(policy, 0, sizeof(*policy));
	for (int w = 0; w < MEAN_WINDOWS; w++) {
		unsigned length = given ? means[w] : defaults[w];

		if (!length)
			continue;
		policy->window[used].length = (__u16)MIN(length, MEAN_MAX);
		policy->window[used++].limit = (__u16)lround((100 - fmax(0, fmin(100, threshold))) / 100 * COST_MAX);
	}
	policy->min_calls = MIN_CALLS_DEFAULT;
	policy->reading = (__u8)reading;
	policy->foreign = 1;
}
