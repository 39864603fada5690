/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The automatic threshold: limits by hand, and the promised rate kept on new sessions of a world whose truth is known. */
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "model/calibrate.h"
#include "model/freeze.h"
#include "model/outlier.h"
#include "../tap.h"

static struct policy windows(unsigned a, unsigned b)
{
	struct policy policy;

	policy_set(&policy, 0, (unsigned[MEAN_WINDOWS]){ a, b }, READING_PREDICTOR);
	return policy;
}

static void check_limits(void)
{
	/* 599 different sessions with peaks 10, 20 ... 5990, each its own fold. */
	static struct peaks peaks[599];
	struct policy policy = windows(32, 0);
	struct limits limits;

	for (unsigned i = 0; i < 599; i++)
		peaks[i] = (struct peaks){ .window = { (uint16_t)(10 * (i + 1)), (uint16_t)(10 * (i % 2 ? i + 1 : 599 - i)) },
					   .fold = i, .copies = 1 };
	ok(limits_choose(peaks, 599, 0.01, &policy, &limits) == 0, "limits are chosen");
	/* 1 % of 600 is 6: five above, the sixth is the limit. */
	ok(policy.window[0].limit == 5940 && limits.alarms == 5 && fabs(limits.expected - 0.01) < 1e-12,
	   "1 %% of 599 sessions: five above the limit, one on it");
	ok(!limits.thin && limits.needed == 300 && limits.effective >= 598 && limits.effective <= 600,
	   "independent sessions are worth what they are (%.1f)", limits.effective);

	/* Two equal sessions hold the seventh highest peak: either of them would hold it without the other, so six may be above. */
	peaks[591].copies = 2;
	policy = windows(32, 0);
	limits_choose(peaks, 598, 0.01, &policy, &limits);
	ok(policy.window[0].limit == 5920 && limits.alarms == 6 && fabs(limits.expected - 0.01) < 1e-12,
	   "a limit that two sessions hold is not lowered by the one that is new");
	peaks[591].copies = 1;

	/* Both windows: odd ones have the same peak in both, even ones are high in one and low in the other. */
	policy = windows(32, 8);
	limits_choose(peaks, 599, 0.01, &policy, &limits);
	ok(limits.expected <= 0.01 && limits.expected > 0.006 && policy.window[0].limit > 5940,
	   "two windows share the rate (%.4f)", limits.expected);

	/* Folds of ten that alarm together: 60 above the limit in 6 folds of 60. */
	policy = windows(32, 0);
	for (unsigned i = 0; i < 599; i++)
		peaks[i].fold = i / 10;
	limits_choose(peaks, 599, 0.1, &policy, &limits);
	ok(limits.effective > 55 && limits.effective < 75, "sessions that alarm together count once (%.1f)", limits.effective);
}

static void check_thin(void)
{
	struct peaks peaks[10], many[40];
	struct policy policy = windows(32, 8);
	struct limits limits;

	for (unsigned i = 0; i < 10; i++)
		peaks[i] = (struct peaks){ .window = { (uint16_t)i, (uint16_t)(100 - i) }, .fold = i, .copies = 1 };
	limits_choose(peaks, 10, 0.01, &policy, &limits);
	ok(limits.thin && limits.alarms == 0 && limits.expected == 1. / 11, "ten sessions: thin, 1 in 11 at best");
	ok(policy.window[0].limit == lround(limit_scaled(THRESHOLD_FLOOR, 32, 32) * (1 - 10. / 300)), "the limit is the floor");
	ok(policy.window[1].limit > policy.window[0].limit, "the short window's floor is higher");
	ok(limit_scaled(60, 32, 32) == lround(0.4 * COST_MAX) && limit_scaled(60, 32, 1024) == limit_scaled(60, 32, 32) &&
	   limit_scaled(60, 32, 8) == lround(0.7 * COST_MAX), "by the square root of the length: 60 %% over 32 calls, 30 %% over 8");
	for (unsigned i = 0; i < 10; i++)
		peaks[i].window[0] = (uint16_t)(20000 + i);
	policy = windows(32, 0);
	limits_choose(peaks, 10, 0.01, &policy, &limits);
	ok(policy.window[0].limit == 20009, "or the highest peak, if that is higher");
	/* The highest one was met three times: it would not be new. */
	peaks[9].copies = 3;
	limits_choose(peaks, 10, 0.01, &policy, &limits);
	ok(policy.window[0].limit == 20009 && limits.sessions == 12 && limits.expected == 1. / 11,
	   "equal sessions are counted, but are worth one");
	peaks[9].window[0] = COST_MAX - 1;
	limits_choose(peaks, 10, 0.01, &policy, &limits);
	ok(policy.window[0].limit == limit_scaled(THRESHOLD_LEAST, 32, 32), "ten sessions do not make a threshold that finds little");
	peaks[9].window[0] = 60000;
	limits_choose(peaks, 10, 0.01, &policy, &limits);
	ok(policy.window[0].limit == limit_scaled(THRESHOLD_LEAST, 32, 32) && limits.alarms == 3,
	   "a session that nothing else is like does not make a threshold that finds nothing");
	for (unsigned i = 0; i < 40; i++)
		many[i] = (struct peaks){ .window = { i ? (uint16_t)(20000 + i) : COST_MAX, 30000 }, .fold = i, .copies = 1 };
	policy = windows(32, 8);
	limits_choose(many, 40, 0.01, &policy, &limits);
	ok(policy.window[0].limit == limit_scaled(THRESHOLD_LEAST, 32, 32) && limits.alarms == 1 && limits.expected == 1. / 41,
	   "nor among more sessions, and it is said to alarm");
	ok(policy.window[1].limit == 30000, "the other mean keeps its own");
	many[0].window[0] = COST_MAX - 1;
	policy = windows(32, 0);
	limits_choose(many, 40, 0.01, &policy, &limits);
	ok(policy.window[0].limit == COST_MAX - 1, "among more sessions one that finds little is kept");
}

