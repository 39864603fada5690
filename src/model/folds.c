/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/folds.h"

#include <math.h>
#include <string.h>

#include "model/cluster.h"
#include "model/counts.h"
#include "model/freeze.h"
#include "model/folds-grams.h"

struct folds *folds_new(unsigned length)
{
	_cleanup_(folds_freep) struct folds *folds = calloc(1, sizeof(*folds));

	if (!folds || length < LENGTH_MIN || length > LENGTH_MAX)
		return NULL;
	folds->length = length;
	folds->grams = folds_grams_new(length);
	return folds->grams ? TAKE_PTR(folds) : NULL;
}

struct folds *folds_free(struct folds *folds)
{
	if (!folds)
		return NULL;
	for (size_t i = 0; i < folds->n_sessions; i++)
		free((void *)folds->sessions[i].session.symbols);
	free(folds->sessions);
	free(folds->pieces);
	folds_grams_free(folds->grams);
	free(folds);
	return NULL;
}

int folds_add(struct folds *folds, const struct session *session, uint64_t copies, int64_t run)
{
	struct folds_session *sessions, *added;
	uint16_t *symbols;

	if (!(folds->n_sessions & (folds->n_sessions + 1))) {
		sessions = realloc(folds->sessions, 2 * (folds->n_sessions + 1) * sizeof(*sessions));
		if (!sessions)
			return -ENOMEM;
		folds->sessions = sessions;
	}
	symbols = malloc((session->n + 1) * sizeof(*symbols));
	if (!symbols)
		return -ENOMEM;
	memcpy(symbols, session->symbols, session->n * sizeof(*symbols));
	added = &folds->sessions[folds->n_sessions++];
	*added = (struct folds_session){ .session = *session, .hash = session_hash(session), .copies = copies, .run = run };
	added->session.symbols = symbols;
	return 0;
}

static int compare_sessions(const void *a, const void *b)
{
	const struct folds_session *x = a, *y = b;

	return x->hash != y->hash ? (x->hash < y->hash ? -1 : 1) : x->run < y->run ? -1 : x->run > y->run;
}

/* By content; equal sessions become one. */
static void sort_sessions(struct folds *folds)
{
	size_t n = 0;

	if (folds->n_sessions)
		qsort(folds->sessions, folds->n_sessions, sizeof(*folds->sessions), compare_sessions);
	for (size_t i = 0; i < folds->n_sessions; i++) {
		struct folds_session *session = &folds->sessions[i];

		if (n && folds->sessions[n - 1].hash == session->hash) {
			folds->sessions[n - 1].copies += session->copies;
			free((void *)session->session.symbols);
		} else {
			folds->sessions[n++] = *session;
		}
	}
	folds->n_sessions = n;
	folds->copies = folds->calls = 0;
	for (size_t i = 0; i < n; i++) {
		folds->copies += folds->sessions[i].copies;
		folds->calls += folds->sessions[i].copies * session_calls(&folds->sessions[i].session);
	}
}

static int make_pieces(struct folds *folds)
{
	uint64_t symbols = 0, most = UINT32_MAX;
	size_t n = 0;

	for (size_t i = 0; i < folds->n_sessions; i++)
		symbols += folds->sessions[i].session.n;
	if (folds->n_sessions < FOLDS_FEW)
		most = MAX((uint64_t)PIECE_CALLS, symbols / (2 * FOLDS_FEW));
	folds->pieces = malloc((folds->n_sessions + symbols / most + 1) * sizeof(*folds->pieces));
	if (!folds->pieces)
		return -ENOMEM;
	for (size_t i = 0; i < folds->n_sessions; i++) {
		size_t length = folds->sessions[i].session.n, parts = MAX(length / most, (size_t)1);

		for (size_t p = 0; p < parts; p++)
			folds->pieces[n++] = (struct piece){ .session = (uint32_t)i, .from = (uint32_t)(length * p / parts),
							      .to = (uint32_t)(length * (p + 1) / parts) };
	}
	folds->n_pieces = n;
	return 0;
}

static void piece_calls(const struct folds *folds, const struct piece *piece, struct set *set)
{
	const uint16_t *symbols = folds->sessions[piece->session].session.symbols;

	for (uint32_t i = piece->from; i < piece->to; i++)
		if (symbols[i] < ALPHABET)
			set_add(set, symbols[i]);
}

static void piece_pairs(const struct folds *folds, const struct piece *piece, struct set *set)
{
	const uint16_t *symbols = folds->sessions[piece->session].session.symbols;

	for (uint32_t i = piece->from; i + 1 < piece->to; i++)
		set_add(set, ((symbols[i] * 0x9e3779b1U + symbols[i + 1]) * 0x85ebca6bU) >> 22);
}

