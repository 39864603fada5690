/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/outlier.h"

#include <math.h>
#include <string.h>

#include "model/calibrate.h"

/* What is known of a piece, and then of a session. */
struct standing {
	uint64_t cost, calls, unseen;
	uint16_t peak;
	uint64_t unknown[ALPHABET / 64]; /* bit per call */
};

struct outlier_search {
	const struct folds *folds;
	struct standing *pieces;
	bool pointless; /* nothing to compare with, or too little; set by any thread */
};

struct outlier_search *outlier_search_new(const struct folds *folds)
{
	_cleanup_(outlier_search_freep) struct outlier_search *search = calloc(1, sizeof(*search));

	if (!search)
		return NULL;
	search->folds = folds;
	search->pointless = folds->n_sessions < OUTLIER_SESSIONS;
	search->pieces = calloc(folds->n_pieces + 1, sizeof(*search->pieces));
	return search->pieces ? TAKE_PTR(search) : NULL;
}

struct outlier_search *outlier_search_free(struct outlier_search *search)
{
	if (search)
		free(search->pieces);
	free(search);
	return NULL;
}

int outlier_search_fold(void *data, uint32_t fold, const struct image *image)
{
	struct outlier_search *j = data;
	struct policy policy;

	if (!image)
		__atomic_store_n(&j->pointless, true, __ATOMIC_RELAXED);
	if (!image || __atomic_load_n(&j->pointless, __ATOMIC_RELAXED))
		return 0;
	policy_set(&policy, 0, (unsigned[MEAN_WINDOWS]){ OUTLIER_WINDOW }, READING_PREDICTOR);
	policy_arm(&policy, image->header, 0);
	for (size_t i = 0; i < j->folds->n_pieces; i++) {
		const struct piece *piece = &j->folds->pieces[i];
		const uint16_t *symbols = j->folds->sessions[piece->session].session.symbols;
		struct standing *standing = &j->pieces[i];
		struct score score = { 0 };
		uint16_t peaks[MEAN_WINDOWS];

		if (piece->fold != fold)
			continue;
		folds_peaks(j->folds, piece, image, &policy, peaks);
		standing->peak = peaks[0];
		for (uint32_t k = piece->from; k < piece->to; k++) {
			struct event event = folds_event(symbols[k]);
			struct verdict verdict = score_step(&score, image, &policy, &event);

			if (event.kind != EVENT_CALL)
				continue;
			standing->calls++;
			standing->cost += verdict.cost;
			standing->unseen += !(verdict.flags & VERDICT_SEEN);
			if (!(verdict.flags & VERDICT_KNOWN))
				standing->unknown[symbols[k] / 64] |= 1ULL << symbols[k] % 64;
		}
	}
	return 0;
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Tukey (1977). Sorts the values. */
static uint32_t fence(uint32_t *values, size_t n, uint32_t least)
{
	uint32_t low, high;

	qsort(values, n, sizeof(*values), compare_u32);
	low = values[n / 4];
	high = values[n * 3 / 4];
	return MAX(high + (high - low) * 3 / 2, least);
}

static void add_outlier(const struct folds *folds, size_t session, const struct standing *standing,
			struct outliers *outliers)
{
	const struct folds_session *of = &folds->sessions[session];
	struct outlier *outlier = &outliers->list[outliers->n++];

	*outlier = (struct outlier){
		.hash = of->hash, .run = of->run, .tid = of->session.tid, .copies = of->copies, .calls = standing->calls,
		.mean = (uint32_t)(standing->cost / standing->calls), .peak = standing->peak,
		.unseen = (double)standing->unseen / (double)standing->calls,
	};
	for (uint16_t call = 0; call < ALPHABET; call++) {
		if (!(standing->unknown[call / 64] >> call % 64 & 1))
			continue;
		if (outlier->n_unknown < OUTLIER_UNKNOWN)
			outlier->unknown[outlier->n_unknown++] = call;
		outlier->all_unknown++;
	}
}

static int compare_outliers(const void *a, const void *b)
{
	const struct outlier *x = a, *y = b;

	if (x->mean != y->mean)
		return x->mean > y->mean ? -1 : 1;
	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static int choose(const struct folds *folds, const struct standing *sessions, struct outliers *outliers)
{
	_cleanup_free_ uint32_t *means = malloc((folds->n_sessions + 1) * sizeof(*means));
	_cleanup_free_ uint32_t *peaks = malloc((folds->n_sessions + 1) * sizeof(*peaks));
	size_t n = 0;

	outliers->list = calloc(folds->n_sessions + 1, sizeof(*outliers->list));
	if (!means || !peaks || !outliers->list)
		return -ENOMEM;
	for (size_t i = 0; i < folds->n_sessions; i++)
		if (sessions[i].calls >= OUTLIER_CALLS) {
			means[n] = (uint32_t)(sessions[i].cost / sessions[i].calls);
			peaks[n++] = sessions[i].peak;
		}
	if (n < OUTLIER_SESSIONS)
		return 0;
	outliers->mean = fence(means, n, OUTLIER_MEAN);
	outliers->peak = fence(peaks, n, OUTLIER_PEAK);
	for (size_t i = 0; i < folds->n_sessions; i++)
		if (sessions[i].calls >= OUTLIER_CALLS && (sessions[i].cost / sessions[i].calls > outliers->mean ||
							   sessions[i].peak > outliers->peak))
			add_outlier(folds, i, &sessions[i], outliers);
	qsort(outliers->list, outliers->n, sizeof(*outliers->list), compare_outliers);
	return 0;
}

int outlier_search_end(const struct outlier_search *search, struct outliers *ret_outliers)
{
	const struct folds *folds = search->folds;
	_cleanup_free_ struct standing *sessions = calloc(folds->n_sessions + 1, sizeof(*sessions));
	struct outliers outliers = { 0 };

	if (!sessions)
		return -ENOMEM;
	for (size_t i = 0; i < folds->n_pieces; i++) {
		struct standing *session = &sessions[folds->pieces[i].session];
		const struct standing *piece = &search->pieces[i];

		session->cost += piece->cost;
		session->calls += piece->calls;
		session->unseen += piece->unseen;
		session->peak = MAX(session->peak, piece->peak);
		for (int w = 0; w < ALPHABET / 64; w++)
			session->unknown[w] |= piece->unknown[w];
	}
	if (!search->pointless && choose(folds, sessions, &outliers) < 0) {
		outliers_done(&outliers);
		return -ENOMEM;
	}
	*ret_outliers = outliers;
	return 0;
}

int outliers_find(const struct folds *folds, folds_progress_fn *progress, void *progress_data,
		  struct outliers *ret_outliers, struct errmsg *err)
{
	_cleanup_(outlier_search_freep) struct outlier_search *search = outlier_search_new(folds);
	int r = 0;

	if (!search)
		return errmsg_errno(err, -ENOMEM, NULL, "cannot look for outliers");
	if (!search->pointless)
		r = folds_each(folds, outlier_search_fold, search, progress, progress_data, err);
	if (r < 0)
		return r;
	r = outlier_search_end(search, ret_outliers);
	return r < 0 ? errmsg_errno(err, r, NULL, "cannot look for outliers") : 0;
}

void outliers_done(struct outliers *outliers)
{
	free(outliers->list);
	outliers->list = NULL;
	outliers->n = 0;
}