static uint64_t state;

static unsigned below(unsigned n)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)((state >> 33) % n);
}

#define LONGEST 400

/*
 * Sessions of an application that has three programs. Each repeats phrases of its own; now and then comes one of many rare
 * phrases, some of which the training never saw.
 */
static size_t make_session(uint16_t *symbols)
{
	unsigned program = below(3), calls = 100 + below(200), n = 0;

	symbols[n++] = SYMBOL_FORK;
	while (n < calls) {
		unsigned rare = below(60) == 0, phrase = rare ? 100 + below(1 + below(400)) : program * 8 + below(8);
		unsigned length = 3 + phrase % 9;

		for (unsigned i = 0; i < length; i++)
			symbols[n++] = (uint16_t)((phrase * 37 + i * i * (phrase + 3)) % 120);
	}
	return n;
}

static void add(struct folds *folds, unsigned sessions)
{
	uint16_t symbols[LONGEST];

	for (unsigned i = 0; i < sessions; i++) {
		struct session session = { .symbols = symbols, .n = make_session(symbols) };

		if (folds_add(folds, &session, 1, 1) < 0)
			ok(false, "folds_add");
	}
}

static bool alarms(const struct image *image, const struct policy *policy)
{
	uint16_t symbols[LONGEST];
	struct score score = { .generation = policy->generation };
	size_t n = make_session(symbols);

	for (size_t i = 0; i < n; i++) {
		struct event event = folds_event(symbols[i]);

		if (score_step(&score, image, policy, &event).flags & VERDICT_ALARM)
			return true;
	}
	return false;
}

/* Trains, calibrates, and counts false alarms on sessions that were not there. */
static double achieved(unsigned sessions, double rate, struct calibration *ret_calibration)
{
	enum { NEW = 1500 };
	_cleanup_(folds_freep) struct folds *folds = folds_new(6);
	struct calibrate_config config = { .rate = rate };
	struct policy policy;
	struct image image;
	unsigned n = 0;

	add(folds, sessions);
	if (folds_prepare(folds) < 0 || calibrate_folds(folds, &config, 0, ret_calibration, NULL) < 0 ||
	    folds_image(folds, UINT32_MAX, &image, NULL) < 0) {
		ok(false, "calibrated");
		return 1;
	}
	policy = ret_calibration->policy;
	policy_arm(&policy, image.header, 0);
	for (int i = 0; i < NEW; i++)
		n += alarms(&image, &policy);
	image_free(&image);
	return (double)n / NEW;
}

/* A service of a few kinds of processes, each of which comes again and again, hardly changed. */
static void check_alike(void)
{
	enum { KINDS = 12, TIMES = 4 };
	_cleanup_(folds_freep) struct folds *folds = folds_new(6);
	struct calibrate_config config = { .rate = 0.01 };
	struct calibration c = { 0 };
	uint16_t symbols[LONGEST];

	for (unsigned i = 0; i < KINDS * TIMES; i++) {
		struct session session = { .symbols = symbols, .n = 0 };
		unsigned kind = i % KINDS;

		symbols[session.n++] = SYMBOL_FORK;
		for (unsigned call = 0; call < 100 + 10 * (i / KINDS); call++)
			symbols[session.n++] = (uint16_t)(kind * 40 + call % (10 + kind));
		if (folds_add(folds, &session, 1, 1) < 0)
			ok(false, "folds_add");
	}
	ok(folds_prepare(folds) == 0 && calibrate_folds(folds, &config, 0, &c, NULL) == 0 && c.thin, "%s", c.text);
	ok(c.expected > 0.9, "another kind than those recorded would alarm");
	ok(c.alike == 1. / (KINDS * TIMES + 1), "one that was recorded would not");
}

