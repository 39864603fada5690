/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eval/detector.h"

#include <math.h>
#include <string.h>

#include "base/options.h"
#include "core/score.h"
#include "eval/pairs.h"
#include "model/calibrate.h"
#include "model/freeze.h"
#include "model/learner.h"

#define PAIRS_WINDOW 9 /* what pH used */

static const char *const model_names[MODELS] = {
	[MODEL_PREDICTOR] = "predictor",
	[MODEL_WITTEN_BELL] = "witten-bell",
	[MODEL_SEQUENCES] = "sequences",
	[MODEL_PAIRS] = "pairs",
};

static const struct {
	const char *name;
	unsigned min, max; /* of the number behind it; 0: has none */
} statistics[STATISTICS] = {
	[STATISTIC_MEAN] = { "mean", 0, 0 },
	[STATISTIC_MAX] = { "max", 1, MEAN_MAX },
	[STATISTIC_QUANTILE] = { "q", 1, 99 },
	[STATISTIC_ABOVE] = { "above", 1, ALPHABET_BITS - 1 },
};

static int parse_statistic(const char *text, struct detector *d)
{
	for (int i = 0; i < STATISTICS; i++) {
		size_t n = strlen(statistics[i].name);
		unsigned long long value = 0;

		if (strncmp(text, statistics[i].name, n))
			continue;
		if (statistics[i].max ? parse_uint(text + n, statistics[i].min, statistics[i].max, &value) < 0 : text[n] != 0)
			continue;
		d->statistic = (enum statistic)i;
		d->n = (unsigned)value;
		return 0;
	}
	return -EINVAL;
}

int detector_parse(const char *text, struct detector *ret_detector, struct errmsg *err)
{
	size_t n = strcspn(text, ":");
	const char *rest = text + n;
	struct detector d = { .statistic = STATISTIC_MEAN };
	unsigned long long length;
	char number[8];

	while (d.model < MODELS && (strlen(model_names[d.model]) != n || memcmp(model_names[d.model], text, n)))
		d.model++;
	if (d.model == MODELS)
		return errmsg_set(err, -EINVAL, NULL, 0,
				  "there is no detector '%s'; there is predictor, witten-bell, sequences, pairs", text);
	d.length = d.model == MODEL_PAIRS ? PAIRS_WINDOW : LENGTH_DEFAULT;
	if (*rest == ':') {
		n = strcspn(++rest, ":");
		snprintf(number, sizeof(number), "%.*s", (int)n, rest);
		if (parse_uint(number, LENGTH_MIN, LENGTH_MAX, &length) < 0)
			return errmsg_set(err, -EINVAL, NULL, 0, "'%s': the sequence length is a number between %d and %d", text,
					  LENGTH_MIN, LENGTH_MAX);
		d.length = (unsigned)length;
		rest += n;
	}
	if (*rest == ':' && parse_statistic(rest + 1, &d) < 0)
		return errmsg_set(err, -EINVAL, NULL, 0,
				  "'%s': a score is mean, max1 to max%d, q1 to q99 or above1 to above%d", text, MEAN_MAX,
				  ALPHABET_BITS - 1);
	n = (size_t)snprintf(d.name, sizeof(d.name), "%s:%u:%s", model_names[d.model], d.length, statistics[d.statistic].name);
	if (statistics[d.statistic].max)
		snprintf(d.name + n, sizeof(d.name) - n, "%u", d.n);
	*ret_detector = d;
	return 0;
}

bool detector_same_fit(const struct detector *a, const struct detector *b)
{
	return a->model == b->model && a->length == b->length;
}

struct fit {
	enum detector_model model;
	struct image image;
	struct policy policy;
	struct pairs *pairs;
};

static int fit_image(struct fit *fit, unsigned length, const struct session *const *sessions, size_t n, struct errmsg *err)
{
	_cleanup_(learner_freep) struct learner *learner = learner_new(length, NULL, NULL);
	_cleanup_(counts_done) struct counts counts = { 0 };
	int r = learner ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && r >= 0; i++)
		r = learner_add_session(learner, sessions[i]);
	if (r >= 0)
		r = learner_counts(learner, &counts);
	if (r < 0)
		return errmsg_errno(err, r, NULL, "cannot learn");
	r = freeze_as(&counts, ARCH_UNKNOWN, fit->model == MODEL_WITTEN_BELL ? FREEZE_SURPRISE : FREEZE_WEIGHED, &fit->image, err);
	if (r < 0)
		return r;
	fit->policy.reading = fit->model == MODEL_SEQUENCES ? READING_SEQUENCES : READING_PREDICTOR;
	policy_arm(&fit->policy, fit->image.header, 0);
	return 0;
}

