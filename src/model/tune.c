/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/tune.h"

#include <math.h>
#include <string.h>

#include "model/calibrate.h"
#include "model/limits.h"

const unsigned tune_segments[TUNE_SEGMENTS] = { 1, 2, 5, 10, 20, 50, 100 };

#define SEGMENT_MAX 100
#define CONTEXT     (2 * MEAN_MAX) /* calls before a place that its running means may depend on */
#define TAIL        64             /* calls after a segment in which it may still raise an alarm */
#define NEARLY      0.01           /* choices whose scores differ by less are equally good */

/* Where a segment goes, the same for every choice. */
struct trial {
	uint32_t piece, at;
	uint8_t kind, segment;
	uint64_t seed;
};

struct tuning {
	const struct folds *folds;         /* of the sequence length being tried */
	const struct tune_config *config;
	unsigned means[TUNE_MEANS_MAX];    /* all different ones of the choices */
	size_t n_means;
	uint64_t own[ALPHABET];            /* of the profile's calls: how many up to and with this one */
	struct trial *trials;
	size_t n_trials;
	uint16_t *piece_peaks;             /* n_means each */
	uint16_t *trial_peaks;
	folds_progress_fn *progress;
	void *progress_data;
	size_t length;                     /* which of the sequence lengths */
};

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static uint32_t random_below(uint64_t *state, uint64_t n)
{
	return (uint32_t)((next_random(state) >> 32) * n >> 32);
}