/* A threshold that somebody chose. */
static void check_given(void)
{
	struct policy policy;

	policy_set(&policy, 80, NULL, READING_PREDICTOR);
	ok(policy.window[0].length == 32 && policy.window[1].length == 8 && !policy.window[2].length &&
	   policy.window[0].limit == lround(0.2 * COST_MAX) && policy.window[1].limit == lround(0.6 * COST_MAX),
	   "the usual means keep watching: 80 %% over 32 calls, 40 %% over 8");
	policy_set(&policy, 80, (unsigned[MEAN_WINDOWS]){ 8, 64 }, READING_PREDICTOR);
	ok(policy.window[0].limit == lround(0.2 * COST_MAX) && policy.window[1].limit == policy.window[0].limit,
	   "the first mean has what was given, whatever its length; a longer one, too");
}

static void check_promise(void)
{
	static const double rates[] = { 0.01, 0.05 };
	struct calibration c, again;
	struct errmsg err = { 0 };
	double share;

	for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
		state = 7;
		share = achieved(400, rates[i], &c);
		ok(!c.thin && c.expected <= rates[i] && c.low <= c.expected && c.high >= c.expected, "stated: %s", c.text);
		ok(share <= 2 * rates[i], "asked for %.2f, stated %.4f, achieved %.4f", rates[i], c.expected, share);
		ok(share >= rates[i] / 20, "and not by never alarming");
	}
	state = 7;
	achieved(400, rates[1], &again);
	ok(!memcmp(&c, &again, sizeof(c)), "the same training gives the same calibration");
	state = 8;
	share = achieved(12, 0.01, &c);
	ok(c.thin && c.expected > 0.01 && c.alike > 0 && c.alike <= c.expected && strstr(c.text, "too thin"), "%s", c.text);
	ok(share <= 2 * c.expected, "stated %.3f, achieved %.4f", c.expected, share);
	state = 9;
	share = achieved(1, 0.01, &c);
	ok(c.thin && c.policy.window[0].limit == limit_scaled(THRESHOLD_DEFAULT, 32, 32), "%s", c.text);
	{
		_cleanup_(folds_freep) struct folds *folds = folds_new(6);
		struct calibrate_config config = { .rate = 0 };

		add(folds, 3);
		ok(folds_prepare(folds) == 0 && calibrate_folds(folds, &config, 0, &c, &err) == -EINVAL, "%s", err.text);
		config = (struct calibrate_config){ .rate = 1, .per_day = true };
		ok(calibrate_folds(folds, &config, 1000, &c, &err) == 0 && c.expected > 1,
		   "1 alarm a day of 1000 sessions a day: %s", c.text);
	}
}

struct alone {
	struct calibrating *calibrating;
	struct outlier_search *search;
};

static void *fold_alone(void *data)
{
	struct alone *alone = data;

	calibrating_fold(alone->calibrating, 0, NULL);
	outlier_search_fold(alone->search, 0, NULL);
	return NULL;
}

/* What several threads say at once; the thread sanitizer tells if they may. */
static void check_threads(void)
{
	_cleanup_(folds_freep) struct folds *folds = folds_new(6);
	_cleanup_(calibrating_freep) struct calibrating *calibrating = NULL;
	_cleanup_(outlier_search_freep) struct outlier_search *search = NULL;
	struct calibrate_config config = { .rate = 0.01 };
	struct calibration calibration = { 0 };
	struct outliers outliers = { 0 };
	struct errmsg err = { 0 };
	pthread_t other;

	add(folds, OUTLIER_SESSIONS);
	search = folds_prepare(folds) ? NULL : outlier_search_new(folds);
	ok(search && !calibrating_new(folds, &config, 0, &calibrating, &err), "a calibration and a search in steps");
	pthread_create(&other, NULL, fold_alone, &(struct alone){ calibrating, search });
	fold_alone(&(struct alone){ calibrating, search });
	pthread_join(other, NULL);
	ok(!calibrating_end(calibrating, &calibration, &err) && calibration.thin && !outlier_search_end(search, &outliers) &&
	   !outliers.n, "folds that stand alone, on two threads at once: nothing is promised, nobody accused");
	outliers_done(&outliers);
}

int main(void)
{
	check_limits();
	check_thin();
	check_given();
	check_alike();
	check_promise();
	check_threads();
	return tap_done();
}