int fit_new(const struct detector *detector, const struct session *const *sessions, size_t n, struct fit **ret_fit,
	    struct errmsg *err)
{
	_cleanup_(fit_freep) struct fit *fit = calloc(1, sizeof(*fit));
	int r;

	if (!fit)
		return errmsg_errno(err, -ENOMEM, NULL, "cannot learn");
	fit->model = detector->model;
	if (detector->model == MODEL_PAIRS) {
		fit->pairs = pairs_new(detector->length);
		if (!fit->pairs)
			return errmsg_errno(err, -ENOMEM, NULL, "cannot learn");
		for (size_t i = 0; i < n; i++)
			pairs_add(fit->pairs, sessions[i]);
	} else {
		r = fit_image(fit, detector->length, sessions, n, err);
		if (r < 0)
			return r;
	}
	*ret_fit = TAKE_PTR(fit);
	return 0;
}

struct fit *fit_free(struct fit *fit)
{
	if (!fit)
		return NULL;
	image_free(&fit->image);
	pairs_free(fit->pairs);
	free(fit);
	return NULL;
}

size_t fit_costs(const struct fit *fit, const struct session *session, uint16_t *costs)
{
	struct score score = { 0 };
	size_t n = 0;

	if (fit->pairs)
		return pairs_costs(fit->pairs, session, costs);
	for (size_t i = 0; i < session->n; i++) {
		uint16_t symbol = session->symbols[i];
		struct event event = { .kind = symbol < ALPHABET ? EVENT_CALL : symbol == SYMBOL_FORK ? EVENT_FORK :
					       symbol == SYMBOL_EXEC ? EVENT_EXEC : EVENT_ATTACH, .call = symbol };
		struct verdict verdict = score_step(&score, &fit->image, &fit->policy, &event);

		if (event.kind == EVENT_CALL)
			costs[n++] = verdict.cost;
	}
	return n;
}

static uint64_t sum_of(const uint16_t *costs, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += costs[i];
	return sum;
}

/* As a monitor sees it: over as many calls as there are so far, from MIN_CALLS_DEFAULT on. */
static double highest_mean(const uint16_t *costs, size_t n, size_t length)
{
	uint64_t sum = 0;
	double max = 0;

	for (size_t i = 0; i < n; i++) {
		sum += costs[i];
		if (i >= length)
			sum -= costs[i - length];
		if (i + 1 >= MIN_CALLS_DEFAULT)
			max = fmax(max, (double)sum / (double)MIN(i + 1, length));
	}
	return max;
}

/* The k-th smallest value, by selection (Hoare's quickselect); reorders. */
static uint16_t select_value(uint16_t *values, size_t n, size_t k)
{
	size_t low = 0, high = n - 1;

	while (low < high) {
		uint16_t pivot = values[low + (high - low) / 2];
		size_t i = low, j = high;

		for (;;) {
			while (values[i] < pivot)
				i++;
			while (values[j] > pivot)
				j--;
			if (i >= j)
				break;
			uint16_t swap = values[i];

			values[i++] = values[j];
			values[j--] = swap;
		}
		/* Everything up to j is at most the pivot, everything behind it at least. */
		if (k <= j)
			high = j;
		else
			low = j + 1;
	}
	return values[k];
}

static double share_above(const uint16_t *costs, size_t n, unsigned bits)
{
	size_t above = 0;

	for (size_t i = 0; i < n; i++)
		above += costs[i] > bits * COST_BIT;
	return (double)above / (double)n;
}

double detector_score(const struct detector *detector, const uint16_t *costs, size_t n, uint16_t *scratch)
{
	if (!n)
		return 0;
	switch (detector->statistic) {
	case STATISTIC_MAX:
		return highest_mean(costs, n, detector->n) / COST_MAX;
	case STATISTIC_QUANTILE:
		memcpy(scratch, costs, n * sizeof(*costs));
		return (double)select_value(scratch, n, (n - 1) * detector->n / 100) / COST_MAX;
	case STATISTIC_ABOVE:
		return share_above(costs, n, detector->n);
	default:
		return (double)sum_of(costs, n) / (double)MAX(n, (size_t)MIN_CALLS_DEFAULT) / COST_MAX;
	}
}