/* Splits the pieces of one fold that is too large; what cannot be told apart is dealt out in turn. */
static int split_fold(struct folds *folds, uint32_t fold, unsigned parts)
{
	_cleanup_free_ struct set *sets = calloc(folds->n_pieces, sizeof(*sets));
	_cleanup_free_ uint32_t *group = calloc(folds->n_pieces, sizeof(*group));
	size_t n = 0;
	int groups;

	if (!sets || !group)
		return -ENOMEM;
	for (size_t i = 0; i < folds->n_pieces; i++)
		if (folds->pieces[i].fold == fold)
			piece_pairs(folds, &folds->pieces[i], &sets[n++]);
	groups = cluster(sets, n, parts, group);
	if (groups < 0)
		return groups;
	if (groups == 1) {
		groups = (int)MIN((size_t)parts, n);
		for (size_t i = 0; i < n; i++)
			group[i] = (uint32_t)(i % (size_t)groups);
	}
	n = 0;
	for (size_t i = 0; i < folds->n_pieces; i++)
		if (folds->pieces[i].fold == fold && group[n++])
			folds->pieces[i].fold = folds->n_folds + group[n - 1] - 1;
	folds->n_folds += (unsigned)groups - 1;
	return 0;
}

static int make_folds(struct folds *folds)
{
	_cleanup_free_ struct set *sets = calloc(folds->n_pieces + 1, sizeof(*sets));
	_cleanup_free_ uint32_t *group = calloc(folds->n_pieces + 1, sizeof(*group));
	uint64_t total = 0;
	int r;

	if (!sets || !group)
		return -ENOMEM;
	for (size_t i = 0; i < folds->n_pieces; i++) {
		piece_calls(folds, &folds->pieces[i], &sets[i]);
		total += folds->sessions[folds->pieces[i].session].copies;
	}
	r = cluster(sets, folds->n_pieces, (unsigned)MAX(2, lround(sqrt((double)folds->n_pieces))), group);
	if (r < 0)
		return r;
	folds->n_folds = (unsigned)r;
	for (size_t i = 0; i < folds->n_pieces; i++)
		folds->pieces[i].fold = group[i];
	for (uint32_t fold = 0; fold < folds->n_folds;) {
		uint64_t copies = 0, most = MAX(total / FOLD_SHARE, (uint64_t)1);
		size_t pieces = 0;

		for (size_t i = 0; i < folds->n_pieces; i++)
			if (folds->pieces[i].fold == fold) {
				copies += folds->sessions[folds->pieces[i].session].copies;
				pieces++;
			}
		if (pieces < 2 || copies <= most) {
			fold++;
			continue;
		}
		r = split_fold(folds, fold, (unsigned)MIN((uint64_t)pieces, (copies + most - 1) / most));
		if (r < 0)
			return r;
	}
	return 0;
}

int folds_prepare(struct folds *folds)
{
	int r;

	sort_sessions(folds);
	r = make_pieces(folds);
	if (r >= 0)
		r = make_folds(folds);
	for (size_t i = 0; r >= 0 && i < folds->n_sessions; i++) {
		const struct folds_session *session = &folds->sessions[i];

		r = folds_grams_add(folds->grams, &session->session, session->copies);
	}
	return r < 0 ? r : folds_grams_sort(folds->grams);
}

void folds_deal(struct folds *folds, unsigned n_folds)
{
	folds->n_folds = (unsigned)MIN((size_t)n_folds, folds->n_pieces);
	for (size_t i = 0; i < folds->n_pieces; i++)
		folds->pieces[i].fold = (uint32_t)(i % folds->n_folds);
}

int folds_image(const struct folds *folds, uint32_t without, struct image *ret_image, struct errmsg *err)
{
	struct counts counts;
	int r;

	r = folds_grams_counts(folds, without, &counts);
	if (r < 0)
		return errmsg_errno(err, r, NULL, "counts of sessions");
	r = counts.calls ? freeze(&counts, ARCH_UNKNOWN, ret_image, err) : -ENODATA;
	counts_done(&counts);
	return r;
}

void folds_peaks(const struct folds *folds, const struct piece *piece, const struct image *image,
		  const struct policy *policy, uint16_t ret_peaks[MEAN_WINDOWS])
{
	const uint16_t *symbols = folds->sessions[piece->session].session.symbols;
	struct score score = { .generation = policy->generation };

	memset(ret_peaks, 0, MEAN_WINDOWS * sizeof(*ret_peaks));
	for (uint32_t i = piece->from > 2 * MEAN_MAX ? piece->from - 2 * MEAN_MAX : 0; i < piece->to; i++) {
		struct event event = folds_event(symbols[i]);

		score_step(&score, image, policy, &event);
		if (event.kind != EVENT_CALL || i < piece->from || score.calls < policy->min_calls)
			continue;
		for (int w = 0; w < MEAN_WINDOWS && policy->window[w].length; w++) {
			uint32_t n = MIN(score.calls, (uint32_t)policy->window[w].length);
			uint32_t mean = (score.sum[w] + n - 1) / n;

			ret_peaks[w] = (uint16_t)MAX(mean, (uint32_t)ret_peaks[w]);
		}
	}
}