static uint16_t own_call(const struct tuning *t, uint64_t *state)
{
	uint64_t at = (uint64_t)((double)(next_random(state) >> 11) / 9007199254740992.0 * (double)t->own[ALPHABET - 1]);
	uint16_t low = 0, high = ALPHABET - 1;

	while (low < high) {
		uint16_t middle = (low + high) / 2;

		if (t->own[middle] > at)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* A piece of a session of another program; if that ends too early, it goes on with another one. */
static size_t other_segment(const struct tuning *t, uint64_t *state, uint16_t *segment, size_t n)
{
	size_t used = 0;

	while (used < n) {
		const struct session *session = &t->config->other[random_below(state, t->config->n_other)];

		for (size_t i = random_below(state, session->n); i < session->n && used < n; i++)
			if (session->symbols[i] < ALPHABET)
				segment[used++] = session->symbols[i];
	}
	return used;
}

static size_t make_segment(const struct tuning *t, const struct trial *trial, uint16_t *segment)
{
	uint64_t state = trial->seed;
	size_t n = tune_segments[trial->segment];

	if (trial->kind == TUNE_OTHER)
		return other_segment(t, &state, segment, n);
	for (size_t i = 0; i < n; i++)
		segment[i] = trial->kind == TUNE_ANY ? (uint16_t)random_below(&state, t->config->calls) : own_call(t, &state);
	return n;
}

/* Costs as they come, to take means of any length over the latest ones. */
struct costs {
	uint64_t before[SESSION_SYMBOLS_MAX + SEGMENT_MAX + 1]; /* sum of all costs before a call */
	struct score score;
	struct policy policy;
	const struct image *image;
	size_t n;
};

static void costs_start(struct costs *c, const struct image *image)
{
	c->image = image;
	memset(&c->score, 0, sizeof(c->score));
	memset(&c->policy, 0, sizeof(c->policy));
	policy_arm(&c->policy, image->header, 0);
	c->n = 0;
	c->before[0] = 0;
}

/* One symbol; if judged, every mean that is above its peak becomes the peak. */
static void costs_add(struct costs *c, const struct tuning *t, uint16_t symbol, bool judged, uint16_t *peaks)
{
	struct event event = folds_event(symbol);
	struct verdict verdict = score_step(&c->score, c->image, &c->policy, &event);

	if (event.kind != EVENT_CALL)
		return;
	c->before[c->n + 1] = c->before[c->n] + verdict.cost;
	c->n++;
	if (!judged || c->score.calls < t->config->min_calls)
		return;
	for (size_t m = 0; m < t->n_means; m++) {
		uint32_t n = MIN(c->score.calls, t->means[m]);
		uint64_t mean = (c->before[c->n] - c->before[c->n - n] + n - 1) / n;

		peaks[m] = (uint16_t)MAX(mean, (uint64_t)peaks[m]);
	}
}

static void score_piece(struct costs *c, const struct tuning *t, const struct piece *piece, const struct image *image,
			uint16_t *peaks)
{
	const uint16_t *symbols = t->folds->sessions[piece->session].session.symbols;

	costs_start(c, image);
	for (uint32_t i = piece->from > CONTEXT ? piece->from - CONTEXT : 0; i < piece->to; i++)
		costs_add(c, t, symbols[i], i >= piece->from, peaks);
}

static void score_trial(struct costs *c, const struct tuning *t, const struct trial *trial, const struct image *image,
			uint16_t *peaks)
{
	const struct session *session = &t->folds->sessions[t->folds->pieces[trial->piece].session].session;
	uint16_t segment[SEGMENT_MAX];
	size_t n = make_segment(t, trial, segment), end = MIN((size_t)trial->at + TAIL, session->n);

	costs_start(c, image);
	for (size_t i = trial->at > CONTEXT ? trial->at - CONTEXT : 0; i < trial->at; i++)
		costs_add(c, t, session->symbols[i], false, peaks);
	for (size_t i = 0; i < n; i++)
		costs_add(c, t, segment[i], true, peaks);
	for (size_t i = trial->at; i < end && session->symbols[i] < ALPHABET; i++)
		costs_add(c, t, session->symbols[i], true, peaks);
}

static int tune_fold(void *data, uint32_t fold, const struct image *image)
{
	struct tuning *t = data;
	_cleanup_free_ struct costs *costs = NULL;

	if (!image)
		return -ENODATA;
	costs = malloc(sizeof(*costs));
	if (!costs)
		return -ENOMEM;
	for (size_t i = 0; i < t->folds->n_pieces; i++)
		if (t->folds->pieces[i].fold == fold)
			score_piece(costs, t, &t->folds->pieces[i], image, &t->piece_peaks[i * t->n_means]);
	for (size_t i = 0; i < t->n_trials; i++)
		if (t->folds->pieces[t->trials[i].piece].fold == fold)
			score_trial(costs, t, &t->trials[i], image, &t->trial_peaks[i * t->n_means]);
	return 0;
}

/* Limits and what they find, from the peaks of all folds. */
static int weigh(const struct tuning *t, struct tune_choice *choice)
{
	_cleanup_free_ struct peaks *peaks = calloc(t->folds->n_sessions + 1, sizeof(*peaks));
	double trials[TUNE_KINDS][TUNE_SEGMENTS] = { { 0 } }, sum = 0, kinds = 0;
	size_t column[MEAN_WINDOWS] = { 0 };
	struct policy policy;
	struct limits limits;
	int r;

	if (!peaks)
		return -ENOMEM;
	policy_set(&policy, 0, choice->means, READING_PREDICTOR);
	for (int w = 0; w < MEAN_WINDOWS; w++)
		while (policy.window[w].length && t->means[column[w]] != policy.window[w].length)
			column[w]++;
	for (size_t i = t->folds->n_pieces; i-- > 0;) {
		struct peaks *session = &peaks[t->folds->pieces[i].session];

		session->copies = t->folds->sessions[t->folds->pieces[i].session].copies;
		session->fold = t->folds->pieces[i].fold;
		for (int w = 0; w < MEAN_WINDOWS; w++)
			session->window[w] = MAX(session->window[w], t->piece_peaks[i * t->n_means + column[w]]);
	}
	r = limits_choose(peaks, t->folds->n_sessions, t->config->rate, &policy, &limits);
	if (r < 0)
		return r;
	choice->alarms = limits.expected;
	for (int w = 0; w < MEAN_WINDOWS; w++)
		choice->threshold[w] = score_normality(policy.window[w].limit) / 100.0;
	for (size_t i = 0; i < t->n_trials; i++) {
		const struct trial *trial = &t->trials[i];
		struct peaks met = { .copies = 1 };

		for (int w = 0; w < MEAN_WINDOWS; w++)
			met.window[w] = t->trial_peaks[i * t->n_means + column[w]];
		choice->found[trial->kind][trial->segment] += peaks_alarm(&met, &policy);
		trials[trial->kind][trial->segment]++;
	}
	for (int kind = 0; kind < TUNE_KINDS; kind++)
		for (int s = 0; s < TUNE_SEGMENTS && trials[kind][s] > 0; s++) {
			choice->found[kind][s] /= trials[kind][s];
			sum += choice->found[kind][s];
			kinds++;
		}
	choice->score = sum / fmax(kinds, 1);
	return 0;
}

static int make_trials(struct tuning *t)
{
	unsigned each = t->config->trials ? t->config->trials : TUNE_TRIALS;
	uint64_t state = t->config->seed;

	t->trials = calloc((size_t)each * TUNE_KINDS * TUNE_SEGMENTS, sizeof(*t->trials));
	if (!t->trials)
		return -ENOMEM;
	for (uint8_t kind = 0; kind < TUNE_KINDS; kind++)
		for (uint8_t segment = 0; segment < TUNE_SEGMENTS && (kind != TUNE_OTHER || t->config->n_other); segment++)
			for (unsigned i = 0; i < each; i++) {
				uint32_t piece = random_below(&state, t->folds->n_pieces);
				const struct piece *in = &t->folds->pieces[piece];

				t->trials[t->n_trials++] = (struct trial){
					.piece = piece, .at = in->from + random_below(&state, in->to - in->from + 1),
					.kind = kind, .segment = segment, .seed = next_random(&state),
				};
			}
	return 0;
}

static void collect_means(struct tuning *t)
{
	for (size_t i = 0; i < t->config->n_means; i++)
		for (int w = 0; w < MEAN_WINDOWS; w++) {
			unsigned mean = t->config->means[i][w];
			size_t at = 0;

			while (at < t->n_means && t->means[at] != mean)
				at++;
			if (mean && at == t->n_means && t->n_means < TUNE_MEANS_MAX)
				t->means[t->n_means++] = mean;
		}
}

static void count_own(struct tuning *t)
{
	for (size_t i = 0; i < t->folds->n_sessions; i++) {
		const struct folds_session *session = &t->folds->sessions[i];

		for (size_t k = 0; k < session->session.n; k++)
			if (session->session.symbols[k] < ALPHABET)
				t->own[session->session.symbols[k]] += session->copies;
	}
	for (int call = 1; call < ALPHABET; call++)
		t->own[call] += t->own[call - 1];
}

static void report(void *data, double done)
{
	const struct tuning *t = data;

	if (t->progress)
		t->progress(t->progress_data, ((double)t->length + done) / (double)t->config->n_lengths);
}

/* All choices with one sequence length. */
static int tune_length(struct tuning *t, struct tune *tune, struct errmsg *err)
{
	int r;

	memset(t->piece_peaks, 0, t->folds->n_pieces * t->n_means * sizeof(*t->piece_peaks));
	memset(t->trial_peaks, 0, t->n_trials * t->n_means * sizeof(*t->trial_peaks));
	r = folds_each(t->folds, tune_fold, t, report, t, err);
	for (size_t i = 0; i < t->config->n_means && r >= 0; i++) {
		struct tune_choice *choice = &tune->choices[tune->n++];

		choice->length = t->folds->length;
		memcpy(choice->means, t->config->means[i], sizeof(choice->means));
		r = weigh(t, choice);
	}
	return r;
}

static int folds_with_length(const struct folds *from, unsigned length, struct folds **ret_folds)
{
	_cleanup_(folds_freep) struct folds *folds = folds_new(length);
	int r = folds ? 0 : -ENOMEM;

	for (size_t i = 0; i < from->n_sessions && r >= 0; i++)
		r = folds_add(folds, &from->sessions[i].session, from->sessions[i].copies, from->sessions[i].run);
	if (r >= 0)
		r = folds_prepare(folds);
	if (r >= 0)
		*ret_folds = TAKE_PTR(folds);
	return r;
}

static unsigned windows_of(const struct tune_choice *choice)
{
	unsigned n = 0;

	for (int w = 0; w < MEAN_WINDOWS; w++)
		n += choice->means[w] > 0;
	return n;
}

/* Of equally good choices: one that needs no new profile, then the simplest. */
static bool is_simpler(const struct tune_choice *a, const struct tune_choice *b, unsigned length)
{
	if ((a->length == length) != (b->length == length))
		return a->length == length;
	if (windows_of(a) != windows_of(b))
		return windows_of(a) < windows_of(b);
	if (a->length != b->length)
		return a->length < b->length;
	return a->score > b->score;
}

static size_t find_best(const struct tune *tune, unsigned length)
{
	double highest = 0;
	size_t best = tune->n;

	for (size_t i = 0; i < tune->n; i++)
		highest = fmax(highest, tune->choices[i].score);
	for (size_t i = 0; i < tune->n; i++)
		if (tune->choices[i].score >= highest - NEARLY &&
		    (best == tune->n || is_simpler(&tune->choices[i], &tune->choices[best], length)))
			best = i;
	return best;
}

static int tune_all(struct tuning *t, const struct folds *from, struct tune *tune, struct errmsg *err)
{
	int r;

	tune->choices = calloc(t->config->n_lengths * t->config->n_means + 1, sizeof(*tune->choices));
	t->piece_peaks = calloc(from->n_pieces * t->n_means + 1, sizeof(*t->piece_peaks));
	r = tune->choices && t->piece_peaks ? make_trials(t) : -ENOMEM;
	if (r >= 0) {
		t->trial_peaks = calloc(t->n_trials * t->n_means + 1, sizeof(*t->trial_peaks));
		r = t->trial_peaks ? 0 : -ENOMEM;
	}
	for (; t->length < t->config->n_lengths && r >= 0; t->length++) {
		_cleanup_(folds_freep) struct folds *folds = NULL;

		r = folds_with_length(from, t->config->lengths[t->length], &folds);
		if (r < 0)
			break;
		t->folds = folds;
		r = tune_length(t, tune, err);
	}
	return r;
}

int tune(const struct folds *folds, const struct tune_config *config, folds_progress_fn *progress, void *progress_data,
	 struct tune *ret_tune, struct errmsg *err)
{
	struct tuning t = { .folds = folds, .config = config, .progress = progress, .progress_data = progress_data };
	struct tune tune = { .sessions = (double)folds->copies, .folds = folds->n_folds,
			     .kinds = { true, true, config->n_other > 0 } };
	int r;

	if (folds->n_folds < 2)
		return errmsg_set(err, -ENODATA, NULL, 0, "the profile keeps too few different sessions to leave any out; learn more of them");
	collect_means(&t);
	count_own(&t);
	r = tune_all(&t, folds, &tune, err);
	free(t.trials);
	free(t.piece_peaks);
	free(t.trial_peaks);
	if (r < 0) {
		tune_done(&tune);
		return r == -ENOMEM ? errmsg_errno(err, r, NULL, "cannot compare lengths") : r;
	}
	tune.best = find_best(&tune, folds->length);
	tune.thin = tune.choices[tune.best].alarms > 2 * config->rate;
	*ret_tune = tune;
	return 0;
}

void tune_done(struct tune *tune)
{
	free(tune->choices);
	tune->choices = NULL;
	tune->n = 0;
}
